"""Counts what each client does, as anvil(8) does it: connections at once, and events in a unit of time.

The counters belong to the process; with several workers each adds what the others have counted (``runtime.counts``).
They cost a dictionary access an event; clients that went away are forgotten when their last unit of time is over.
"""

from __future__ import annotations

import enum
from collections.abc import Callable

from angarium.runtime.counts import Column


class Counted(enum.Enum):
    """What has a rate."""

    CONNECTION = "connection"
    MESSAGE = "message"
    RECIPIENT = "recipient"
    AUTH = "auth"
    TLS = "tls"


class _Usage:
    __slots__ = ("connections", "rates", "started")

    def __init__(self, started: float) -> None:
        self.connections = 0
        self.started = started
        self.rates: dict[Counted, int] = {}


class ClientLimits:
    """The counters of a process.

    Args:
        clock: seconds, monotonic.
        time_unit: postconf(5) ``anvil_rate_time_unit``.
        shared: the counts of the other workers; None when there are none.
    """

    def __init__(self, clock: Callable[[], float], time_unit: float = 60.0, shared: Column | None = None) -> None:
        self._shared = shared
        self._clock = clock
        self._unit = time_unit
        self._usage: dict[tuple[str, str], _Usage] = {}
        self._sweep_at = 1024

    def connect(self, service: str, address: str) -> tuple[int, int]:
        """Count a connection: how many are open now, and how many were made in this unit of time."""
        usage = self._current(service, address)
        usage.connections += 1
        others = 0
        if self._shared is not None:
            self._shared.add((service, address), 1)
            others = self._shared.others((service, address))
        return usage.connections + others, self._add(usage, service, address, Counted.CONNECTION)

    def disconnect(self, service: str, address: str) -> None:
        """A connection that was counted has ended."""
        usage = self._usage.get((service, address))
        if usage is not None:
            usage.connections -= 1
            if self._shared is not None:
                self._shared.add((service, address), -1)

    def count(self, service: str, address: str, what: Counted) -> int:
        """Count an event: how many there were in this unit of time."""
        return self._add(self._current(service, address), service, address, what)

    def number(self, service: str, address: str, what: Counted) -> int:
        """How many events there were in this unit of time, without counting one."""
        return self._current(service, address).rates.get(what, 0) + self._others(service, address, what)

    def _add(self, usage: _Usage, service: str, address: str, what: Counted) -> int:
        number = usage.rates.get(what, 0) + 1
        usage.rates[what] = number
        if self._shared is None:
            return number
        self._shared.add((service, address, what.value), 1, self._window())
        return number + self._others(service, address, what)

    def _others(self, service: str, address: str, what: Counted) -> int:
        if self._shared is None:
            return 0
        return self._shared.others((service, address, what.value), self._window())

    def _window(self) -> int:
        """The present unit of time, the same for all workers: the monotonic clock is the machine's. Never 0."""
        return int(self._clock() / self._unit) + 1 if self._unit > 0 else 1

    def _current(self, service: str, address: str) -> _Usage:
        now = self._clock()
        key = (service, address)
        usage = self._usage.get(key)
        if usage is None:
            if len(self._usage) >= self._sweep_at:
                self._sweep(now)
            usage = self._usage[key] = _Usage(now)
        elif now - usage.started >= self._unit:
            usage.started = now
            usage.rates.clear()
        return usage

    def _sweep(self, now: float) -> None:
        gone = [k for k, usage in self._usage.items() if not usage.connections and now - usage.started >= self._unit]
        for key in gone:
            del self._usage[key]
        self._sweep_at = max(1024, 2 * len(self._usage))
