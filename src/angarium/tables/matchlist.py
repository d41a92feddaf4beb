"""Match lists: mynetworks, mydestination, relay_domains and their like.

A list holds patterns, asked in order; the first that matches decides, ``!`` before it makes that a no. A pattern is
a name, ``type:table`` (the key being there is what counts), ``/file`` (more patterns), and in lists of clients an
address or a network (postconf(5), mynetworks). Names do not mind their case. A parent's name matches its
subdomains when ``parent_domain_matches_subdomains`` lists the parameter; else ``.parent`` does.

Failures: a table or file that cannot be asked, and a network with host bits set, are temporary errors when the search
reaches them. Answers carry the pattern as the value and the parameter, or the file and line, as the source.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from pathlib import Path

from angarium.model.lookup import NOT_FOUND, Found, Lookup, NotFound, TemporaryError
from angarium.tables.interface import OpensTables, Table
from angarium.tables.maps import parent_domains
from angarium.tables.text import logical_lines, split_list
from angarium.tables.watch import WatchedFile

_NESTING_LIMIT = 10
_CLIENTS = 1024
"""Clients whose answer a list keeps."""


@dataclass(frozen=True, slots=True)
class _Pattern:
    """One pattern: exactly one of ``name``, ``network``, ``table``, ``file`` and ``fault`` says what it is."""

    text: str
    source: str
    negated: bool
    name: str = ""
    network: IPv4Network | IPv6Network | None = None
    table: Table | None = None
    file: WatchedFile[tuple[_Pattern, ...]] | None = None
    fault: str = ""


class MatchList:
    """The patterns of one parameter.

    Args:
        parameter: its name, for ``source``.
        patterns: its value, split.
        opener: opens tables.
        networks: it is a list of clients; patterns may be addresses and networks.
        bare_parents: ``example.org`` matches ``host.example.org`` too (parent_domain_matches_subdomains).
    """

    def __init__(
        self,
        parameter: str,
        patterns: Sequence[str],
        opener: OpensTables,
        *,
        networks: bool = False,
        bare_parents: bool = False,
    ) -> None:
        self._parameter = parameter
        self._opener = opener
        self._networks = networks
        self._bare_parents = bare_parents
        self._patterns = tuple(self._compile(text, parameter, 0) for text in patterns)
        plain = all(each.name and not each.negated for each in self._patterns)
        self._plain: dict[str, _Pattern] | None = (
            {each.name: each for each in reversed(self._patterns)} if plain else None
        )
        fixed = all(each.table is None and each.file is None for each in self._patterns)
        self._clients: dict[tuple[str, str], Lookup] | None = {} if fixed else None

    def __bool__(self) -> bool:
        return bool(self._patterns)

    def _compile(self, text: str, source: str, depth: int) -> _Pattern:
        body = text.lstrip("!")
        negated = (len(text) - len(body)) % 2 == 1
        if body.startswith("/"):
            if depth >= _NESTING_LIMIT:
                return _Pattern(text, source, negated, fault="files include one another too deeply")
            path = Path(body)
            return _Pattern(text, source, negated, file=WatchedFile(path, lambda raw: self._read(path, raw, depth)))
        if self._networks and (body[:1].isdigit() or body.startswith("[") or "::" in body):
            return self._compile_network(text, body, source, negated)
        if ":" in body and not body.startswith("["):
            return _Pattern(text, source, negated, table=self._opener.open(body))
        return _Pattern(text, source, negated, name=body.lower())

    @staticmethod
    def _compile_network(text: str, body: str, source: str, negated: bool) -> _Pattern:
        try:
            network = ip_network(body.replace("[", "").replace("]", ""), strict=True)
        except ValueError:
            if body[:1].isdigit() and "/" not in body and not body.replace(".", "").isdigit():
                return _Pattern(text, source, negated, name=body.lower())
            return _Pattern(text, source, negated, fault=_network_fault(body))
        return _Pattern(text, source, negated, network=network)

    def _read(self, path: Path, raw: str, depth: int) -> tuple[_Pattern, ...]:
        patterns: list[_Pattern] = []
        for number, line in logical_lines(raw):
            source = f"{path}:{number}"
            try:
                patterns += (self._compile(word, source, depth + 1) for word in split_list(line))
            except ValueError as error:
                patterns.append(_Pattern(line, source, negated=False, fault=f"{error} in {line!r}"))
        return tuple(patterns)

    async def match_domain(self, domain: str) -> Lookup:
        """Whether the list holds a domain."""
        key = domain.lower()
        if self._plain is not None:
            if key in self._plain:
                return self._found(self._plain[key])
            for parent in parent_domains(key, bare=self._bare_parents):
                if parent in self._plain:
                    return self._found(self._plain[parent])
            return NOT_FOUND
        return await self._match(self._patterns, (key, *parent_domains(key, bare=self._bare_parents)), None)

    async def match_client(self, name: str, address: str) -> Lookup:
        """Whether the list holds a client, by its verified name (or ``unknown``) or its address.

        A list without tables and files gives the same answer each time; the last clients' are kept.
        """
        known = self._clients
        if known is None:
            return await self._match_client(name, address)
        place = name, address
        answer = known.get(place)
        if answer is None:
            answer = await self._match_client(name, address)
            if len(known) >= _CLIENTS:
                known.clear()
            known[place] = answer
        return answer

    async def _match_client(self, name: str, address: str) -> Lookup:
        number = _address(address)
        key = name.lower()
        if key == "unknown":
            return await self._match(self._patterns, (address,), number)
        keys = (key, *parent_domains(key, bare=self._bare_parents), address)
        return await self._match(self._patterns, keys, number)

    async def match_string(self, text: str) -> Lookup:
        """Whether the list holds a word."""
        return await self._match(self._patterns, (text.lower(),), None)

    async def _match(
        self, patterns: Sequence[_Pattern], keys: Sequence[str], address: IPv4Address | IPv6Address | None
    ) -> Lookup:
        return await self._search(patterns, keys, address, negated=False) or NOT_FOUND

    async def _search(
        self,
        patterns: Sequence[_Pattern],
        keys: Sequence[str],
        address: IPv4Address | IPv6Address | None,
        *,
        negated: bool,
    ) -> Lookup | None:
        """The answer of the first pattern that matches; None when none does.

        The patterns of a file stand in the list where the file does, so a match in it ends the search, whichever way;
        ``!`` before the file turns each of them round.
        """
        for pattern in patterns:
            turned = pattern.negated != negated
            if pattern.file is not None:
                try:
                    nested = pattern.file.current()
                except OSError as error:
                    return TemporaryError(f"open {pattern.file.path}: {error.strerror}", self._parameter)
                answer = await self._search(nested, keys, address, negated=turned)
                if answer is not None:
                    return answer
                continue
            result = await self._match_one(pattern, keys, address)
            if isinstance(result, TemporaryError):
                return result
            if isinstance(result, Found):
                return NOT_FOUND if turned else result
        return None

    async def _match_one(
        self, pattern: _Pattern, keys: Sequence[str], address: IPv4Address | IPv6Address | None
    ) -> Lookup:
        if pattern.name:
            return self._found(pattern) if pattern.name in keys else NOT_FOUND
        if pattern.network is not None:
            return self._found(pattern) if address is not None and address in pattern.network else NOT_FOUND
        if pattern.table is not None:
            return await self._match_table(pattern.table, keys)
        return TemporaryError(pattern.fault, pattern.source)

    async def _match_table(self, table: Table, keys: Sequence[str]) -> Lookup:
        whole = dict.fromkeys((keys[0], keys[-1])) if self._networks else keys[:1]
        for key in whole if table.pattern else keys:
            result = await table.lookup(key)
            if not isinstance(result, NotFound):
                return result
        return NOT_FOUND

    @staticmethod
    def _found(pattern: _Pattern) -> Found:
        return Found(pattern.text, pattern.source)

    def names(self) -> Iterator[str]:
        """The patterns as they are written."""
        return (each.text for each in self._patterns)


def _network_fault(text: str) -> str:
    """What is wrong with a network, and what may have been meant."""
    try:
        meant = ip_network(text.replace("[", "").replace("]", ""), strict=False)
    except ValueError:
        return f'bad address pattern: "{text}"'
    return f'non-null host address bits in "{text}", perhaps you should use "{meant}" instead'


@lru_cache(maxsize=1024)
def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return address if mapped is None else mapped
