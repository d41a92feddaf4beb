"""What can be the domain of an address: RFC 1035 names as Postfix tolerates them, and literals of RFC 5321 4.1.3.

A name has labels of 1 to 63 letters, digits, ``-`` and ``_`` that neither begin nor end with ``-``, is no longer than
255 characters and not all digits and dots. Letters beyond ASCII are taken as what IDNA makes of them.
"""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import ip_address

from angarium.model.domain import ascii_domain

_PLAIN = re.compile(
    r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?(?:\.[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?)*"
)


@lru_cache(maxsize=4096)
def valid_domain(domain: str) -> bool:
    """Whether mail can be addressed to it: a host name, or a literal in brackets."""
    return is_literal(domain) if domain.startswith("[") else valid_hostname(domain)


def valid_hostname(name: str) -> bool:
    """See the module (postfix ``valid_hostname``)."""
    if not name or len(name) > 255 or name.replace(".", "").isdigit():
        return False
    if not name.isascii():
        try:
            name = ascii_domain(name)
        except UnicodeError:
            return False
    return _PLAIN.fullmatch(name) is not None


def is_literal(name: str) -> bool:
    """``[192.0.2.1]`` or ``[IPv6:2001:db8::1]``."""
    if not name.endswith("]"):
        return False
    inner = name[1:-1]
    tagged = inner[:5].lower() == "ipv6:"
    try:
        version = ip_address(inner[5:] if tagged else inner).version
    except ValueError:
        return False
    return version == (6 if tagged else 4)


def is_address(text: str) -> bool:
    """An IP address without brackets."""
    if not (text[:1].isdigit() or ":" in text):
        return False
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
