"""The commands of smtpd, one module a command or a family of small ones, and the table of them."""

from __future__ import annotations

from angarium.daemons.smtpd.commands import auth, data, forwarding, hello, mail, rcpt, session, starttls, vrfy
from angarium.daemons.smtpd.conversation import Handlers

HANDLERS = Handlers(
    commands={
        "HELO": hello.helo,
        "EHLO": hello.ehlo,
        "XCLIENT": forwarding.xclient,
        "XFORWARD": forwarding.xforward,
        "STARTTLS": starttls.starttls,
        "AUTH": auth.auth,
        "MAIL": mail.mail,
        "RCPT": rcpt.rcpt,
        "DATA": data.data,
        "BDAT": data.bdat,
        "RSET": session.rset,
        "NOOP": session.noop,
        "QUIT": session.quit_session,
        "VRFY": vrfy.vrfy,
        "ETRN": session.etrn,
    },
    message_end=data.message_end,
    chunk_end=data.chunk_end,
    auth_response=auth.response,
)
