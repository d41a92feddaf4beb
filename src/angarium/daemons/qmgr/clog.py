"""Warnings about a destination that fills the active queue, so that other mail does not get in (qmgr_clog_warn_time).

A destination that holds a fifth of what the active queue may hold is told of, with what may help, once in so many
seconds. The words are qmgr(8)'s, since log readers look for them.
"""

from __future__ import annotations

from angarium.daemons.qmgr.scheduler import Delivery, Limits, Share
from angarium.runtime.log import ServiceLog

_KEPT = 1000
"""Destinations that are remembered as told of."""


class ClogWatch:
    """See the module.

    Args:
        interval: seconds between two warnings about one destination; 0 is none at all.
        active_limit: qmgr_message_active_limit.
        log: of the queue manager.

    Attributes:
        threshold: active messages below which nothing can be clogged.
    """

    def __init__(self, interval: float, active_limit: int, log: ServiceLog) -> None:
        self._interval = interval
        self._log = log
        self._told: dict[tuple[str, ...], float] = {}
        self.threshold = max(1, active_limit // 5) if interval > 0 else active_limit

    def look(self, delivery: Delivery, share: Share, limits: Limits, active: int, now: float) -> None:
        """Warn if the destination of ``delivery`` holds too much of ``active`` messages."""
        held = share.waiting + share.busy
        if held <= self.threshold or now < self._told.get(delivery.key, 0.0) or not self._interval:
            return
        if len(self._told) >= _KEPT:
            self._told.clear()
        self._told[delivery.key] = now + self._interval
        for text in self._texts(delivery, share, limits, held, active):
            self._log.warning(text)

    @staticmethod
    def _texts(delivery: Delivery, share: Share, limits: Limits, held: int, active: int) -> list[str]:
        texts = [f"mail for {delivery.nexthop} is using up {held} of {active} active queue entries"]
        name = delivery.transport
        if limits.concurrency_limit and share.window >= limits.concurrency_limit:
            if 0 < limits.process_limit <= limits.concurrency_limit:
                texts.append(f"you may need to increase the master.cf {name} process limit")
            place = f"{name}_destination_concurrency_limit"
            texts.append(f"you may need to increase the main.cf {place} from {limits.concurrency_limit}")
        else:
            texts.append(f"you may need to reduce {name} connect and helo timeouts")
            texts.append("so that Postfix quickly skips unavailable hosts")
        if held < active:
            texts.append(f"you may need a separate master.cf transport for {delivery.nexthop}")
        return [
            *texts,
            "please avoid flushing the whole queue when you have",
            "lots of deferred mail, that is bad for performance",
            "to turn off these warnings specify: qmgr_clog_warn_time = 0",
        ]
