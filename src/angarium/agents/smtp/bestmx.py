"""``best_mx_transport``: what to do with mail for a domain whose best mail exchanger is this server (postconf(5)).

Without it such mail is returned as "loops back to myself"; with it another transport gets it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from angarium.agents.smtp.hosts import LOOP
from angarium.model.delivery import DeliveryAgent, DeliveryRequest, DeliveryResult, Status
from angarium.model.dsn import Dsn

_UNAVAILABLE = "mail transport unavailable"


class BestMxAgent:
    """An SMTP agent that hands on what would loop.

    Args:
        agent: the SMTP client.
        target: best_mx_transport: ``transport`` or ``transport:nexthop``.
        agents: the transport's agent, by name.
    """

    def __init__(self, agent: DeliveryAgent, target: str, agents: Callable[[str], DeliveryAgent | None]) -> None:
        self._agent = agent
        self._transport, _, self._nexthop = target.partition(":")
        self._agents = agents

    async def deliver(self, request: DeliveryRequest) -> Sequence[DeliveryResult]:
        """Attempt the delivery; exactly one result for each recipient of the request."""
        results = await self._agent.deliver(request)
        looping = [result.recipient for result in results if _loops(result)]
        if not looping:
            return results
        kept = [result for result in results if not _loops(result)]
        agent = self._agents(self._transport)
        if agent is None or agent is self:
            lost = [result for result in results if _loops(result)]
            return [
                *kept,
                *(replace(each, status=Status.DEFERRED, dsn=Dsn(4, 3, 0), text=_UNAVAILABLE) for each in lost),
            ]
        onward = replace(
            request,
            transport=self._transport,
            nexthop=self._nexthop or request.nexthop,
            recipients=tuple(looping),
        )
        return [*kept, *await agent.deliver(onward)]


def _loops(result: DeliveryResult) -> bool:
    """Our own finding; a peer's words are behind its own name."""
    return result.dsn == LOOP and not result.remote_mta and result.text.endswith(" loops back to myself")
