"""From a destination to the addresses to try, in order: mail exchangers, address records, loops.

RFC 5321 section 5.1: exchangers by preference, equal ones in random order; without any, the domain's own address;
a null MX (RFC 7505) takes no mail. When this host is an exchanger of the domain, exchangers of the same and of worse
preference are left out, for they would send the mail back to us; when that leaves none, the mail loops.

A service of use_srv_lookup is asked for by SRV records instead (RFC 2782).

Fails with ``TroubleError``, its status telling the three outcomes of DNS apart: a failure of a name server is 4.4.3.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from angarium.agents.smtp.destination import Destination
from angarium.agents.smtp.parameters import SmtpParameters
from angarium.agents.smtp.trouble import TroubleError
from angarium.model.dsn import Dsn
from angarium.runtime.dns import Answer, DnsFailure, Mx, NoRecords, Records, Resolver, Srv

LOOP = Dsn(5, 4, 6)
"""The status of mail that loops (RFC 3463 section 3.5)."""

_FAMILY_TYPES = {4: "A", 6: "AAAA"}


@dataclass(frozen=True, slots=True)
class Target:
    """One address to try; a unix socket has its path for an address and no port.

    Attributes:
        canonical: the host's name behind aliases; empty when there were none.
        secure: DNSSEC vouches for the address.
        secure_exchanger: and for this host's being the one to ask.
    """

    host: str
    address: str
    port: int
    preference: int = 0
    canonical: str = ""
    secure: bool = False
    secure_exchanger: bool = True

    @property
    def peer(self) -> str:
        """``host[address]``, as the log names it."""
        return f"{self.host}[{self.address}]"

    @property
    def relay(self) -> str:
        """``host[address]:port``, as ``relay=`` shows it; ``host[path]`` for a unix socket."""
        return f"{self.host}[{self.address}]:{self.port}" if self.port else self.peer


class HostFinder:
    """Finds targets. ``shuffle`` puts a list into random order, in place; ``weigh`` gives numbers from 0 to 1."""

    def __init__(
        self,
        parameters: SmtpParameters,
        resolver: Resolver,
        shuffle: Callable[[list[Target]], None] = random.shuffle,
        weigh: Callable[[], float] = random.random,
    ) -> None:
        self._parameters = parameters
        self._resolver = resolver
        self._shuffle = shuffle
        self._weigh = weigh

    async def find(self, destination: Destination) -> Sequence[Target]:
        """The targets of a destination, best first, at most smtp_mx_address_limit.

        Raises:
            TroubleError: there are none.
        """
        if destination.path:
            return (Target(self._parameters.myhostname, destination.path, 0),)
        if destination.exchangers and self._parameters.dns_enabled:
            if (destination.service or "smtp") in self._parameters.use_srv_lookup:
                targets = await self._of_service(destination)
            else:
                targets = await self._of_exchangers(destination)
        else:
            targets = await self._of_host(destination)
        limit = self._parameters.mx_address_limit
        if limit <= 0 or len(targets) <= limit:
            return targets
        return balanced(targets, limit) if self._parameters.balance_inet_protocols and limit > 1 else targets[:limit]

    async def _of_service(self, destination: Destination) -> list[Target]:
        """SRV records of ``_service._tcp.domain`` (RFC 2782); other hosts only when main.cf allows it."""
        parameters = self._parameters
        name = f"_{destination.service or 'smtp'}._tcp.{destination.host}"
        answer = await self._resolver.srv(name)
        if isinstance(answer, Records):
            servers = [server for server in answer.values if server.host]
            if not servers:
                raise TroubleError("5.4.4", f"Service {name} is not available", broken=False)
            return await self._of_servers(destination, servers)
        if isinstance(answer, DnsFailure):
            if not parameters.ignore_srv_lookup_error:
                raise _name_service("4.4.3", name, "SRV", answer)
        elif not parameters.allow_srv_lookup_fallback:
            raise _name_service("5.4.4", name, "SRV", answer)
        return await self._of_exchangers(destination)

    async def _of_servers(self, destination: Destination, servers: Sequence[Srv]) -> list[Target]:
        """By priority; among equals a server comes first as often as its weight says."""
        ordered = sorted(
            servers, key=lambda server: (server.priority, -(self._weigh() ** (1 / (server.weight or 0.01))))
        )
        limit = max(self._parameters.mx_address_limit, 0)
        considered = ordered[: limit * 4] if limit else ordered
        answers = await asyncio.gather(*(self._addresses(server.host) for server in considered))
        targets = [
            Target(server.host, address, server.port, rank)
            for rank, (server, answer) in enumerate(zip(considered, answers, strict=True))
            if isinstance(answer, Records)
            for address in answer.values
        ]
        if not targets:
            failed = any(isinstance(answer, DnsFailure) for answer in answers)
            raise _name_service("4.4.3" if failed else "5.4.4", considered[0].host, self._type, answers[0])
        return self._without_loops(destination, targets)

    async def _of_exchangers(self, destination: Destination) -> list[Target]:
        domain = destination.host
        answer = await self._resolver.mx(domain)
        if isinstance(answer, Records):
            if any(not exchanger.host for exchanger in answer.values) and len(answer.values) == 1:
                raise TroubleError("5.1.0", f"Domain {domain} does not accept mail (nullMX)", broken=False)
            return await self._addresses_of(destination, [mx for mx in answer.values if mx.host], secure=answer.secure)
        if isinstance(answer, DnsFailure) and not self._parameters.ignore_mx_lookup_error:
            raise _name_service("4.4.3", domain, "MX", answer)
        return await self._of_host(destination, secure=isinstance(answer, NoRecords) and answer.secure)

    async def _addresses_of(self, destination: Destination, exchangers: Sequence[Mx], *, secure: bool) -> list[Target]:
        limit = max(self._parameters.mx_address_limit, 0)
        # A domain may list any number of exchangers; those far behind the address limit are never tried.
        considered = exchangers[: limit * 4] if limit else exchangers
        answers = await asyncio.gather(*(self._addresses(mx.host) for mx in considered))
        targets: list[Target] = []
        trouble: TroubleError | None = None
        for mx, answer in zip(considered, answers, strict=True):
            if isinstance(answer, Records):
                targets += [
                    Target(
                        self._name(mx.host, answer),
                        address,
                        destination.port,
                        mx.preference,
                        answer.canonical,
                        answer.secure,
                        secure,
                    )
                    for address in answer.values
                ]
            elif isinstance(answer, DnsFailure):
                trouble = _name_service("4.4.3", mx.host, self._type, answer)
            elif trouble is None or trouble.dsn.klass == 5:
                defer = self._parameters.defer_if_no_mx_address_found
                trouble = _name_service("4.4.4" if defer else "5.4.4", mx.host, self._type, answer)
        if not targets:
            assert trouble is not None
            raise trouble
        return self._without_loops(destination, self._ordered(targets))

    async def _of_host(self, destination: Destination, *, secure: bool = True) -> list[Target]:
        answer = await self._addresses(destination.host)
        if isinstance(answer, Records):
            host, port = destination.host, destination.port
            targets = [
                Target(self._name(host, answer), address, port, 0, answer.canonical, answer.secure, secure)
                for address in answer.values
            ]
            return self._without_loops(destination, self._ordered(targets))
        if not self._asks_dns and isinstance(answer, NoRecords):
            known = "No address associated with hostname" if answer.name_exists else "Name or service not known"
            raise TroubleError("5.3.0", f"unable to look up host {destination.host}: {known}", broken=False)
        dsn = "4.4.3" if isinstance(answer, DnsFailure) else "5.4.4"
        raise _name_service(dsn, destination.host, self._type, answer)

    @property
    def _asks_dns(self) -> bool:
        """Hosts are looked up in the DNS itself, not by the system's resolver alone."""
        return self._parameters.dns_enabled and "dns" in self._parameters.host_lookup

    async def _addresses(self, host: str) -> Records[str] | NoRecords | DnsFailure:
        lookup = self._parameters.host_lookup if self._parameters.dns_enabled else ("native",)
        return await self._resolver.addresses(host, self._parameters.families, lookup)

    @property
    def _type(self) -> str:
        """The record type that a message about a missing address names: the last that was asked for."""
        return _FAMILY_TYPES[self._parameters.families[-1]]

    def _name(self, host: str, answer: Records[str]) -> str:
        """What a host is called: as it was asked for, or as the aliases lead (smtp_cname_overrides_servername)."""
        return answer.canonical if answer.canonical and self._parameters.cname_overrides_servername else host

    def _ordered(self, targets: list[Target]) -> list[Target]:
        if self._parameters.randomize_addresses and len(targets) > 1:
            self._shuffle(targets)
        preferred = {"ipv4": 4, "ipv6": 6}.get(self._parameters.address_preference, 0)
        return sorted(
            targets,
            key=lambda target: (target.preference, preferred != 0 and (6 if ":" in target.address else 4) != preferred),
        )

    def _without_loops(self, destination: Destination, targets: list[Target]) -> list[Target]:
        """Other ports than SMTP's are content filters and the like: there nothing loops."""
        own = [target.preference for target in targets if target.address in self._parameters.own_addresses]
        if destination.port != 25 or not own:
            return targets
        if not destination.exchangers:
            raise loops(destination)
        remaining = [target for target in targets if target.preference < min(own)]
        if not remaining:
            raise loops(destination)
        return remaining


def balanced(targets: Sequence[Target], limit: int) -> Sequence[Target]:
    """The first ``limit`` targets, but each IP version has half of the places if it has so many addresses.

    So a host with many addresses of a version that leads nowhere is reached by the other (smtp_balance_inet_protocols).
    """
    sixes = sum(":" in target.address for target in targets)
    fours = len(targets) - sixes
    room = {True: limit // 2, False: limit - limit // 2}
    if sixes < room[True]:
        room = {True: sixes, False: limit - sixes}
    elif fours < room[False]:
        room = {True: limit - fours, False: fours}
    chosen: list[Target] = []
    for target in targets:
        six = ":" in target.address
        if room[six]:
            room[six] -= 1
            chosen.append(target)
    return chosen


def loops(destination: Destination) -> TroubleError:
    """We are the host that the mail is to be sent to, and yet it is not ours."""
    return TroubleError(LOOP, f"mail for {destination.host} loops back to myself", broken=False)


def _name_service(dsn: str, name: str, kind: str, answer: Answer[str] | Answer[Mx] | Answer[Srv]) -> TroubleError:
    text = f"Host or domain name not found. Name service error for name={name} type={kind}: {answer}"
    return TroubleError(dsn, text)
