"""Where an account's files are: ``<base>/<domain>/<local>/mail.sqlite`` and, for large bodies, ``bodies/`` beside it.

An account name becomes two path components that cannot leave the base: lower case, and every byte that is not a plain
character is written ``%XX``, so that different accounts never share a directory. A name that is too long for a
component ends in a digest instead.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from angarium.mailstore.interface import MailstoreError

DATABASE = "mail.sqlite"
BODIES = "bodies"

_PLAIN = frozenset(b"abcdefghijklmnopqrstuvwxyz0123456789_-+=.")
_MAX_COMPONENT = 200


class AccountNameError(MailstoreError):
    """A name that no account can have: empty, without a local part or a domain, or with a NUL."""


def account_directory(base: Path, account: str) -> Path:
    """The directory of ``user@domain``. Raises AccountNameError."""
    local, at, domain = account.rpartition("@")
    if not local or not at or not domain or "\0" in account:
        msg = f"not an account name: {account!r}"
        raise AccountNameError(msg)
    return base / component(domain) / component(local)


def domain_directory(base: Path, account: str) -> Path:
    """The directory of the domain of an account."""
    return account_directory(base, account).parent


def component(text: str) -> str:
    """The name of a directory for a part of an account's name."""
    raw = text.casefold().encode("utf-8", "surrogateescape")
    name = "".join([chr(byte) if byte in _PLAIN else f"%{byte:02X}" for byte in raw])
    if name.startswith("."):
        name = "%2E" + name[1:]
    if len(name) > _MAX_COMPONENT:
        name = name[:_MAX_COMPONENT] + "%" + hashlib.sha256(raw).hexdigest()[:32]
    return name
