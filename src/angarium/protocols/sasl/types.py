"""The values of a SASL exchange.

Owns: ``Secret``, what a mechanism answers (``Challenge``, ``Credentials``, ``SaslError``) and the kinds of fault.
Guarantees: a password that travels as a ``Secret`` appears in no ``repr``, log line, traceback or pickle.
"""

from __future__ import annotations

import enum
import hmac
from dataclasses import dataclass
from typing import NoReturn


class Secret:
    """A text that does not print. ``reveal`` is the one way to it, so that its uses can be found."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself: for the check of a password and nothing else."""
        return self._text

    def __repr__(self) -> str:
        return "Secret(...)"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._text.encode(), other.reveal().encode())

    __hash__ = None  # type: ignore[assignment]  # a password is no key of a table

    def __reduce__(self) -> NoReturn:
        msg = "a secret does not leave the process"
        raise TypeError(msg)


class Fault(enum.Enum):
    """Why an exchange ended without credentials. Each protocol has its own reply for each kind."""

    CANCELLED = "cancelled"  # the client sent "*": SMTP 501, IMAP BAD, POP3 -ERR
    ENCODING = "encoding"  # not base64: SMTP 501, IMAP BAD
    TOO_LONG = "too long"  # over the bound: SMTP 500
    SYNTAX = "syntax"  # base64, but not what the mechanism wants: SMTP 501 or 535
    AUTHORIZATION = "authorization"  # asked to act as somebody else: counts as a failed log-in


@dataclass(frozen=True, slots=True)
class Challenge:
    """The exchange goes on: send these bytes (base64 on the wire) and hand the client's answer to ``step``."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Credentials:
    """The exchange is over; whether the password is right is the authenticator's question.

    Attributes:
        authzid: empty, or the same name as ``user``: a mechanism refuses anybody else.
        user: what the client typed.
        password: in clear.
    """

    authzid: str
    user: str
    password: Secret


@dataclass(frozen=True, slots=True)
class SaslError:
    """The exchange is over without credentials; ``reason`` is for the log."""

    fault: Fault
    reason: str


Step = Challenge | Credentials | SaslError
