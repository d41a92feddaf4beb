"""The values of a POP3 session."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import NamedTuple


class State(enum.Enum):
    """RFC 1939 section 3. UPDATE has no commands: it is what QUIT does."""

    AUTHORIZATION = "AUTHORIZATION"
    TRANSACTION = "TRANSACTION"


class Verb(bytes, enum.Enum):
    """The commands. They are bytes, since those hash fast: a verb is looked up for each command."""

    APOP = b"APOP"
    AUTH = b"AUTH"
    CAPA = b"CAPA"
    DELE = b"DELE"
    LIST = b"LIST"
    NOOP = b"NOOP"
    PASS = b"PASS"
    QUIT = b"QUIT"
    RETR = b"RETR"
    RSET = b"RSET"
    STAT = b"STAT"
    STLS = b"STLS"
    TOP = b"TOP"
    UIDL = b"UIDL"
    USER = b"USER"


class Command(NamedTuple):
    """A command that its state allows, with arguments of the right form. A tuple: one is made for each RETR.

    Attributes:
        verb: which.
        text: the argument of USER and PASS; the mechanism of AUTH; else empty.
        numbers: a message number, and the number of lines of TOP; empty for LIST and UIDL without one.
        initial: the initial response of AUTH, as it stood there; None without.
    """

    verb: Verb
    text: bytes = b""
    numbers: tuple[int, ...] = ()
    initial: bytes | None = None


@dataclass(frozen=True, slots=True)
class SaslResponse:
    """A line that answers a SASL challenge."""

    line: bytes


@dataclass(frozen=True, slots=True)
class BadCommand:
    """A line that is no command here; ``reply`` is the text of the ``-ERR``."""

    reply: str


Event = Command | SaslResponse | BadCommand
