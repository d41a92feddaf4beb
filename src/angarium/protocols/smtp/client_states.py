"""The SMTP client's state machine as tables: which command may be sent when, and what the log calls each step.

==========  ===================================================  =============================
state       what it means                                        may be sent
==========  ===================================================  =============================
CONNECTED   waiting for the server's greeting                    nothing
GREETED     greeted, or TLS just begun: nothing is negotiated    EHLO HELO LHLO QUIT
HELLO       EHLO, HELO or LHLO sent                              nothing
READY       negotiated, no transaction                           STARTTLS AUTH MAIL RSET QUIT
UPGRADING   STARTTLS sent; after 220 TLS is to begin             nothing
AUTH        in a SASL exchange                                   answers to challenges
ENVELOPE    MAIL sent, replies to it, RCPT and DATA outstanding  RCPT DATA (XFORWARD before MAIL)
CONTENT     354 received                                         the content
FINAL       the final dot is sent                                nothing
CLOSING     QUIT sent, or the server said 421                    nothing
==========  ===================================================  =============================
"""

from __future__ import annotations

import enum
from collections.abc import Mapping


class State(enum.Enum):
    """See the module's table."""

    CONNECTED = "connected"
    GREETED = "greeted"
    HELLO = "hello"
    READY = "ready"
    UPGRADING = "upgrading"
    AUTH = "auth"
    ENVELOPE = "envelope"
    CONTENT = "content"
    FINAL = "final"
    CLOSING = "closing"


class Step(enum.Enum):
    """What a reply is awaited for. The value is how Postfix names it: ``in reply to RCPT TO command``."""

    GREETING = "greeting"
    EHLO = "EHLO command"
    HELO = "HELO command"
    LHLO = "LHLO command"
    STARTTLS = "STARTTLS command"
    AUTH = "AUTH command"
    XFORWARD_NAME = "XFORWARD name/address command"
    XFORWARD_PROTO = "XFORWARD helo/protocol command"
    MAIL = "MAIL FROM command"
    RCPT = "RCPT TO command"
    DATA = "DATA command"
    CONTENT = "message content"
    DOT = "end of DATA command"
    RSET = "RSET command"
    QUIT = "QUIT command"


MAY_SEND: Mapping[Step, frozenset[State]] = {
    Step.EHLO: frozenset({State.GREETED}),
    Step.HELO: frozenset({State.GREETED}),
    Step.LHLO: frozenset({State.GREETED}),
    Step.STARTTLS: frozenset({State.READY}),
    Step.AUTH: frozenset({State.READY}),
    Step.MAIL: frozenset({State.READY}),
    Step.CONTENT: frozenset({State.CONTENT}),
    Step.QUIT: frozenset({State.GREETED, State.READY}),
}

AFTER_SENDING: Mapping[Step, State] = {
    Step.EHLO: State.HELLO,
    Step.HELO: State.HELLO,
    Step.LHLO: State.HELLO,
    Step.STARTTLS: State.UPGRADING,
    Step.AUTH: State.AUTH,
    Step.MAIL: State.ENVELOPE,
    Step.CONTENT: State.FINAL,
    Step.QUIT: State.CLOSING,
}

# What follows a positive and a negative reply, for the steps whose reply alone decides it.
AFTER_REPLY: Mapping[Step, tuple[State, State]] = {
    Step.GREETING: (State.GREETED, State.GREETED),
    Step.EHLO: (State.READY, State.GREETED),
    Step.HELO: (State.READY, State.GREETED),
    Step.LHLO: (State.READY, State.GREETED),
    Step.STARTTLS: (State.UPGRADING, State.READY),
}

WHILE: Mapping[Step, str] = {
    Step.GREETING: "receiving the initial server greeting",
    Step.EHLO: "performing the EHLO handshake",
    Step.HELO: "performing the HELO handshake",
    Step.LHLO: "performing the LHLO handshake",
    Step.STARTTLS: "receiving the STARTTLS response",
    Step.AUTH: "performing the EHLO handshake",
    Step.XFORWARD_NAME: "sending XFORWARD name/address",
    Step.XFORWARD_PROTO: "sending XFORWARD protocol/helo_name",
    Step.MAIL: "sending MAIL FROM",
    Step.RCPT: "sending RCPT TO",
    Step.DATA: "sending DATA command",
    Step.CONTENT: "sending message body",
    Step.DOT: "sending end of data -- message may be sent more than once",
    Step.RSET: "sending final RSET",
    Step.QUIT: "sending QUIT",
}
"""``lost connection with H[IP] while …`` and ``conversation with H[IP] timed out while …``, in smtp(8)'s words."""
