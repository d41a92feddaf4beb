"""The queue manager's alarm: one timer of the loop, set to the earliest time at which there is something to do.

Follows a clock that may jump: a time that was set by another clock than is shown now is set again. Timers may fire a
little early, so that there is nothing to do yet; the owner then sets the alarm again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

_LATE = 0.001
"""Seconds that a timer is set later than need be: the loop counts milliseconds, and not from our clock."""


class Alarm:
    """One timer.

    Args:
        loop: where it runs.
        clock: seconds since the epoch; it may jump.
        ring: called when the time has come.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, clock: Callable[[], float], ring: Callable[[], None]) -> None:
        self._loop = loop
        self._clock = clock
        self._ring = ring
        self._timer: asyncio.TimerHandle | None = None
        self._at = 0.0

    def set(self, at: float) -> None:
        """Ring at that time by the clock, unless it rings before."""
        if self._timer is not None:
            if self._clock() < self._at <= at:
                return
            self._timer.cancel()
        self._at = at
        self._timer = self._loop.call_later(max(0.0, at - self._clock()) + _LATE, self._fired)

    def cancel(self) -> None:
        """Never ring again."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _fired(self) -> None:
        self._timer = None
        self._ring()
