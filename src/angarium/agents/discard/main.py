"""discard(8): a transport that throws mail away and says ``sent``; its nexthop is the reason for the log."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from angarium.model.delivery import DeliveryRequest, DeliveryResult, Status
from angarium.model.dsn import Dsn


class DiscardAgent:
    """The agent of a service that runs ``discard`` (``model.delivery.DeliveryAgent``).

    Args:
        clock: seconds since the epoch.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock

    async def deliver(self, request: DeliveryRequest) -> Sequence[DeliveryResult]:
        """Say that all recipients have it."""
        dsn, text = Dsn.split(request.nexthop)
        code = dsn.with_class(2) if dsn is not None else Dsn(2, 0, 0)
        now = self._clock()
        return [
            DeliveryResult(queued, Status.SENT, code, "none", text, agent_ready=now, finished=now)
            for queued in request.recipients
        ]
