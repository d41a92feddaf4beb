"""The mechanisms: PLAIN (RFC 4616) and LOGIN (draft-murchison-sasl-login, as every client speaks it).

A mechanism is made for one exchange. ``start`` takes the decoded initial response, or None when the client sent none;
``step`` takes each decoded answer to a challenge. ``Credentials`` or ``SaslError`` end it.

Guarantees: bounded names and passwords; a NUL never gets into either; an authorization identity other than the
user's own is refused (RFC 4616 section 2: the server verifies it, and we have nobody who may act for others).
A mechanism that checks without a clear password (SCRAM) will add its own kind of answer beside ``Credentials``.
"""

from __future__ import annotations

from typing import Protocol

from angarium.protocols.sasl.types import Challenge, Credentials, Fault, SaslError, Secret, Step

NAME_LIMIT = 1024
PASSWORD_LIMIT = 4096


class Mechanism(Protocol):
    """One exchange of one mechanism."""

    name: str

    def start(self, initial: bytes | None) -> Step:
        """Begin, with the client's initial response if there was one."""
        ...

    def step(self, response: bytes) -> Step:
        """Take the client's answer to the last challenge."""
        ...


def _text(data: bytes, limit: int) -> str | None:
    """``data`` as text; None when it is empty, too long, not UTF-8 or has a NUL in it."""
    if not data or len(data) > limit or b"\0" in data:
        return None
    try:
        return data.decode()
    except UnicodeDecodeError:
        return None


def credentials(authzid: bytes, user: bytes, password: bytes) -> Credentials | SaslError:
    """Check the three texts of a clear-text log-in. POP3's USER and PASS and IMAP's LOGIN use it too."""
    name = _text(user, NAME_LIMIT)
    if name is None:
        return SaslError(Fault.SYNTAX, "malformed user name")
    secret = _text(password, PASSWORD_LIMIT)
    if secret is None:
        return SaslError(Fault.SYNTAX, "malformed password")
    acting_as = ""
    if authzid:
        acting_as = _text(authzid, NAME_LIMIT) or ""
        if acting_as.casefold() != name.casefold():
            return SaslError(Fault.AUTHORIZATION, "authorization identity is not the user")
    return Credentials(acting_as, name, Secret(secret))


class Plain:
    """``[authzid] NUL authcid NUL passwd`` in one message (RFC 4616 section 2)."""

    name = "PLAIN"

    def start(self, initial: bytes | None) -> Step:
        """An absent initial response is asked for with an empty challenge."""
        return Challenge(b"") if initial is None else self.step(initial)

    def step(self, response: bytes) -> Step:
        """The one message."""
        fields = response.split(b"\0", 3)
        if len(fields) != 3:
            return SaslError(Fault.SYNTAX, "PLAIN wants three fields")
        return credentials(fields[0], fields[1], fields[2])


class Login:
    """The user name, then the password, each asked for by a challenge. An initial response is the user name."""

    name = "LOGIN"

    def __init__(self) -> None:
        self._user = b""

    def start(self, initial: bytes | None) -> Step:
        """An empty initial response counts as none."""
        return self.step(initial) if initial else Challenge(b"Username:")

    def step(self, response: bytes) -> Step:
        """The user name first, the password second."""
        if self._user:
            return credentials(b"", self._user, response)
        if _text(response, NAME_LIMIT) is None:
            return SaslError(Fault.SYNTAX, "malformed user name")
        self._user = response
        return Challenge(b"Password:")


MECHANISMS: dict[str, type[Plain | Login]] = {"PLAIN": Plain, "LOGIN": Login}
"""What we speak, in the order of announcement."""


def mechanism(name: str) -> Mechanism | None:
    """A new exchange of the mechanism of that name, in any case; None when we don't speak it."""
    kind = MECHANISMS.get(name.upper())
    return kind() if kind is not None else None
