"""Where an address goes: trivial-rewrite(8), ADDRESS_CLASS_README, transport(5).

The class is the first of: local (mydestination, our own addresses), virtual alias, virtual mailbox, relay, default.
The class gives the transport and nexthop, ``relayhost`` the nexthop of the relay and default classes, and
``transport_maps`` override both, save for virtual alias domains.

Guarantees: no state of a message; no wait but that of a table. A table that cannot be asked is a ``TemporaryError``.
"""

from __future__ import annotations

from dataclasses import dataclass

from angarium.model.lookup import NOT_FOUND, Found, Lookup, TemporaryError
from angarium.rewrite.address import complete
from angarium.rewrite.interface import AddressClass, Resolution
from angarium.rewrite.parameters import RewriteParameters
from angarium.tables.maps import Maps, host_keys
from angarium.tables.matchlist import MatchList
from angarium.tables.opener import TableOpener

_ROUTING = frozenset("@%!")


@dataclass(frozen=True, slots=True)
class _Way:
    transport: str
    nexthop: str
    reason: str
    source: str


class TrivialRewrite:
    """The resolver of one configuration: what wiring builds and everyone shares.

    Args:
        parameters: main.cf.
        opener: opens the tables that main.cf names.
    """

    def __init__(self, parameters: RewriteParameters, opener: TableOpener) -> None:
        self.parameters = parameters
        self._bare = frozenset(parameters.parent_domain_matches_subdomains)
        self.local_domains = self._domains("mydestination", parameters.mydestination, opener)
        self.alias_domains = self._domains("virtual_alias_domains", parameters.virtual_alias_domains, opener)
        self.mailbox_domains = self._domains("virtual_mailbox_domains", parameters.virtual_mailbox_domains, opener)
        self.relay_domains = self._domains("relay_domains", parameters.relay_domains, opener)
        self._transports = Maps.open("transport_maps", parameters.transport_maps, opener)
        self._sender_relayhosts = Maps.open(
            "sender_dependent_relayhost_maps", parameters.sender_dependent_relayhost_maps, opener
        )
        self._sender_transports = Maps.open(
            "sender_dependent_default_transport_maps", parameters.sender_dependent_default_transport_maps, opener
        )

    def _domains(self, name: str, patterns: tuple[str, ...], opener: TableOpener) -> MatchList:
        return MatchList(name, patterns, opener, bare_parents=name in self._bare)

    def rewrite(self, address: str) -> str:
        """Complete an envelope address; the null address stays."""
        return complete(address, self.parameters)

    async def is_local(self, domain: str) -> Lookup:
        """Whether the domain is ``$mydestination``'s, or ``[address]`` of ours (postfix ``resolve_local``)."""
        if domain.startswith("[") and domain.endswith("]"):
            literal = domain[1:-1].lower()
            literal = literal.removeprefix("ipv6:")
            return Found(domain, "inet_interfaces") if literal in self.parameters.own_addresses else NOT_FOUND
        return await self.local_domains.match_domain(domain)

    async def is_own(self, domain: str) -> bool:
        """Whether bare users may stand for addresses of this domain: ``$myorigin`` or local (virtual(5))."""
        if domain.lower() == self.parameters.myorigin.lower():
            return True
        return isinstance(await self.is_local(domain), Found)

    async def resolve(self, sender: str, recipient: str) -> Resolution | TemporaryError:
        """Find the way of one recipient."""
        parameters = self.parameters
        if not recipient:
            recipient = f"{parameters.empty_address_recipient}@{parameters.myhostname}"
        address = complete(recipient, parameters)
        while True:
            local, _, domain = address.rpartition("@")
            if not local and not domain:
                local = address
            if not domain:
                domain = parameters.myhostname
            local_match = await self.is_local(domain)
            if isinstance(local_match, TemporaryError):
                return local_match
            if not isinstance(local_match, Found):
                break
            onward = self._route_onward(local)
            if onward is None:
                break
            address = onward
        routed = not _ROUTING.isdisjoint(local)
        kind = await self._classify(domain, local_match)
        if isinstance(kind, TemporaryError):
            return kind
        address_class, source = kind
        way = await self._way(address_class, source, sender, address, domain)
        if isinstance(way, TemporaryError):
            return way
        return Resolution(way.transport, way.nexthop, address, address_class, way.reason, way.source, routed)

    def _route_onward(self, local: str) -> str | None:
        """A local part at our own domain that names a further hop: ``a%b`` -> ``a@b``, ``b!a`` -> ``a@b``."""
        parameters = self.parameters
        if "@" in local:
            return complete(local, parameters)
        if parameters.swap_bangpath and "!" in local[1:]:
            return complete(local, parameters)
        if parameters.allow_percent_hack and "%" in local[1:]:
            return complete(local, parameters)
        return None

    async def _classify(self, domain: str, local_match: Lookup) -> tuple[AddressClass, str] | TemporaryError:
        if isinstance(local_match, Found):
            return AddressClass.LOCAL, local_match.source
        for address_class, domains in (
            (AddressClass.VIRTUAL_ALIAS, self.alias_domains),
            (AddressClass.VIRTUAL_MAILBOX, self.mailbox_domains),
            (AddressClass.RELAY, self.relay_domains),
        ):
            if domains:
                match = await domains.match_domain(domain)
                if isinstance(match, Found):
                    return address_class, match.source
                if isinstance(match, TemporaryError):
                    return match
        return AddressClass.DEFAULT, "default_transport"

    async def _way(
        self, address_class: AddressClass, source: str, sender: str, address: str, domain: str
    ) -> _Way | TemporaryError:
        parameters = self.parameters
        if address_class is AddressClass.VIRTUAL_ALIAS:
            table = " in virtual alias table" if parameters.show_user_unknown_table_name else ""
            return _Way("error", f"5.1.1 User unknown{table}", f"virtual alias domain {domain}", source)
        if address_class is AddressClass.LOCAL:
            way = _split_way(parameters.local_transport, domain, f"local_transport: {domain} is ours", source)
        elif address_class is AddressClass.VIRTUAL_MAILBOX:
            way = _split_way(parameters.virtual_transport, domain, f"virtual_transport: {domain} is ours", source)
        else:
            chosen = await self._relay_way(address_class, source, sender, domain)
            if isinstance(chosen, TemporaryError):
                return chosen
            way = chosen
        if self._transports:
            return await self._override(way, address, domain)
        return way

    async def _relay_way(
        self, address_class: AddressClass, source: str, sender: str, domain: str
    ) -> _Way | TemporaryError:
        parameters = self.parameters
        spec, reason = parameters.default_transport, f"default_transport: {domain}"
        if address_class is AddressClass.RELAY:
            spec, reason = parameters.relay_transport, f"relay_transport: we relay for {domain}"
        elif self._sender_transports:
            match = await self._ask_sender(self._sender_transports, sender)
            if isinstance(match, TemporaryError):
                return match
            if isinstance(match, Found):
                spec, reason, source = match.value, f"sender_dependent_default_transport_maps: {sender}", match.source
        nexthop = domain
        if self._sender_relayhosts:
            match = await self._ask_sender(self._sender_relayhosts, sender)
            if isinstance(match, TemporaryError):
                return match
            if isinstance(match, Found):
                relay = "" if match.value.upper() == "DUNNO" else match.value
                if relay:
                    return _split_way(spec, relay, f"sender_dependent_relayhost_maps: {sender}", match.source)
                return _split_way(spec, nexthop, reason, source)
        if parameters.relayhost:
            return _split_way(spec, parameters.relayhost, f"relayhost: {parameters.relayhost}", "relayhost")
        return _split_way(spec, nexthop, reason, source)

    async def _ask_sender(self, maps: Maps, sender: str) -> Lookup:
        """Sender-dependent maps are asked for ``user@domain`` and ``@domain``; ``<>`` is the null sender."""
        key = complete(sender, self.parameters) or "<>"
        match = await maps.find(key)
        if match is NOT_FOUND and "@" in key:
            match = await maps.find(key[key.rindex("@") :], partial=True)
        return match

    async def _override(self, way: _Way, address: str, domain: str) -> _Way | TemporaryError:
        """transport(5): ``user+ext@domain``, ``user@domain``, the domain, its parents, ``*``."""
        keys = [(address, False)]
        delimiters = self.parameters.recipient_delimiter
        if delimiters:
            local = address.rpartition("@")[0]
            cut = min((at for at in map(local.find, delimiters) if at > 0), default=0)
            if cut:
                keys.append((f"{local[:cut]}@{domain}", True))
        bare = "transport_maps" in self._bare
        keys.extend((key, position > 0) for position, key in enumerate(host_keys(domain, bare=bare)))
        keys.append(("*", True))
        for key, partial in keys:
            match = await self._transports.find(key, partial=partial)
            if isinstance(match, TemporaryError):
                return match
            if isinstance(match, Found):
                return _overridden(way, match, domain, key)
        return way


def _split_way(spec: str, nexthop: str, reason: str, source: str) -> _Way:
    """``transport[:nexthop]``; without a nexthop of its own it gets the one given."""
    transport, _, own = spec.partition(":")
    return _Way(transport, own or nexthop, reason, source)


def _overridden(way: _Way, match: Found, domain: str, key: str) -> _Way:
    """transport(5), RESULT FORMAT: either side of the colon may be empty.

    Without a transport the one of the class stays; without a nexthop it is the recipient's domain, and an entry with
    neither leaves both as they were. ``relayhost`` does not apply to a transport that the table names.
    """
    transport, _, nexthop = match.value.partition(":")
    if not transport and not nexthop:
        return way
    return _Way(
        transport or way.transport,
        nexthop or (domain if transport else way.nexthop),
        f"transport_maps: {key}",
        match.source,
    )
