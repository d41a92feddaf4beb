"""Which TLS a destination gets: smtp_tls_security_level, and smtp_tls_policy_maps by nexthop (TLS_README).

The table is asked for the nexthop as it is written, with brackets and port; a domain without both also for its
parents with a leading dot. A value is a level, then attributes:

================  ==========================================  =============================================
attribute         example                                     levels
================  ==========================================  =============================================
``protocols``     ``>=TLSv1.2``, ``!SSLv2:!TLSv1``            all but none
``ciphers``       ``high``                                    all but none
``exclude``       ``aNULL:RC4``                               all but none
``match``         ``hostname:.example.org``; ``AB:CD|EF:01``  verify, secure; fingerprint
``servername``    ``mx.example.org``, ``nexthop``             all but none
``tafile``        ``/etc/postfix/anchor.pem``                 verify, secure
================  ==========================================  =============================================

Failures: a table that cannot be asked, and an entry that makes no sense, defer the mail with 4.7.5; nothing is sent
with less protection than the administrator meant.

At the levels ``dane`` and ``dane-only`` what a host gets is found out when it is connected to (``at_host``; RFC 7672):
without secure TLSA records ``dane`` is ``may``, with unusable ones ``encrypt``, and ``dane-only`` sends nothing.
"""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from angarium.agents.smtp.destination import Destination
from angarium.agents.smtp.trouble import NoPolicyError, TroubleError
from angarium.model.lookup import NOT_FOUND, Found, Lookup, TemporaryError
from angarium.runtime.dane import anchors, usable
from angarium.runtime.dns import Answer, DnsFailure, NoRecords, Records, Resolver, Tlsa
from angarium.runtime.log import ServiceLog
from angarium.runtime.tls import ClientTls, SecurityLevel, TlsError, client_context

if TYPE_CHECKING:
    from angarium.agents.smtp.hosts import Target

PolicyLookup = Callable[[str], Awaitable[Lookup]]
"""smtp_tls_policy_maps: nexthop -> the policy."""


@dataclass(frozen=True, slots=True)
class TlsPolicy:
    """What one destination gets.

    Attributes:
        tls: the level and what goes with it.
        match: names, or strategies (hostname, nexthop, dot-nexthop), that the certificate must bear; fingerprints in
            lower case at the level ``fingerprint``.
        server_name: for the server to choose its certificate by (SNI): a name, ``hostname`` or ``nexthop``.
        anchors: what the server's chain must lead to, in place of authorities.
        forged: the host's name may be false, so that its certificate proves less (an insecure MX record).
    """

    tls: ClientTls
    match: tuple[str, ...] = ()
    server_name: str = ""
    anchors: tuple[Tlsa, ...] = ()
    forged: bool = False

    @property
    def level(self) -> SecurityLevel:
        """How much protection."""
        return self.tls.level

    @property
    def resumable(self) -> bool:
        """A session says enough of its server: nobody looks at the chain that he showed in its first."""
        return not self.anchors and self.level is not SecurityLevel.FINGERPRINT

    def names(self, host: str, nexthop: str) -> list[str]:
        """What the certificate may be called."""
        known = {"hostname": host, "nexthop": nexthop, "dot-nexthop": "." + nexthop}
        return [known.get(strategy, strategy) for strategy in self.match]

    def indication(self, host: str, nexthop: str) -> str | None:
        """The server name to ask for."""
        if self.server_name:
            return {"hostname": host, "nexthop": nexthop}.get(self.server_name, self.server_name)
        return host if self.level.verifies else None


@dataclass(frozen=True, slots=True)
class DaneParameters:
    """What DANE needs to know of main.cf.

    Attributes:
        obstacle: why there can be none; empty when there can.
        insecure_mx: smtp_tls_dane_insecure_mx_policy.
        insecure_host: smtp_tls_force_insecure_host_tlsa_lookup.
        digests: tls_dane_digests, as ``dane.digest_order`` has it.
    """

    obstacle: str = "DNSSEC lookups are not enabled (smtp_dns_support_level)"
    insecure_mx: str = "dane"
    insecure_host: bool = False
    digests: tuple[int, ...] = (2, 1)


NO_DANE = DaneParameters()


@dataclass(frozen=True, slots=True)
class Defaults:
    """The parameters that a policy starts from.

    Attributes:
        policy: for destinations that no table knows.
        optional: protocols, ciphers and exclusions of the level ``may``.
        mandatory: those of the levels above it.
        verify_match: smtp_tls_verify_cert_match.
        secure_match: smtp_tls_secure_cert_match.
        fingerprint_match: smtp_tls_fingerprint_cert_match, in lower case.
        dane: for the levels ``dane`` and ``dane-only``.
    """

    policy: TlsPolicy
    optional: ClientTls
    mandatory: ClientTls
    verify_match: tuple[str, ...] = ("hostname",)
    secure_match: tuple[str, ...] = ("nexthop", "dot-nexthop")
    fingerprint_match: tuple[str, ...] = ()
    dane: DaneParameters = NO_DANE

    def at(self, level: SecurityLevel) -> TlsPolicy:
        """The policy of a level, without attributes."""
        tls = replace(self.mandatory if level.mandatory else self.optional, level=level)
        match = {
            SecurityLevel.VERIFY: self.verify_match,
            SecurityLevel.SECURE: self.secure_match,
            SecurityLevel.FINGERPRINT: self.fingerprint_match,
        }
        return TlsPolicy(tls, match.get(level, ()), self.policy.server_name)

    def read(self, text: str) -> TlsPolicy:
        """A policy as a table has it. Raises ValueError."""
        words = text.replace(",", " ").split()
        if not words:
            msg = "the policy is empty"
            raise ValueError(msg)
        name = words[0].lower()
        level = _LEVELS.get(name)
        if level is None:
            msg = f"invalid security level: {words[0]}"
            raise ValueError(msg)
        policy = self.at(level)
        for word in words[1:]:
            attribute, equals, value = word.partition("=")
            policy = _with_attribute(policy, attribute.lower(), value if equals else "")
        if level is SecurityLevel.FINGERPRINT and not policy.match:
            msg = "fingerprint needs match="
            raise ValueError(msg)
        return policy


_LEVELS = {level.value: level for level in SecurityLevel} | {"half-dane": SecurityLevel.DANE}


def _with_attribute(policy: TlsPolicy, attribute: str, value: str) -> TlsPolicy:
    """Raises ValueError."""
    if policy.level is SecurityLevel.NONE or not value:
        msg = f"invalid attribute {attribute}={value} at level {policy.level.value}"
        raise ValueError(msg)
    tls = policy.tls
    if attribute == "protocols":
        return replace(policy, tls=replace(tls, protocols=value))
    if attribute == "ciphers":
        return replace(policy, tls=replace(tls, ciphers=value))
    if attribute == "exclude":
        return replace(policy, tls=replace(tls, exclude_ciphers=(*tls.exclude_ciphers, *value.split(":"))))
    if attribute == "match" and policy.level is SecurityLevel.FINGERPRINT:
        return replace(policy, match=tuple(value.lower().split("|")))
    if attribute == "match" and policy.level.verifies:
        return replace(policy, match=tuple(value.split(":")))
    if attribute == "tafile" and policy.level.verifies:
        return replace(policy, tls=replace(tls, trust_anchors=(*tls.trust_anchors, value)))
    if attribute == "servername":
        return replace(policy, server_name=value)
    if attribute in ("connection_reuse", "enable_rpk"):
        return policy
    msg = f"invalid attribute {attribute} at level {policy.level.value}"
    raise ValueError(msg)


_SITE_WORDS: Mapping[str, tuple[SecurityLevel, tuple[SecurityLevel | None, ...]]] = {
    "NONE": (SecurityLevel.NONE, (None, SecurityLevel.MAY)),
    "MAY": (SecurityLevel.MAY, (None,)),
    "MUST_NOPEERMATCH": (SecurityLevel.ENCRYPT, (None, SecurityLevel.NONE, SecurityLevel.MAY)),
    "MUST": (SecurityLevel.VERIFY, (None, SecurityLevel.NONE, SecurityLevel.MAY, SecurityLevel.ENCRYPT)),
}
"""smtp_tls_per_site: what a word asks for, and what the other key may have asked for that gives way to it."""


class TlsPolicies:
    """The policies of one smtp service, with the contexts made for them.

    Args:
        defaults: of main.cf.
        log: of the service.
        lookup: smtp_tls_policy_maps; None: there are none.
        resolver: for TLSA records; None: there are none.
        sites: smtp_tls_per_site, which smtp_tls_policy_maps has replaced: asked where there is no ``lookup``.
    """

    def __init__(
        self,
        defaults: Defaults,
        log: ServiceLog,
        lookup: PolicyLookup | None = None,
        resolver: Resolver | None = None,
        sites: PolicyLookup | None = None,
    ) -> None:
        self._sites = sites if lookup is None else None
        self._resolver = resolver
        self._defaults = defaults
        self._log = log
        self._lookup = lookup
        self._contexts: dict[ClientTls, ssl.SSLContext] = {}

    async def of(self, destination: Destination) -> TlsPolicy:
        """The policy of a destination. Raises TroubleError."""
        if self._lookup is None:
            return self._defaults.policy
        match = await self._find(self._lookup, destination)
        if isinstance(match, TemporaryError):
            self._log.warning(f"{match.source}: {match.cause}")
            raise TroubleError("4.7.5", "client TLS configuration problem", broken=False)
        if not isinstance(match, Found):
            return self._defaults.policy
        try:
            return self._defaults.read(match.value)
        except ValueError as error:
            self._log.warning(f"{match.source}: TLS policy for {destination.text}: {error}")
            raise TroubleError("4.7.5", "client TLS configuration problem", broken=False) from None

    @staticmethod
    async def _find(lookup: PolicyLookup, destination: Destination) -> Lookup:
        key = destination.text.lower()
        match = await lookup(key)
        if match is not NOT_FOUND or not destination.exchangers or ":" in key:
            return match
        while "." in key[1:]:
            key = key[key.index(".", 1) :]
            match = await lookup(key)
            if match is not NOT_FOUND:
                return match
        return NOT_FOUND

    async def at_host(self, policy: TlsPolicy, target: Target, destination: Destination) -> TlsPolicy:
        """What one host gets. Raises NoPolicyError."""
        try:
            if self._sites is not None:
                policy = await self._by_site(self._sites, policy, target, destination)
            return await self._at_host(policy, target, destination.host)
        except NoPolicyError as trouble:
            self._log.warning(f"TLS policy lookup for {destination.text}/{target.host}: {trouble.text}")
            raise

    async def _by_site(
        self, sites: PolicyLookup, policy: TlsPolicy, target: Target, destination: Destination
    ) -> TlsPolicy:
        """smtp_tls_per_site, asked for the nexthop and for the host. Raises NoPolicyError."""
        site: SecurityLevel | None = None
        for key in (destination.text.lower(), target.host.lower()):
            match = await sites(key)
            if isinstance(match, TemporaryError):
                self._log.warning(f"{match.source}: {match.cause}")
                raise NoPolicyError("client TLS configuration problem")
            if isinstance(match, Found):
                word = match.value.strip().upper()
                if word not in _SITE_WORDS:
                    self._log.warning(f"{match.source}: unknown TLS policy '{match.value}' for {key}")
                    raise NoPolicyError("client TLS configuration problem")
                level, gives_way = _SITE_WORDS[word]
                site = level if site in gives_way else site
        if site is None or (site is SecurityLevel.MAY and policy.level is not SecurityLevel.NONE):
            return policy
        return self._defaults.at(site)

    async def _at_host(self, policy: TlsPolicy, target: Target, nexthop: str) -> TlsPolicy:
        if policy.tls.trust_anchors and policy.level.verifies:
            try:
                return replace(policy, anchors=anchors(policy.tls.trust_anchors))
            except TlsError as error:
                self._log.warning(f"TLS: {error}")
                raise NoPolicyError("client TLS configuration problem") from None
        if policy.level not in (SecurityLevel.DANE, SecurityLevel.DANE_ONLY):
            return policy
        dane = self._defaults.dane
        if dane.obstacle or self._resolver is None:
            self._log.warning(f"{target.host}: {policy.level.value} is not possible: {dane.obstacle}")
            return self._without_dane(policy, "DANE is not available")
        forged = not target.secure_exchanger
        if forged and policy.level is SecurityLevel.DANE_ONLY:
            return self._without_dane(policy, "non DNSSEC destination")
        if forged and dane.insecure_mx == "may":
            return self._weaker(policy, SecurityLevel.MAY)
        if not target.secure and not dane.insecure_host:
            return self._without_dane(policy, "non DNSSEC destination")
        base, answer = await self._tlsa(self._resolver, target)
        if isinstance(answer, DnsFailure):
            self._log.warning(f"DANE TLSA lookup problem: {target.host}:{target.port}: {answer.cause}")
            raise NoPolicyError(f"TLSA lookup error for {target.host}:{target.port}")
        if not isinstance(answer, Records) or not answer.secure:
            return self._without_dane(policy, "no TLSA records found")
        records = usable(answer.values, dane.digests)
        if not records and policy.level is SecurityLevel.DANE_ONLY:
            return self._without_dane(policy, "TLSA records unusable")
        if not records or (forged and dane.insecure_mx == "encrypt"):
            return self._weaker(policy, SecurityLevel.ENCRYPT)
        tls = replace(policy.tls, level=SecurityLevel.DANE)
        # RFC 7672 section 3.2.2: the names that a certificate below an authority may bear; 8.1: which one to ask for.
        return TlsPolicy(tls, (base, target.host, nexthop), base, records, forged)

    @staticmethod
    async def _tlsa(resolver: Resolver, target: Target) -> tuple[str, Answer[Tlsa]]:
        """The records of the host behind aliases, else of the one that was named (RFC 7672 section 2.2.2)."""
        answer: Answer[Tlsa] = NoRecords()
        base = target.host
        for base in dict.fromkeys(filter(None, (target.canonical, target.host))):
            answer = await resolver.tlsa(f"_{target.port}._tcp.{base}")
            if isinstance(answer, DnsFailure) or (isinstance(answer, Records) and answer.secure):
                break
        return base, answer

    def _without_dane(self, policy: TlsPolicy, why: str) -> TlsPolicy:
        """Raises NoPolicyError, when there has to be DANE."""
        if policy.level is SecurityLevel.DANE_ONLY:
            raise NoPolicyError(why)
        return self._weaker(policy, SecurityLevel.MAY)

    def _weaker(self, policy: TlsPolicy, level: SecurityLevel) -> TlsPolicy:
        """The same at another level; what was not said for this destination is that level's own."""
        if policy == self._defaults.at(policy.level):
            return self._defaults.at(level)
        return replace(policy, tls=replace(policy.tls, level=level))

    def context(self, policy: TlsPolicy) -> ssl.SSLContext:
        """Made once for all destinations that get the same. Raises TroubleError."""
        context = self._contexts.get(policy.tls)
        if context is None:
            try:
                context = self._contexts[policy.tls] = client_context(policy.tls)
            except TlsError as error:
                self._log.warning(f"TLS: {error}")
                raise TroubleError("4.7.5", "client TLS configuration problem", broken=False) from None
        return context
