"""The smtp service: what the wiring makes, one for each smtp entry of master.cf (``smtp``, ``relay`` …).

``SmtpAgent`` needs the parameters, a log with the service's tag (``postfix/smtp``), a resolver, and, where they are
configured, look-ups in tables like smtp_sasl_password_maps and smtp_tls_policy_maps, and rules for mail that leaves. It
speaks LMTP for an lmtp entry. It keeps connections open for reuse, so there is one for each service, and it belongs to
one event loop; ``close`` ends them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from angarium.agents.smtp.connector import NO_TABLES, Connector, PasswordLookup, Tables
from angarium.agents.smtp.delivery import Delivery, Tools
from angarium.agents.smtp.hosts import HostFinder
from angarium.agents.smtp.outgoing import Rules
from angarium.agents.smtp.parameters import SmtpParameters
from angarium.agents.smtp.pool import ConnectionPool
from angarium.agents.smtp.tlspolicy import PolicyLookup, TlsPolicies
from angarium.model.delivery import DeliveryRequest, DeliveryResult
from angarium.runtime.dns import Resolver
from angarium.runtime.log import ServiceLog
from angarium.tables.debugpeers import DebugPeers

__all__ = ["PasswordLookup", "SmtpAgent", "SmtpParameters", "Tables"]


class SmtpAgent:
    """A ``DeliveryAgent`` that sends over SMTP."""

    def __init__(
        self,
        parameters: SmtpParameters,
        log: ServiceLog,
        resolver: Resolver,
        passwords: PasswordLookup | None = None,
        policies: PolicyLookup | None = None,
        rules: Rules | None = None,
        clock: Callable[[], float] = time.time,
        debug: DebugPeers | None = None,
        sites: PolicyLookup | None = None,
        tables: Tables = NO_TABLES,
    ) -> None:
        self._pool = ConnectionPool(parameters)
        self._tools = Tools(
            parameters=parameters,
            service_log=log,
            finder=HostFinder(parameters, resolver),
            connector=Connector(
                parameters,
                log,
                self._pool,
                passwords,
                TlsPolicies(parameters.tls_defaults, log, policies, resolver, sites),
                debug,
                tables,
            ),
            rules=rules or Rules(),
            pool=self._pool,
            clock=clock,
        )

    async def deliver(self, request: DeliveryRequest) -> Sequence[DeliveryResult]:
        """Attempt the delivery; exactly one result for each recipient of the request."""
        return await Delivery(self._tools, request).run()

    async def verify(self, request: DeliveryRequest) -> Sequence[DeliveryResult]:
        """Ask whether the recipients would be accepted, and send nothing: ``sent`` means yes."""
        return await Delivery(self._tools, replace(request, verify=True)).run()

    def statistics(self) -> tuple[int, int]:
        """Living connections, and how many of them are idle."""
        return self._pool.statistics()

    async def close(self) -> None:
        """Close all connections."""
        await self._pool.close()
