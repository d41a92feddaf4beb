"""Where an address goes: trivial-rewrite(8), ADDRESS_CLASS_README, transport(5), relocated(5).

The class is the first of: local (mydestination, our own addresses), virtual alias, virtual mailbox, relay, default.
The class gives the transport and nexthop, ``relayhost`` and the sender-dependent tables those of the relay and default
classes. ``transport_maps`` override both, save for virtual alias domains, and ``relocated_maps`` everything.

A nexthop that the class's transport names (``default_transport = smtp:[host]``) beats the relay host; an entry of
``transport_maps`` with a transport and no nexthop leads to the recipient's domain. An ``error`` or ``retry`` transport
without a text says ``Address is undeliverable``.

Guarantees: no state of a message; no wait but that of a table. A table that cannot be asked is a ``TemporaryError``.
What cannot be an address is ``malformed``, and its transport is ``error``.
"""

from __future__ import annotations

from dataclasses import dataclass

from angarium.model.address import Address
from angarium.model.lookup import NOT_FOUND, Found, Lookup, TemporaryError
from angarium.protocols.smtp.path import quote_address
from angarium.rewrite.address import complete, complete_listed
from angarium.rewrite.addresslist import ListedAddress
from angarium.rewrite.hostname import is_address, valid_domain
from angarium.rewrite.interface import AddressClass, Resolution
from angarium.rewrite.parameters import RewriteParameters
from angarium.tables.maps import AddressMatch, Maps, find_address, host_keys
from angarium.tables.matchlist import MatchList
from angarium.tables.opener import TableOpener

_ROUTING = frozenset("@%!")
_SYNTAX = "5.1.3 bad address syntax"
_TEXTLESS = frozenset({"error", "retry"})
_UNDELIVERABLE = "Address is undeliverable"


@dataclass(frozen=True, slots=True)
class _Way:
    transport: str
    nexthop: str
    reason: str
    source: str


@dataclass(frozen=True, slots=True)
class _Spec:
    """``transport[:nexthop]`` of a parameter or a table. ``nexthop`` is empty when it names none."""

    transport: str
    nexthop: str
    reason: str
    source: str

    @classmethod
    def read(cls, text: str, reason: str, source: str) -> _Spec:
        transport, _, nexthop = text.partition(":")
        return cls(transport, nexthop, reason, source)

    def way(self, nexthop: str) -> _Way:
        """With the nexthop for when it has none of its own."""
        return _Way(self.transport, self.nexthop or nexthop, self.reason, self.source)


class TrivialRewrite:
    """The resolver of one configuration: what wiring builds and everyone shares.

    Args:
        parameters: main.cf.
        opener: opens the tables that main.cf names.
    """

    def __init__(self, parameters: RewriteParameters, opener: TableOpener) -> None:
        self.parameters = parameters
        self._bare = frozenset(parameters.parent_domain_matches_subdomains)
        self._bare_transports = "transport_maps" in self._bare
        self.local_domains = self._domains("mydestination", parameters.mydestination, opener)
        self.alias_domains = self._domains("virtual_alias_domains", parameters.virtual_alias_domains, opener)
        self.mailbox_domains = self._domains("virtual_mailbox_domains", parameters.virtual_mailbox_domains, opener)
        self.relay_domains = self._domains("relay_domains", parameters.relay_domains, opener)
        self._class_domains = tuple(
            (address_class, domains)
            for address_class, domains in (
                (AddressClass.VIRTUAL_ALIAS, self.alias_domains),
                (AddressClass.VIRTUAL_MAILBOX, self.mailbox_domains),
                (AddressClass.RELAY, self.relay_domains),
            )
            if domains
        )
        self._transports = Maps.open("transport_maps", parameters.transport_maps, opener)
        self._relocated = Maps.open("relocated_maps", parameters.relocated_maps, opener)
        self._sender_relayhosts = Maps.open(
            "sender_dependent_relayhost_maps", parameters.sender_dependent_relayhost_maps, opener
        )
        self._sender_transports = Maps.open(
            "sender_dependent_default_transport_maps", parameters.sender_dependent_default_transport_maps, opener
        )
        self._specs = {
            address_class: _Spec.read(getattr(parameters, name), name, f"main.cf: {name}")
            for address_class, name in (
                (AddressClass.LOCAL, "local_transport"),
                (AddressClass.VIRTUAL_MAILBOX, "virtual_transport"),
                (AddressClass.RELAY, "relay_transport"),
                (AddressClass.DEFAULT, "default_transport"),
            )
        }

    def _domains(self, name: str, patterns: tuple[str, ...], opener: TableOpener) -> MatchList:
        return MatchList(name, patterns, opener, bare_parents=name in self._bare)

    def rewrite(self, address: str) -> str:
        """Complete an envelope address; the null address stays."""
        return address if address.endswith("@") else complete(address, self.parameters)

    def rewrite_listed(self, address: ListedAddress) -> str:
        """Complete an address of a table's result or of a header."""
        text = address.text
        return text if len(text) > 1 and text[-1] == "@" else complete_listed(address, self.parameters)

    def is_malformed(self, address: str) -> bool:
        """Whether an address cannot be one, judged by its looks alone: what smtpd asks of a sender."""
        local, at, domain = address.rpartition("@")
        if at and not valid_domain(domain.removesuffix(".")):
            return not (self.parameters.resolve_numeric_domain and is_address(domain))
        return (local if at else address).startswith("-") and not self.parameters.allow_min_user

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
        address = self.rewrite(recipient)
        while True:
            local, at, domain = address.rpartition("@")
            if not domain:
                if at and not parameters.resolve_null_domain:
                    return _malformed(address, "its domain is empty")
                local = local if at else address
                domain = parameters.myhostname
                address = f"{local}@{domain}"
            elif parameters.resolve_numeric_domain and is_address(domain):
                domain = f"[{domain}]"
                address = f"{local}@{domain}"
            local_match = await self.is_local(domain)
            if isinstance(local_match, TemporaryError):
                return local_match
            onward = self._route_onward(local) if isinstance(local_match, Found) else None
            if onward is None:
                break
            address = onward
        if not valid_domain(domain):
            return _malformed(address, f"{domain} is no host name")
        if local.startswith("-") and not parameters.allow_min_user:
            return _malformed(address, "it begins with -, and allow_min_user is off")
        routed = not _ROUTING.isdisjoint(local)
        kind = await self._classify(domain, local_match)
        if isinstance(kind, TemporaryError):
            return kind
        way = await self._way(*kind, sender, address, domain)
        if isinstance(way, TemporaryError):
            return way
        return Resolution(way.transport, way.nexthop, address, kind[0], way.reason, way.source, routed)

    def _route_onward(self, local: str) -> str | None:
        """A local part at our own domain that names a further hop: ``a%b`` -> ``a@b``, ``b!a`` -> ``a@b``."""
        parameters = self.parameters
        if not parameters.resolve_dequoted_address and quote_address(f"{local}@")[0] == '"':
            return None
        if "@" in local:
            onward = local
        elif parameters.swap_bangpath and "!" in local:
            site, _, user = local.partition("!")
            onward = f"{user}@{site}"
        elif parameters.allow_percent_hack and "%" in local:
            user, _, site = local.rpartition("%")
            onward = f"{user}@{site}"
        else:
            return None
        return self.rewrite(onward)

    async def _classify(self, domain: str, local_match: Lookup) -> tuple[AddressClass, str] | TemporaryError:
        if isinstance(local_match, Found):
            return AddressClass.LOCAL, local_match.source
        for address_class, domains in self._class_domains:
            match = await domains.match_domain(domain)
            if isinstance(match, Found):
                return address_class, match.source
            if isinstance(match, TemporaryError):
                return match
        return AddressClass.DEFAULT, "default_transport"

    async def _way(
        self, address_class: AddressClass, source: str, sender: str, address: str, domain: str
    ) -> _Way | TemporaryError:
        way: _Way | TemporaryError
        if address_class is AddressClass.VIRTUAL_ALIAS:
            table = " in virtual alias table" if self.parameters.show_user_unknown_table_name else ""
            way = _Way("error", f"5.1.1 User unknown{table}", f"virtual alias domain {domain}", source)
        elif address_class in (AddressClass.LOCAL, AddressClass.VIRTUAL_MAILBOX):
            spec = self._specs[address_class]
            way = _Way(spec.transport, spec.nexthop or domain, f"{spec.reason}: {domain} is ours", source)
        else:
            way = await self._relay_way(address_class, sender, domain)
        if isinstance(way, TemporaryError):
            return way
        if self._transports and address_class is not AddressClass.VIRTUAL_ALIAS:
            way = await self._override(way, address, domain)
            if isinstance(way, TemporaryError):
                return way
        if way.transport in _TEXTLESS and (not way.nexthop or way.nexthop == domain):
            way = _Way(way.transport, _UNDELIVERABLE, way.reason, way.source)
        if self._relocated:
            moved = await find_address(self._relocated, address, self.parameters.recipient_delimiter, self.is_own)
            if isinstance(moved, TemporaryError):
                return moved
            if isinstance(moved, AddressMatch):
                text = f"5.1.6 User has moved to {moved.found.value}"
                return _Way("error", text, f"relocated_maps: {address}", moved.found.source)
        return way

    async def _relay_way(self, address_class: AddressClass, sender: str, domain: str) -> _Way | TemporaryError:
        """The relay and default classes: their transport, the sender's, the relay host."""
        parameters = self.parameters
        spec = self._specs[address_class]
        if address_class is AddressClass.DEFAULT and self._sender_transports:
            match = await self._ask_sender(
                self._sender_transports, sender, parameters.empty_address_default_transport_maps_lookup_key
            )
            if isinstance(match, TemporaryError):
                return match
            if isinstance(match, Found):
                reason = f"sender_dependent_default_transport_maps: {sender}"
                spec = _Spec.read(match.value, reason, match.source)
        if spec.nexthop:
            return spec.way(domain)
        if self._sender_relayhosts:
            match = await self._ask_sender(
                self._sender_relayhosts, sender, parameters.empty_address_relayhost_maps_lookup_key
            )
            if isinstance(match, TemporaryError):
                return match
            if isinstance(match, Found):
                reason = f"sender_dependent_relayhost_maps: {sender}"
                return _Way(spec.transport, match.value, reason, match.source)
        if parameters.relayhost:
            reason = f"relayhost: {parameters.relayhost}"
            return _Way(spec.transport, parameters.relayhost, reason, "main.cf: relayhost")
        return _Way(spec.transport, domain, f"{spec.reason}: {domain}", spec.source)

    async def _ask_sender(self, maps: Maps, sender: str, null_key: str) -> Lookup:
        """Sender-dependent maps are asked for ``user+ext@domain``, ``user@domain``, ``@domain``.

        ``DUNNO`` is as good as nothing.
        """
        key = sender or null_key
        match = await maps.find(key)
        if match is NOT_FOUND and "@" in key:
            delimiters = self.parameters.recipient_delimiter
            user, extension = Address.split(key).extension(delimiters) if delimiters else ("", "")
            at_domain = key[key.rindex("@") :]
            if extension:
                match = await maps.find(user + at_domain, partial=True)
            if match is NOT_FOUND:
                match = await maps.find(at_domain, partial=True)
        if isinstance(match, Found) and match.value.upper() == "DUNNO":
            return NOT_FOUND
        return match

    async def _override(self, way: _Way, address: str, domain: str) -> _Way | TemporaryError:
        """transport(5): ``user+ext@domain``, ``user@domain``, the domain, its parents, ``*``."""
        maps = self._transports
        match = await maps.find(address)
        if match is not NOT_FOUND:
            return match if isinstance(match, TemporaryError) else _overridden(way, match, domain, address)
        delimiters = self.parameters.recipient_delimiter
        if delimiters:
            user, extension = Address.split(address).extension(delimiters)
            if extension:
                key = f"{user}@{domain}"
                match = await maps.find(key, partial=True)
                if match is not NOT_FOUND:
                    return match if isinstance(match, TemporaryError) else _overridden(way, match, domain, key)
        for key in host_keys(domain, bare=self._bare_transports):
            match = await maps.find(key, partial=key is not domain)
            if match is not NOT_FOUND:
                return match if isinstance(match, TemporaryError) else _overridden(way, match, domain, key)
        match = await maps.find("*")
        if match is not NOT_FOUND:
            return match if isinstance(match, TemporaryError) else _overridden(way, match, domain, "*")
        return way


def _malformed(address: str, why: str) -> Resolution:
    return Resolution(
        "error", _SYNTAX, address, AddressClass.DEFAULT, f"not an address: {why}", "address syntax", malformed=True
    )


def _overridden(way: _Way, match: Found | object, domain: str, key: str) -> _Way:
    """transport(5), RESULT FORMAT: either side of the colon may be empty.

    Without a transport the one of the class stays; without a nexthop it is the recipient's domain, and an entry with
    neither leaves both as they were. ``relayhost`` does not apply to a transport that the table names.
    """
    assert isinstance(match, Found)
    transport, _, nexthop = match.value.partition(":")
    if not transport and not nexthop:
        return way
    return _Way(
        transport or way.transport,
        nexthop or (domain if transport else way.nexthop),
        f"transport_maps: {key}",
        match.source,
    )
