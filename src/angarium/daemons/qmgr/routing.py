"""Where one recipient of a queued message goes, or the result that ends it without an agent.

A lookup that fails, a transport that master.cf has not, and one of ``defer_transports`` defer the recipient; what goes
to the sender of postmaster notifications is thrown away, so that these never come back. Nothing of it raises.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from dataclasses import replace

from angarium.agents.deliverylog import routed
from angarium.daemons.qmgr.attempt import SYSTEM_FAILURE, without_agent
from angarium.daemons.qmgr.parameters import QmgrParameters
from angarium.daemons.qmgr.scheduler import Route
from angarium.mailqueue.interface import QueuedMessage
from angarium.model.delivery import DeliveryResult, QueuedRecipient, Status
from angarium.model.dsn import Dsn
from angarium.model.lookup import TemporaryError
from angarium.rewrite.interface import AddressClass, Resolver
from angarium.runtime.log import ServiceLog


def filter_way(content_filter: str, recipient: str, default_nexthop: str, myhostname: str) -> tuple[str, str]:
    """Transport and nexthop of a content filter: its own nexthop, default_filter_nexthop, or the recipient's domain."""
    transport, _, nexthop = content_filter.partition(":")
    return transport, nexthop or default_nexthop or recipient.rpartition("@")[2] or myhostname


class Router:
    """Finds routes.

    Args:
        parameters: of main.cf.
        resolver: finds transport and nexthop of an address.
        transports: the names of those that there are.
        log: ``postfix/qmgr``.
        clock: seconds since the epoch.
    """

    def __init__(
        self,
        parameters: QmgrParameters,
        resolver: Resolver,
        transports: Container[str],
        log: ServiceLog,
        clock: Callable[[], float],
    ) -> None:
        self._parameters = parameters
        self._resolver = resolver
        self._transports = transports
        self._log = log
        self._clock = clock
        self._double_bounce = parameters.double_bounce_sender.lower()

    async def route(self, message: QueuedMessage, queued: QueuedRecipient) -> Route | DeliveryResult:
        """The route of one recipient, or the result that ends it without an agent."""
        address = queued.recipient.address
        if message.envelope.content_filter:
            return self._filtered(message, queued)
        try:
            resolution = await self._resolver.resolve(message.envelope.sender, address)
        except Exception as error:  # noqa: BLE001 - a fault of ours in a lookup must not lose the message
            resolution = TemporaryError(f"unforeseen: {type(error).__name__}: {error}", "resolver")
        if isinstance(resolution, TemporaryError):
            self._log.warning(f"{message.queue_id}: {resolution.source}: {resolution.cause}")
            return without_agent(self._clock(), queued, Status.DEFERRED, SYSTEM_FAILURE, "address resolver failure")
        if resolution.recipient != address:
            queued = QueuedRecipient(queued.number, replace(queued.recipient, address=resolution.recipient))
        local, _, _ = resolution.recipient.rpartition("@")
        if resolution.address_class is AddressClass.LOCAL and local.lower() == self._double_bounce:
            text = "undeliverable postmaster notification discarded"
            return without_agent(self._clock(), queued, Status.SENT, Dsn(2, 0, 0), text)
        if self._log.detailed:
            routed(self._log, message.queue_id, resolution)
        return self._by(message, queued, resolution.transport, resolution.nexthop, resolution.source)

    def _filtered(self, message: QueuedMessage, queued: QueuedRecipient) -> Route | DeliveryResult:
        """The route to the content filter, which stands in for whatever the address resolves to (FILTER_README)."""
        parameters = self._parameters
        transport, nexthop = filter_way(
            message.envelope.content_filter,
            queued.recipient.address,
            parameters.default_filter_nexthop,
            parameters.myhostname,
        )
        return self._by(message, queued, transport, nexthop, "content_filter")

    def _by(
        self, message: QueuedMessage, queued: QueuedRecipient, transport: str, nexthop: str, source: str
    ) -> Route | DeliveryResult:
        """The route by a transport, if there is such a one and it is in use."""
        if transport in self._parameters.defer_transports:
            return without_agent(self._clock(), queued, Status.DEFERRED, Dsn(4, 3, 2), "deferred transport")
        if transport not in self._transports:
            self._log.warning(f"{message.queue_id}: no transport {transport} in master.cf, which {source} names")
            return without_agent(self._clock(), queued, Status.DEFERRED, SYSTEM_FAILURE, "mail transport unavailable")
        return Route(transport, nexthop, queued)
