"""The table of commands: in which state each is allowed, and the form of its arguments.

RFC 1939 sections 4 to 7, RFC 2449 section 5 (CAPA in both states), RFC 2595 section 4 (STLS before the log-in alone),
RFC 5034 section 4 (AUTH before the log-in alone).
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from angarium.protocols.pop3.types import State, Verb


class Form(enum.Enum):
    """What follows a command."""

    NOTHING = "nothing"
    TEXT = "the rest of the line, blanks and all"
    MECHANISM = "nothing, or a mechanism and perhaps an initial response"
    MESSAGE = "a message number"
    MESSAGE_OR_NOTHING = "nothing, or a message number"
    MESSAGE_AND_LINES = "a message number and a number of lines"


@dataclass(frozen=True, slots=True)
class Rule:
    """Where a command is allowed, and how it looks."""

    states: frozenset[State]
    form: Form


_LOGIN = frozenset({State.AUTHORIZATION})
_MAIL = frozenset({State.TRANSACTION})
_BOTH = _LOGIN | _MAIL

RULES: dict[Verb, Rule] = {
    Verb.APOP: Rule(_LOGIN, Form.TEXT),
    Verb.AUTH: Rule(_LOGIN, Form.MECHANISM),
    Verb.CAPA: Rule(_BOTH, Form.NOTHING),
    Verb.DELE: Rule(_MAIL, Form.MESSAGE),
    Verb.LIST: Rule(_MAIL, Form.MESSAGE_OR_NOTHING),
    Verb.NOOP: Rule(_MAIL, Form.NOTHING),
    Verb.PASS: Rule(_LOGIN, Form.TEXT),
    Verb.QUIT: Rule(_BOTH, Form.NOTHING),
    Verb.RETR: Rule(_MAIL, Form.MESSAGE),
    Verb.RSET: Rule(_MAIL, Form.NOTHING),
    Verb.STAT: Rule(_MAIL, Form.NOTHING),
    Verb.STLS: Rule(_LOGIN, Form.NOTHING),
    Verb.TOP: Rule(_MAIL, Form.MESSAGE_AND_LINES),
    Verb.UIDL: Rule(_MAIL, Form.MESSAGE_OR_NOTHING),
    Verb.USER: Rule(_LOGIN, Form.TEXT),
}
