"""``best_mx_transport``: what to do with mail for a domain whose best mail exchanger is this server (postconf(5)).

Without it such mail is returned as "loops back to myself"; with it another transport gets it. One that hands it back
again and again defers it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from angarium.agents.smtp.hosts import LOOP
from angarium.model.delivery import CIRCLES, DeliveryAgent, DeliveryRequest, DeliveryResult, Status
from angarium.model.dsn import Dsn
from angarium.runtime.log import ServiceLog

_UNAVAILABLE = "mail transport unavailable"


class BestMxAgent:
    """An SMTP agent that hands on what would loop.

    Args:
        agent: the SMTP client.
        target: best_mx_transport: ``transport`` or ``transport:nexthop``.
        agents: the transport's agent, by name.
        log: of the SMTP client.
    """

    def __init__(
        self, agent: DeliveryAgent, target: str, agents: Callable[[str], DeliveryAgent | None], log: ServiceLog
    ) -> None:
        self._agent = agent
        self._transport, _, self._nexthop = target.partition(":")
        self._agents = agents
        self._log = log

    async def deliver(self, request: DeliveryRequest) -> Sequence[DeliveryResult]:
        """Attempt the delivery; exactly one result for each recipient of the request."""
        results = await self._agent.deliver(request)
        looping = [result.recipient for result in results if _loops(result)]
        if not looping:
            return results
        kept = [result for result in results if not _loops(result)]
        agent = self._agents(self._transport)
        onward = request.handed_on(self._transport, self._nexthop, tuple(looping))
        if agent is not None and onward is not None:
            return [*kept, *await agent.deliver(onward)]
        if onward is None:
            self._log.warning(request.circle(self._transport))
        text = CIRCLES if onward is None else _UNAVAILABLE
        lost = [result for result in results if _loops(result)]
        return [*kept, *(replace(each, status=Status.DEFERRED, dsn=Dsn(4, 3, 0), text=text) for each in lost)]


def _loops(result: DeliveryResult) -> bool:
    """Our own finding; a peer's words are behind its own name."""
    return result.dsn == LOOP and not result.remote_mta and result.text.endswith(" loops back to myself")
