"""error(8), and retry: a transport that delivers nothing; each recipient fails with the text that its nexthop is.

``error:5.7.1 this domain is closed`` bounces, ``retry:4.3.2 come back later`` defers. A leading enhanced status code is
taken off the text; without one it is 5.0.0 (``error``) or 4.0.0 (``retry``). The class is forced to what the service
does, so ``error:4.7.1 x`` is a bounce with 5.7.1.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from angarium.model.delivery import DeliveryRequest, DeliveryResult, Status
from angarium.model.dsn import Dsn


class ErrorAgent:
    """The agent of a service that runs ``error`` (``model.delivery.DeliveryAgent``).

    Args:
        temporary: the service is ``retry``: defer instead of bounce.
        clock: seconds since the epoch.
    """

    def __init__(self, *, temporary: bool = False, clock: Callable[[], float] = time.time) -> None:
        self._status = Status.DEFERRED if temporary else Status.BOUNCED
        self._class = 4 if temporary else 5
        self._clock = clock

    async def deliver(self, request: DeliveryRequest) -> Sequence[DeliveryResult]:
        """Refuse all recipients."""
        dsn, text = Dsn.split(request.nexthop)
        code = dsn.with_class(self._class) if dsn is not None else Dsn(self._class, 0, 0)
        now = self._clock()
        return [
            DeliveryResult(queued, self._status, code, "none", text, agent_ready=now, finished=now)
            for queued in request.recipients
        ]
