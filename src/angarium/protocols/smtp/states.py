"""The server's state machine as tables: what the octets mean, and which command may come when.

``Input`` is what the next octets are. DATA, AUTH and STARTTLS leave it to the reply what follows, so the session
stops there (``PAUSED``) until it is told; a BDAT chunk is fixed by the command itself. Behind a chunk that is not the
last it stops too: what the server makes of it decides whether the next chunk goes on with the same message.

=========  ==========================  =========================================
state      reads                       leaves it
=========  ==========================  =========================================
COMMAND    command lines               at DATA, AUTH, STARTTLS, QUIT -> PAUSED;
                                       at a good BDAT -> CHUNK;
                                       in lockstep at any -> PAUSED
PAUSED     nothing                     ``start_data``, ``start_lines``,
                                       ``start_chunk``, ``resume_commands``
DATA       a dot-stuffed message       at the final dot -> COMMAND
CHUNK      as many octets as promised  at the last of them -> PAUSED; of the
                                       last chunk -> COMMAND
LINES      lines of an AUTH dialogue   at each line -> PAUSED
CLOSED     nothing, drops all          never
=========  ==========================  =========================================
"""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Input(enum.Enum):
    """What the next octets are."""

    COMMAND = "command"
    PAUSED = "paused"
    DATA = "data"
    CHUNK = "chunk"
    LINES = "lines"
    CLOSED = "closed"


PAUSING = frozenset({"DATA", "AUTH", "STARTTLS", "QUIT"})
"""Commands whose reply decides what the octets behind them are."""

ENDS_TRANSACTION = frozenset({"RSET", "EHLO", "HELO"})
"""Commands that give up a message that comes in chunks."""


@dataclass(frozen=True, slots=True)
class CommandRule:
    """One row of the command table.

    Attributes:
        junk: counts against smtpd_junk_command_limit when no mail is delivered.
        before_tls: allowed before STARTTLS where TLS is mandatory.
        last: must be the last of a pipelined group (RFC 2920 section 3.1).
    """

    junk: bool = False
    before_tls: bool = False
    last: bool = False


COMMANDS: dict[str, CommandRule] = {
    "HELO": CommandRule(junk=True, before_tls=True, last=True),
    "EHLO": CommandRule(junk=True, before_tls=True, last=True),
    "XCLIENT": CommandRule(before_tls=True),
    "XFORWARD": CommandRule(),
    "STARTTLS": CommandRule(before_tls=True),
    "AUTH": CommandRule(),
    "MAIL": CommandRule(),
    "RCPT": CommandRule(),
    "DATA": CommandRule(last=True),
    "BDAT": CommandRule(),
    "RSET": CommandRule(junk=True),
    "NOOP": CommandRule(junk=True, before_tls=True, last=True),
    "VRFY": CommandRule(junk=True, last=True),
    "ETRN": CommandRule(junk=True),
    "QUIT": CommandRule(before_tls=True),
}
