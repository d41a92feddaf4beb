"""The values of the SMTP protocol: what the server session reports, and what a parsed command says.

Owns no behaviour. Text that came over the wire is ``str``, decoded as UTF-8 with ``surrogateescape``, so that any
octet survives a round trip; octets of a message stay ``bytes``.
"""

from __future__ import annotations

import enum

from msgspec import Struct

from angarium.model.envelope import BodyType, Notify, Ret
from angarium.model.reply import Reply


class BareNewline(enum.Enum):
    """What to do with a line that ends in LF without CR (postconf(5) ``smtpd_forbid_bare_newline``, Postfix 3.9).

    NO: a line end like any other, also around the final dot. NORMALIZE: a line end, but the message ends with the
    standard ``CR LF . CR LF`` alone. REJECT: the message, or the command, is refused. NOTE: as NO, and reported.
    """

    NO = "no"
    NORMALIZE = "normalize"
    REJECT = "reject"
    NOTE = "note"


class CommandReceived(Struct, frozen=True):
    """One command line.

    Attributes:
        verb: its first word, in upper case; empty for an empty line.
        text: the whole line without its line end.
        behind: what stood in the buffer behind it, its first 100 octets (RFC 2920); empty when nothing did.
        truncated: the line was longer than the limit; the excess is gone.
        bare_newline: it ended in LF without CR.
    """

    verb: str
    text: str
    behind: bytes = b""
    truncated: bool = False
    bare_newline: bool = False


class LineReceived(Struct, frozen=True):
    """One line of a dialogue that is not a command: a response to an AUTH challenge (RFC 4954 section 4)."""

    line: bytes
    truncated: bool = False


class MessageData(Struct, frozen=True):
    """A piece of the message: dot-stuffing undone, every line end CR LF."""

    data: bytes


class MessageEnd(Struct, frozen=True):
    """The final dot. ``bare_newline``: the message had a line that ended in LF without CR."""

    bare_newline: bool = False


class ChunkEnd(Struct, frozen=True):
    """The octets that a BDAT command announced are complete (RFC 3030 section 2).

    ``bare_newline``: the message has had a line that ended in LF without CR so far.
    """

    size: int
    last: bool
    bare_newline: bool = False


Event = CommandReceived | LineReceived | MessageData | MessageEnd | ChunkEnd


class MailCommand(Struct, frozen=True):
    """MAIL FROM, parsed (RFC 5321 section 4.1.1.2 and the extensions' parameters).

    Attributes:
        sender: the reverse-path in internal form; empty is the null sender.
        size: the SIZE parameter in octets (RFC 1870); 0 when unsaid.
        body: the BODY parameter (RFC 6152, RFC 3030).
        auth: the AUTH parameter as it stood, in xtext (RFC 4954 section 5); None when unsaid, empty for ``<>``.
        ret: the RET parameter (RFC 3461 section 4.3).
        envid: the ENVID parameter, decoded (RFC 3461 section 4.4); empty when unsaid.
        smtputf8: the SMTPUTF8 parameter (RFC 6531 section 3.4).
        verp: the delimiters of the XVERP parameter (VERP_README of Postfix); empty when unsaid.
    """

    sender: str
    size: int = 0
    body: BodyType = BodyType.UNSAID
    auth: str | None = None
    ret: Ret = Ret.UNSAID
    envid: str = ""
    smtputf8: bool = False
    verp: str = ""


class RcptCommand(Struct, frozen=True):
    """RCPT TO, parsed. ``orcpt`` is ``type;address`` with the address decoded (RFC 3461 section 4.2)."""

    recipient: str
    notify: Notify = Notify.UNSAID
    orcpt: str = ""


class BdatCommand(Struct, frozen=True):
    """BDAT, parsed (RFC 3030 section 2). ``size`` in octets."""

    size: int
    last: bool


class CommandError(Exception):
    """A command that cannot be understood.

    Attributes:
        reply: what the client is told.
        address: for the log, when an address in the command is no address; else empty.
    """

    def __init__(self, reply: Reply, address: str = "") -> None:
        super().__init__(str(reply))
        self.reply = reply
        self.address = address
