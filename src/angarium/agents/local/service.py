"""The service of the local process: delivers what the queue manager asks for (``delivery.answerer``)."""

from __future__ import annotations

from angarium.agents.local.agent import Deliverer
from angarium.agents.local.exchange import encode_parts
from angarium.delivery.answerer import Answerer
from angarium.model.delivery import DeliveryRequest
from angarium.runtime.log import ServiceLog


class LocalService(Answerer):
    """The service (``runtime.service.Service``).

    Args:
        deliverer: who delivers.
        askers: the users who may ask.
        log: ``postfix/local``.
    """

    def __init__(self, deliverer: Deliverer, askers: frozenset[int], log: ServiceLog) -> None:
        async def answer(request: DeliveryRequest) -> bytes:
            return encode_parts(await deliverer.deliver(request))

        super().__init__(answer, askers, log)
