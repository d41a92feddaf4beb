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
================  ==========================================  =============================================

Failures: a table that cannot be asked, and an entry that makes no sense, defer the mail with 4.7.5; nothing is sent
with less protection than the administrator meant. ``dane`` is ``may`` for as long as nothing is known of TLSA records.
"""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from angarium.agents.smtp.destination import Destination
from angarium.agents.smtp.trouble import TroubleError
from angarium.model.lookup import NOT_FOUND, Found, Lookup, TemporaryError
from angarium.runtime.log import ServiceLog
from angarium.runtime.tls import ClientTls, SecurityLevel, TlsError, client_context

PolicyLookup = Callable[[str], Awaitable[Lookup]]
"""smtp_tls_policy_maps: nexthop -> the policy."""

STAND_INS = {"dane": SecurityLevel.MAY, "dane-only": SecurityLevel.SECURE, "half-dane": SecurityLevel.MAY}


@dataclass(frozen=True, slots=True)
class TlsPolicy:
    """What one destination gets.

    Attributes:
        tls: the level and what goes with it.
        match: names, or strategies (hostname, nexthop, dot-nexthop), that the certificate must bear; fingerprints in
            lower case at the level ``fingerprint``.
        server_name: for the server to choose its certificate by (SNI): a name, ``hostname`` or ``nexthop``.
    """

    tls: ClientTls
    match: tuple[str, ...] = ()
    server_name: str = ""

    @property
    def level(self) -> SecurityLevel:
        """How much protection."""
        return self.tls.level

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
class Defaults:
    """The parameters that a policy starts from.

    Attributes:
        policy: for destinations that no table knows.
        optional: protocols, ciphers and exclusions of the level ``may``.
        mandatory: those of the levels above it.
        verify_match: smtp_tls_verify_cert_match.
        secure_match: smtp_tls_secure_cert_match.
        fingerprint_match: smtp_tls_fingerprint_cert_match, in lower case.
    """

    policy: TlsPolicy
    optional: ClientTls
    mandatory: ClientTls
    verify_match: tuple[str, ...] = ("hostname",)
    secure_match: tuple[str, ...] = ("nexthop", "dot-nexthop")
    fingerprint_match: tuple[str, ...] = ()

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
        level = STAND_INS.get(name) or _LEVELS.get(name)
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


_LEVELS = {level.value: level for level in SecurityLevel}


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
    if attribute == "servername":
        return replace(policy, server_name=value)
    if attribute in ("connection_reuse", "enable_rpk"):
        return policy
    msg = f"invalid attribute {attribute} at level {policy.level.value}"
    raise ValueError(msg)


class TlsPolicies:
    """The policies of one smtp service, with the contexts made for them.

    Args:
        defaults: of main.cf.
        log: of the service.
        lookup: smtp_tls_policy_maps; None: there are none.
    """

    def __init__(self, defaults: Defaults, log: ServiceLog, lookup: PolicyLookup | None = None) -> None:
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
