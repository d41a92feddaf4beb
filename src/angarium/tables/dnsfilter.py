"""A resolver that leaves out what a lookup table says: postconf(5) ``smtpd_dns_reply_filter`` and its like.

Each record is looked up as ``name ttl class type preference value``; the result ``IGNORE`` leaves it out. The time to
live is the smallest of the answer, which is all that is known of it.

Failures: when nothing is left of an answer, or the table cannot be asked, that is a failure of the DNS: later.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from angarium.model.lookup import Found, TemporaryError
from angarium.runtime.dns import NATIVE_FIRST, Answer, DnsFailure, Mx, Records, Resolver, Srv, Tlsa
from angarium.tables.maps import Maps

T = TypeVar("T")


class FilteredResolver:
    """``Resolver`` with a filter on the answers of MX, A, AAAA, TXT and TLSA.

    Args:
        resolver: asks.
        maps: the filter.
        warn: takes what the administrator should know.
    """

    def __init__(self, resolver: Resolver, maps: Maps, warn: Callable[[str], None]) -> None:
        self._resolver = resolver
        self._maps = maps
        self._warn = warn

    async def mx(self, domain: str) -> Answer[Mx]:
        """Mail exchangers."""
        answer = await self._resolver.mx(domain)
        return await self._left(answer, domain, "MX", lambda each: f"{each.preference} {each.host}.")

    async def addresses(
        self, host: str, families: Sequence[int] = (4, 6), lookup: Sequence[str] = NATIVE_FIRST
    ) -> Answer[str]:
        """Addresses."""
        answer = await self._resolver.addresses(host, families, lookup)
        return await self._left(answer, host, "", str)

    async def ptr(self, address: str) -> Answer[str]:
        """Names of an address; not filtered."""
        return await self._resolver.ptr(address)

    async def txt(self, name: str) -> Answer[str]:
        """Text records."""
        return await self._left(await self._resolver.txt(name), name, "TXT", str)

    async def ns(self, domain: str) -> Answer[str]:
        """Names of name servers; not filtered."""
        return await self._resolver.ns(domain)

    async def srv(self, name: str) -> Answer[Srv]:
        """Servers of a service; not filtered."""
        return await self._resolver.srv(name)

    async def tlsa(self, name: str) -> Answer[Tlsa]:
        """TLSA records."""
        answer = await self._resolver.tlsa(name)
        return await self._left(
            answer, name, "TLSA", lambda each: f"{each.usage} {each.selector} {each.matching} {each.data.hex()}"
        )

    async def _left(self, answer: Answer[T], name: str, kind: str, shown: Callable[[T], str]) -> Answer[T]:
        if not isinstance(answer, Records):
            return answer
        name = name.removesuffix(".")
        values = []
        for value in answer.values:
            text = shown(value)
            record_type = kind or ("AAAA" if ":" in text else "A")
            query = f"{name}. {answer.ttl:.0f} IN {record_type} {text}"
            found = await self._maps.find(query)
            if isinstance(found, TemporaryError):
                return DnsFailure(f"{found.source}: {found.cause}")
            if not isinstance(found, Found):
                values.append(value)
            elif found.value.strip().upper() != "IGNORE":
                self._warn(f'{self._maps.parameter}: unknown DNS filter action: "{found.value}"')
                return DnsFailure(f"{found.source}: unknown action")
        if len(values) == len(answer.values):
            return answer
        if not values:
            return DnsFailure("DNS reply filter drops all results")
        return Records(tuple(values), answer.ttl, answer.secure, answer.canonical)
