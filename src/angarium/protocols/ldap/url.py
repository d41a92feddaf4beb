"""LDAP URLs (RFC 4516): ``ldap://host:port/dn?attributes?scope?filter``, also ``ldaps:`` and ``ldapi:``.

Fails with ValueError.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import unquote

from angarium.protocols.ldap.messages import Scope

_SCOPES = {"": Scope.BASE, "base": Scope.BASE, "one": Scope.ONE, "onelevel": Scope.ONE, "sub": Scope.SUB,
           "subtree": Scope.SUB}  # fmt: skip
_PORTS = {"ldap": 389, "ldaps": 636, "ldapi": 0}


@dataclass(frozen=True, slots=True)
class LdapUrl:
    """The parts of a URL.

    Attributes:
        scheme: ldap, ldaps or ldapi.
        host: a name or address; of ldapi: the path of the socket. Empty: the default.
        port: with the scheme's default.
        base: a DN.
        attributes: which ones are wanted; none: all.
        scope: base when it is not given.
        filter: as text; all entries when it is not given.
    """

    scheme: str
    host: str
    port: int
    base: str = ""
    attributes: tuple[str, ...] = ()
    scope: Scope = Scope.BASE
    filter: str = "(objectClass=*)"


def is_url(text: str) -> bool:
    """Whether a text wants to be an LDAP URL."""
    return text[:8].lower().startswith(("ldap://", "ldaps://", "ldapi://"))


def parse(text: str) -> LdapUrl:
    """Take a URL apart. Raises ValueError."""
    scheme, colon, rest = text.partition("://")
    scheme = scheme.lower()
    if not colon or scheme not in _PORTS:
        raise ValueError(f"not an LDAP URL: {text:.100}")
    authority, _, path = rest.partition("/")
    host, port = _authority(authority, _PORTS[scheme])
    if scheme == "ldapi":
        host, port = unquote(authority), 0
    parts = path.split("?")
    base, attributes, scope, where = [*parts, "", "", "", ""][:4]
    if scope.lower() not in _SCOPES:
        raise ValueError(f"not an LDAP URL: {text:.100}")
    return LdapUrl(
        scheme,
        host,
        port,
        unquote(base),
        tuple(unquote(name) for name in attributes.split(",") if name),
        _SCOPES[scope.lower()],
        unquote(where) or "(objectClass=*)",
    )


def _authority(text: str, default: int) -> tuple[str, int]:
    if text.startswith("["):
        host, _, port = text[1:].partition("]")
        port = port.removeprefix(":")
    else:
        host, _, port = text.partition(":")
    if port and not (port.isdecimal() and port.isascii() and int(port) < 65536):
        raise ValueError(f"bad port: {text:.100}")
    return unquote(host), int(port) if port else default
