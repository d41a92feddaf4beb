"""The queue manager's side of the local process: asks it to deliver.

Fails by deferring: no recipient is lost or delivered to twice because the process is not there, or dies on the way,
beyond what local(8) itself may repeat.
"""

from __future__ import annotations

from collections.abc import Sequence

from angarium.agents.local.deliverer import Part
from angarium.agents.local.exchange import decode_parts
from angarium.delivery.asker import Asker
from angarium.model.delivery import DeliveryRequest, Status
from angarium.model.dsn import Dsn
from angarium.runtime.log import ServiceLog


class RemoteDeliverer:
    """``agent.Deliverer`` in the local process.

    Args:
        address: of its socket.
        log: ``postfix/local``.
        owner: the user that it must be; nobody else's process is told anything.
    """

    def __init__(self, address: str | bytes, log: ServiceLog, owner: int = 0) -> None:
        self._asker = Asker(address, owner)
        self._log = log

    async def deliver(self, request: DeliveryRequest) -> Sequence[Sequence[Part]]:
        """The parts of each recipient, in the order of the request."""
        try:
            told = decode_parts(await self._asker.ask(request))
            if len(told) != len(request.recipients) or not all(told):
                raise ValueError("an answer for other recipients")
        except (OSError, ValueError) as error:
            self._log.warning(f"{request.queue_id}: no answer of the local process: {error}")
            failed = Dsn(4, 3, 0)
            text = "the local process does not answer"
            return [[Part(each.recipient.address, Status.DEFERRED, failed, text)] for each in request.recipients]
        return told
