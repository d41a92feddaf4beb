"""DNS for mail: mail exchangers, addresses, names of addresses, text records; each answer is one of three outcomes.

Owns the ``Resolver`` interface, the answer values, the bounded cache by TTL, and the back end on dnspython. A name that
does not exist, a name without such records and a name server that fails are told apart, since the first two may bounce
mail and the last one never does.

Guarantees: no exception escapes for any name or any answer; a lookup ends within its time limit; equal questions that
are asked at the same time are asked once. Numeric addresses are answered without a query.

Follows RFC 1035, RFC 2308 (negative answers), RFC 5321 section 5.1 for what a mail exchanger is, and smtp_host_lookup
of postconf(5) for the order of DNS and the hosts file.
"""

from __future__ import annotations

import asyncio
import functools
import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from angarium.model.domain import ascii_domain
from angarium.runtime.hosts import HostsFile, numeric_address

if TYPE_CHECKING:
    import dns.asyncresolver
    import dns.rdata
    import dns.resolver

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Mx:
    """One mail exchanger. The host ``""`` is the null MX of RFC 7505: the domain takes no mail."""

    preference: int
    host: str


@dataclass(frozen=True, slots=True)
class Srv:
    """One server of a service (RFC 2782). The host ``""`` says that the service is decidedly not there."""

    priority: int
    weight: int
    port: int
    host: str


@dataclass(frozen=True, slots=True)
class Tlsa:
    """One TLSA record (RFC 6698 section 2.1)."""

    usage: int
    selector: int
    matching: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Records(Generic[T_co]):
    """The records, at least one, in the server's order; ``ttl`` is the smallest, in seconds.

    ``secure``: the name server vouches for them by DNSSEC (RFC 4035 section 3.2.3), as far as it was asked to.
    ``canonical`` is the name at which they are, behind aliases; empty when there were none.
    """

    values: tuple[T_co, ...]
    ttl: float = 0.0
    secure: bool = False
    canonical: str = ""


@dataclass(frozen=True, slots=True)
class NoRecords:
    """An authoritative no: the name does not exist, or (``name_exists``) has no records of this type.

    ``secure`` as of ``Records``.
    """

    name_exists: bool = False
    secure: bool = False

    def __str__(self) -> str:
        return "Host found but no data record of requested type" if self.name_exists else "Host not found"


@dataclass(frozen=True, slots=True)
class DnsFailure:
    """No answer now: time limit, SERVFAIL, unreachable server, malformed reply. Try again later."""

    cause: str

    def __str__(self) -> str:
        return "Host not found, try again"


_EDNS_SIZE = 1232

Answer = Records[T] | NoRecords | DnsFailure

NATIVE_FIRST = ("native", "dns")


class Resolver(Protocol):
    """Asks names. Never raises for what a name or a server does."""

    async def mx(self, domain: str) -> Answer[Mx]:
        """Mail exchangers by preference, best first."""
        ...

    async def addresses(
        self, host: str, families: Sequence[int] = (4, 6), lookup: Sequence[str] = NATIVE_FIRST
    ) -> Answer[str]:
        """Addresses in text, those of the first family first.

        ``lookup`` names the sources in order (smtp_host_lookup): ``dns``, and ``native`` for the hosts file with DNS
        behind it, as the system's own resolver has it.
        """
        ...

    async def ptr(self, address: str) -> Answer[str]:
        """Names of an address."""
        ...

    async def txt(self, name: str) -> Answer[str]:
        """Text records, the strings of each joined."""
        ...

    async def ns(self, domain: str) -> Answer[str]:
        """Names of a domain's name servers."""
        ...

    async def srv(self, name: str) -> Answer[Srv]:
        """Servers of a service, ``_smtp._tcp.example.org``, by priority, best first."""
        ...

    async def tlsa(self, name: str) -> Answer[Tlsa]:
        """What a server's certificate must be (RFC 6698), of ``_25._tcp.mx.example.org``."""
        ...


class DnsResolver:
    """The resolver on dnspython's asynchronous one.

    Args:
        nameservers: ``(address, port)`` of the servers to ask; empty: those of ``/etc/resolv.conf``.
        timeout: seconds for one lookup, all servers and repetitions together.
        cache_size: answers kept; the one longest unused goes first.
        negative_ttl: seconds to keep a no; failures are kept for a tenth of it, so that a dead server is not asked
            again for each message.
        hosts: the hosts file.
        clock: monotonic seconds.
        dnssec: ask for DNSSEC, and believe what the name server says of it: it must be one that validates.
    """

    def __init__(
        self,
        nameservers: Sequence[tuple[str, int]] = (),
        *,
        timeout: float = 10.0,
        cache_size: int = 4096,
        maximum_ttl: float = 3600.0,
        negative_ttl: float = 60.0,
        hosts: HostsFile | None = None,
        clock: Callable[[], float] = time.monotonic,
        transitional: bool = False,
        dnssec: bool = False,
    ) -> None:
        self._dnssec = dnssec
        self._nameservers = tuple(nameservers)
        self._transitional = transitional
        self._timeout = timeout
        self._cache_size = cache_size
        self._maximum_ttl = maximum_ttl
        self._negative_ttl = negative_ttl
        self._hosts = hosts if hosts is not None else HostsFile()
        self._clock = clock
        self._cache: OrderedDict[tuple[str, str], tuple[float, Answer[object]]] = OrderedDict()
        self._asking: dict[tuple[str, str], asyncio.Task[Answer[object]]] = {}
        self._backend: dns.asyncresolver.Resolver | None = None

    async def mx(self, domain: str) -> Answer[Mx]:
        """Mail exchangers by preference, best first."""
        return await self._ask(domain, "MX", _read_mx, _by_preference)

    async def addresses(
        self, host: str, families: Sequence[int] = (4, 6), lookup: Sequence[str] = NATIVE_FIRST
    ) -> Answer[str]:
        """Addresses in text, those of the first family first; see ``Resolver.addresses``."""
        literal = numeric_address(host)
        if literal is not None:
            return Records((literal,)) if _family(literal) in families else NoRecords(name_exists=True)
        answer: Answer[str] = NoRecords()
        for source in lookup:
            found: Answer[str] = NoRecords()
            if source == "native":
                found = self._native(host, families)
            if not isinstance(found, Records):  # the system's resolver looks into both, too
                found = await self._dns(host, families)
            if isinstance(found, Records):
                return found
            # A failure stays the answer even when a later source says no: no source has denied the name for all.
            if not isinstance(answer, DnsFailure):
                answer = found
        return answer

    async def ptr(self, address: str) -> Answer[str]:
        """Names of an address, the hosts file's first."""
        literal = numeric_address(address)
        if literal is None:
            return NoRecords()
        name = self._hosts.name(literal)
        if name:
            return Records((name,))
        return await self._ask(ipaddress.ip_address(literal).reverse_pointer, "PTR", _read_target)

    async def txt(self, name: str) -> Answer[str]:
        """Text records, the strings of each joined."""
        return await self._ask(name, "TXT", _read_text)

    async def ns(self, domain: str) -> Answer[str]:
        """Names of a domain's name servers."""
        return await self._ask(domain, "NS", _read_target)

    async def srv(self, name: str) -> Answer[Srv]:
        """Servers of a service by priority, best first."""
        return await self._ask(name, "SRV", _read_srv, _by_priority)

    async def tlsa(self, name: str) -> Answer[Tlsa]:
        """TLSA records."""
        return await self._ask(name, "TLSA", _read_tlsa)

    def _native(self, host: str, families: Sequence[int]) -> Answer[str]:
        found = self._hosts.addresses(host)
        ordered = tuple(address for family in families for address in found if _family(address) == family)
        return Records(ordered) if ordered else NoRecords(name_exists=bool(found))

    async def _dns(self, host: str, families: Sequence[int]) -> Answer[str]:
        kinds = [{4: "A", 6: "AAAA"}[family] for family in families]
        if len(kinds) == 1:
            return await self._ask(host, kinds[0], _read_address)
        answers = await asyncio.gather(*(self._ask(host, kind, _read_address) for kind in kinds))
        records = [answer for answer in answers if isinstance(answer, Records)]
        if records:
            values = tuple(value for answer in records for value in answer.values)
            secure = all(answer.secure for answer in records)
            canonical = records[0].canonical
            return Records(values, min(answer.ttl for answer in records), secure, canonical)
        failures = [answer for answer in answers if isinstance(answer, DnsFailure)]
        if failures:
            return failures[0]
        return NoRecords(name_exists=any(isinstance(a, NoRecords) and a.name_exists for a in answers))

    async def _ask(
        self,
        name: str,
        kind: str,
        read: Callable[[dns.rdata.Rdata], T],
        order: Callable[[list[T]], list[T]] | None = None,
    ) -> Answer[T]:
        key = (name.lower().rstrip("."), kind)
        cached = self._cache.get(key)
        if cached is not None:
            if cached[0] > self._clock():
                self._cache.move_to_end(key)
                return cached[1]  # type: ignore[return-value]  # one kind of record has one type of value
            del self._cache[key]
        asking = self._asking.get(key)
        if asking is None:
            asking = asyncio.ensure_future(self._query(key[0], kind, read, order))
            self._asking[key] = asking
            asking.add_done_callback(functools.partial(self._answered, key))
        # Shielded: one impatient caller must not take the answer away from the others.
        return await asyncio.shield(asking)  # type: ignore[arg-type]  # as above

    def _answered(self, key: tuple[str, str], asking: asyncio.Task[Answer[object]]) -> None:
        del self._asking[key]
        if asking.cancelled() or asking.exception() is not None:
            return
        answer = asking.result()
        if isinstance(answer, Records):
            ttl = min(answer.ttl, self._maximum_ttl)
        else:
            ttl = self._negative_ttl * (0.1 if isinstance(answer, DnsFailure) else 1.0)
        if ttl > 0:
            self._cache[key] = (self._clock() + ttl, answer)
            if len(self._cache) > self._cache_size:
                self._cache.popitem(last=False)

    async def _query(
        self,
        name: str,
        kind: str,
        read: Callable[[dns.rdata.Rdata], T],
        order: Callable[[list[T]], list[T]] | None,
    ) -> Answer[object]:
        # Late: dnspython takes a tenth of a second to load, which the commands and the start should not pay.
        import dns.asyncresolver
        import dns.exception
        import dns.flags
        import dns.resolver

        try:
            backend = self._backend or self._make_backend()
            name = ascii_domain(name, transitional=self._transitional)
            answer = await backend.resolve(name + ".", kind, search=False, raise_on_no_answer=False)
            rrset = answer.rrset
            secure = self._dnssec and bool(answer.response.flags & dns.flags.AD)
            if rrset is None:
                return NoRecords(name_exists=True, secure=secure)
            values = [read(record) for record in rrset]
        except dns.resolver.NXDOMAIN as error:
            return NoRecords(secure=self._dnssec and _all_vouched_for(error))
        except (dns.resolver.NoNameservers, dns.resolver.NoResolverConfiguration, dns.resolver.YXDOMAIN) as error:
            return DnsFailure(str(error))
        except (dns.exception.Timeout, OSError, EOFError) as error:
            return DnsFailure(str(error) or type(error).__name__)
        except (dns.exception.DNSException, UnicodeError, ValueError):
            return NoRecords()  # what cannot be written as a domain name is no domain name
        canonical = "" if answer.canonical_name == answer.qname else _name_text(answer.canonical_name)
        ordered = tuple(order(values) if order is not None else values)
        return Records(ordered, float(rrset.ttl), secure, canonical)

    def _make_backend(self) -> dns.asyncresolver.Resolver:
        import dns.asyncresolver
        import dns.nameserver

        if self._nameservers:
            backend = dns.asyncresolver.Resolver(configure=False)
            backend.nameservers = [dns.nameserver.Do53Nameserver(host, port) for host, port in self._nameservers]
        else:
            backend = dns.asyncresolver.Resolver()
        if self._dnssec:
            import dns.flags

            backend.use_edns(0, dns.flags.DO, _EDNS_SIZE)
            backend.flags = dns.flags.RD | dns.flags.AD
        backend.lifetime = self._timeout
        backend.timeout = min(2.0, self._timeout)
        self._backend = backend
        return backend


@dataclass(slots=True)
class StaticResolver:
    """Answers from dictionaries; for tests and for ``smtp_dns_support_level = disabled``. What isn't there is a no."""

    exchangers: dict[str, Answer[Mx]] = field(default_factory=dict)
    hosts: dict[str, Answer[str]] = field(default_factory=dict)
    names: dict[str, Answer[str]] = field(default_factory=dict)
    texts: dict[str, Answer[str]] = field(default_factory=dict)
    name_servers: dict[str, Answer[str]] = field(default_factory=dict)
    services: dict[str, Answer[Srv]] = field(default_factory=dict)
    anchors: dict[str, Answer[Tlsa]] = field(default_factory=dict)

    async def mx(self, domain: str) -> Answer[Mx]:
        """From ``exchangers``."""
        return self.exchangers.get(domain.lower(), NoRecords(name_exists=domain.lower() in self.hosts))

    async def addresses(
        self, host: str, families: Sequence[int] = (4, 6), lookup: Sequence[str] = NATIVE_FIRST
    ) -> Answer[str]:
        """From ``hosts``."""
        del lookup
        literal = numeric_address(host)
        answer: Answer[str] = Records((literal,)) if literal else self.hosts.get(host.lower(), NoRecords())
        if not isinstance(answer, Records):
            return answer
        values = tuple(value for family in families for value in answer.values if _family(value) == family)
        if not values:
            return NoRecords(name_exists=True)
        return Records(values, secure=answer.secure, canonical=answer.canonical)

    async def ptr(self, address: str) -> Answer[str]:
        """From ``names``."""
        return self.names.get(address, NoRecords())

    async def txt(self, name: str) -> Answer[str]:
        """From ``texts``."""
        return self.texts.get(name.lower(), NoRecords())

    async def ns(self, domain: str) -> Answer[str]:
        """From ``name_servers``."""
        return self.name_servers.get(domain.lower(), NoRecords(name_exists=domain.lower() in self.hosts))

    async def srv(self, name: str) -> Answer[Srv]:
        """From ``services``."""
        return self.services.get(name.lower(), NoRecords())

    async def tlsa(self, name: str) -> Answer[Tlsa]:
        """From ``anchors``."""
        return self.anchors.get(name.lower(), NoRecords())


def _family(address: str) -> int:
    return 6 if ":" in address else 4


def _name_text(name: object) -> str:
    return str(name).rstrip(".")


def _read_mx(record: dns.rdata.Rdata) -> Mx:
    return Mx(int(record.preference), _name_text(record.exchange))  # type: ignore[attr-defined]  # by record type


def _read_address(record: dns.rdata.Rdata) -> str:
    return str(record.address)  # type: ignore[attr-defined]  # by record type


def _read_target(record: dns.rdata.Rdata) -> str:
    return _name_text(record.target)  # type: ignore[attr-defined]  # by record type


def _read_text(record: dns.rdata.Rdata) -> str:
    return b"".join(record.strings).decode("utf-8", "replace")  # type: ignore[attr-defined]  # by record type


def _read_srv(record: dns.rdata.Rdata) -> Srv:
    priority, weight, port = (int(getattr(record, name)) for name in ("priority", "weight", "port"))
    return Srv(priority, weight, port, _name_text(record.target))  # type: ignore[attr-defined]  # by record type


def _read_tlsa(record: dns.rdata.Rdata) -> Tlsa:
    return Tlsa(record.usage, record.selector, record.mtype, record.cert)  # type: ignore[attr-defined]  # by record type


def _all_vouched_for(error: dns.resolver.NXDOMAIN) -> bool:
    import dns.flags

    responses = error.responses()  # type: ignore[no-untyped-call]  # it has no types
    return bool(responses) and all(response.flags & dns.flags.AD for response in responses.values())


def _by_priority(records: list[Srv]) -> list[Srv]:
    return sorted(records, key=lambda record: record.priority)


def _by_preference(records: list[Mx]) -> list[Mx]:
    return sorted(records, key=lambda record: record.preference)
