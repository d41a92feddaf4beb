"""The tables of one parameter, asked in order, and the order of keys in which an address is looked up.

The orders are those of the manual pages: ``find_address`` of virtual(5) and canonical(5), ``access_address`` of
access(5), ``host_keys`` and ``network_keys`` of access(5). Tables of patterns see whole keys alone.

Failures: the first table that cannot be asked ends the search with its temporary error; later tables might hold
the key, but the answer would be a guess.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass

from msgspec import Struct

from angarium.model.address import Address
from angarium.model.lookup import NOT_FOUND, Found, Lookup, NotFound, TemporaryError
from angarium.protocols.smtp.path import quote_address
from angarium.tables.interface import Table
from angarium.tables.opener import TableOpener


@dataclass(frozen=True, slots=True)
class Maps:
    """The tables that ``parameter`` lists."""

    parameter: str
    tables: tuple[Table, ...]

    @classmethod
    def open(cls, parameter: str, names: Sequence[str], opener: TableOpener) -> Maps:
        """Open each ``type:name``."""
        return cls(parameter, tuple(opener.open(name) for name in names))

    def __bool__(self) -> bool:
        return bool(self.tables)

    async def find(self, key: str, *, partial: bool = False) -> Lookup:
        """The first table's value for ``key``; ``partial`` leaves the tables of patterns out.

        An empty value is a fault of the table and a temporary error.
        """
        if not key:
            return NOT_FOUND
        for table in self.tables:
            if partial and table.pattern:
                continue
            result = await table.lookup(key)
            if result is NOT_FOUND or isinstance(result, NotFound):
                continue
            if isinstance(result, Found) and not result.value:
                return TemporaryError(f"{self.parameter} lookup of {key} returns an empty string result", table.name)
            return result
        return NOT_FOUND


class AddressMatch(Struct, frozen=True):
    """What ``find_address`` found: the value, and the extension that no key matched (``+ext``).

    A catch-all (``@domain``) matches any user, extension and all.
    """

    found: Found
    extension: str = ""


async def find_address(
    maps: Maps, address: str, delimiters: str, is_local: Callable[[str], Awaitable[bool]] | None = None
) -> AddressMatch | NotFound | TemporaryError:
    """Look up as virtual(5) has it: ``user+ext@domain``, ``user@domain``, ``user+ext``, ``user``, ``@domain``.

    Args:
        maps: what to ask.
        address: internal form.
        delimiters: ``recipient_delimiter``.
        is_local: whether bare users may match this domain (it is ``$myorigin``, in ``$mydestination`` or one of our
            addresses); None: never.
    """
    if not maps:
        return NOT_FOUND
    parts = Address.split(address)
    user, extension = parts.extension(delimiters) if delimiters else (parts.local, "")
    at_domain = f"@{parts.domain}" if parts.domain else ""
    result = await _find_forms(maps, address, partial=False)
    if result is not NOT_FOUND:
        return AddressMatch(result) if isinstance(result, Found) else result
    keys: list[tuple[str, str]] = []
    if extension:
        keys.append((user + at_domain, extension))
    if at_domain and is_local is not None and await is_local(parts.domain):
        keys.append((parts.local, ""))
        if extension:
            keys.append((user, extension))
    for key, unmatched in keys:
        result = await _find_forms(maps, key, partial=True)
        if isinstance(result, Found):
            return AddressMatch(result, unmatched)
        if isinstance(result, TemporaryError):
            return result
    if not at_domain:
        return NOT_FOUND
    result = await maps.find(at_domain, partial=True)
    return AddressMatch(result) if isinstance(result, Found) else result


async def _find_forms(maps: Maps, key: str, *, partial: bool) -> Lookup:
    """Ask with the quoted form first, then with the internal one: tables may have either."""
    quoted = quote_address(key)
    if quoted != key:
        result = await maps.find(quoted, partial=partial)
        if result is not NOT_FOUND:
            return result
    return await maps.find(key, partial=partial)


def parent_domains(domain: str, *, bare: bool) -> Iterator[str]:
    """The parents of ``domain``, nearest first: ``example.org``, ``org`` when ``bare``, else with a leading dot."""
    rest = domain
    while (dot := rest.find(".", 1 if rest.startswith(".") else 0)) >= 0:
        rest = rest[dot + 1 :]
        if not rest:
            return
        yield rest if bare else "." + rest


def host_keys(name: str, *, bare: bool) -> Iterator[str]:
    """access(5), host names: the name, then its parents."""
    yield name
    yield from parent_domains(name, bare=bare)


def network_keys(address: str) -> Iterator[str]:
    """access(5), addresses: the whole, then ever fewer octets (IPv4) or groups (IPv6)."""
    yield address
    separator = ":" if ":" in address else "."
    rest = address
    while (cut := rest.rfind(separator)) > 0:
        rest = rest[:cut].rstrip(separator)
        if rest:
            yield rest


async def access_address(maps: Maps, address: str, delimiters: str, *, bare_parents: bool) -> Lookup:
    """access(5), e-mail addresses: ``user+ext@domain``, ``user@domain``, the domain and its parents, ``user@``."""
    parts = Address.split(address)
    user, extension = parts.extension(delimiters) if delimiters else (parts.local, "")
    result = await maps.find(address)
    if result is not NOT_FOUND:
        return result
    keys: list[str] = []
    if extension:
        keys.append(f"{user}@{parts.domain}")
    if parts.domain:
        keys.extend(host_keys(parts.domain, bare=bare_parents))
    keys.append(f"{parts.local}@")
    if extension:
        keys.append(f"{user}@")
    for key in keys:
        result = await maps.find(key, partial=True)
        if result is not NOT_FOUND:
            return result
    return NOT_FOUND
