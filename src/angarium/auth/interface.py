"""Who a client is: ``Authenticator`` is what smtpd, imapd and pop3d ask, without knowing what stands behind it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Accepted:
    """The credentials are right. ``account`` is the canonical name of the mailbox, ``user@domain``."""

    account: str


@dataclass(frozen=True, slots=True)
class Refused:
    """The credentials are wrong; ``reason`` (``unknown user``, ``Password mismatch``) is for the log, not the peer."""

    reason: str


@dataclass(frozen=True, slots=True)
class Unavailable:
    """Nobody can tell now: a temporary failure."""

    cause: str


Outcome = Accepted | Refused | Unavailable


class Authenticator(Protocol):
    """Checks credentials. Calls may take a while (password hashing); they do not block the event loop."""

    async def check_password(self, user: str, password: str) -> Outcome:
        """Check a clear-text password. ``user`` is what the client typed, before normalisation."""
        ...
