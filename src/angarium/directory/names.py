"""Names in the directory: how they are folded, and which are allowed.

Guarantees: a name that passes fits in an SMTP command without quoting, in a lookup table without escaping, in a log
line and in a file name (no ``/``, no control characters, never ``.`` or ``..``).

Follows RFC 5321 sections 2.3.5 and 4.1.2 (a local part is a dot-string) and RFC 6531 section 3.3 (both parts may be
beyond ASCII).
"""

from __future__ import annotations

import re

from angarium.directory.interface import InvalidNameError
from angarium.model.address import Address

_LABEL = re.compile(r"[\w](?:[\w-]{0,61}[\w])?")
_LOCAL = re.compile(r"[\w!#$%&'*+=?^`{|}~-]+(?:\.[\w!#$%&'*+=?^`{|}~-]+)*")
_MAX_DOMAIN = 253
_MAX_LOCAL = 64


def fold_domain(name: str) -> str:
    """The canonical form of a domain. Raises InvalidNameError."""
    folded = name.casefold()
    if len(folded) > _MAX_DOMAIN or not all(_LABEL.fullmatch(label) for label in folded.split(".")):
        msg = f"not a domain name: {name!r}"
        raise InvalidNameError(msg)
    return folded


def fold_address(address: str) -> str:
    """The canonical form of an account's address. Raises InvalidNameError."""
    parts = Address.split(address)
    local = parts.local.casefold()
    if not parts.domain:
        msg = f"not an address with a domain: {address!r}"
        raise InvalidNameError(msg)
    if len(local) > _MAX_LOCAL or _LOCAL.fullmatch(local) is None:
        msg = f"not a local part that an account can have: {parts.local!r}"
        raise InvalidNameError(msg)
    return f"{local}@{fold_domain(parts.domain)}"


def fold_alias(address: str) -> str:
    """The canonical form of an alias: an address, or ``@domain``. Raises InvalidNameError."""
    return f"@{fold_domain(address[1:])}" if address.startswith("@") else fold_address(address)


def check_destination(address: str) -> str:
    """A destination as it is kept: any address with a domain, its case untouched. Raises InvalidNameError."""
    parts = Address.split(address)
    if not parts.local or not address.isprintable() or any(char in address for char in ' ,"<>()'):
        msg = f"not an address that an alias can lead to: {address!r}"
        raise InvalidNameError(msg)
    fold_domain(parts.domain)
    return address


def domain_of(address: str) -> str:
    """The domain of a folded address or alias."""
    return address.rpartition("@")[2]
