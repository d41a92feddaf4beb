"""Counts what each client does, as anvil(8) does it: connections at once, and events in a unit of time.

Each worker counts its own clients and adds what the other workers have counted (``runtime.counts``), so that a limit
holds for the server. An event costs a dictionary access and a few cells of memory, no message to another process.
Clients of smtpd_client_event_limit_exceptions are never counted. Clients that went away are forgotten when their last
unit of time is over.

A client is an address, or a network of smtpd_client_ipv6_prefix_length or smtpd_client_ipv4_prefix_length bits: who
has one IPv6 address has millions.

A unit of time begins here with a client's first event, for the other workers with the clock: a rate may be counted
too low by what others saw before the clock's last turn, never too high.
"""

from __future__ import annotations

import enum
import time
from collections.abc import Callable
from ipaddress import ip_network

from angarium.daemons.smtpd.maxima import Maxima
from angarium.runtime.counts import Column
from angarium.runtime.log import ServiceLog


class Counted(enum.Enum):
    """What has a rate; the value is anvil's word for it."""

    CONNECTION = "connection"
    MESSAGE = "message"
    RECIPIENT = "recipient"
    AUTH = "auth"
    TLS = "newtls"


Key = tuple[str, str]
"""A service, and a client or its network."""


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
        prefixes: bits of an IPv4 and of an IPv6 address that make a client.
        log: takes the statistics; None: nobody wants them.
        wall: seconds since the epoch.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        time_unit: float = 60.0,
        shared: Column | None = None,
        prefixes: tuple[int, int] = (32, 128),
        log: ServiceLog | None = None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._shared = shared
        self._clock = clock
        self._unit = time_unit
        self._ipv4_bits, self._ipv6_bits = prefixes
        self._log = log
        self._wall = wall
        self._maxima = Maxima()
        self._usage: dict[Key, _Usage] = {}
        self._sweep_at = 1024

    def connect(self, service: str, address: str) -> tuple[int, int]:
        """Count a connection: how many are open now, and how many were made in this unit of time."""
        key = self._key(service, address)
        usage = self._current(key)
        usage.connections += 1
        number = usage.connections
        if self._shared is not None:
            self._shared.add(key, 1)
            number += self._shared.others(key)
        rate = self._add(usage, key, Counted.CONNECTION)
        if self._log is not None:
            self._maxima.note("count", number, key, self._wall())
        return number, rate

    def disconnect(self, service: str, address: str) -> None:
        """A connection that was counted has ended."""
        key = self._key(service, address)
        usage = self._usage.get(key)
        if usage is not None:
            usage.connections -= 1
            if self._shared is not None:
                self._shared.add(key, -1)

    def count(self, service: str, address: str, what: Counted) -> int:
        """Count an event: how many there were in this unit of time."""
        key = self._key(service, address)
        return self._add(self._current(key), key, what)

    def number(self, service: str, address: str, what: Counted) -> int:
        """How many events there were in this unit of time, without counting one."""
        key = self._key(service, address)
        return self._current(key).rates.get(what, 0) + self._others(key, what)

    def report(self) -> None:
        """Write the highest counts since the last report into the log."""
        if self._log is not None:
            for line in self._maxima.take_lines(self._unit):
                self._log.info(line)

    def _key(self, service: str, address: str) -> Key:
        """What is counted together."""
        bits = self._ipv6_bits if ":" in address else self._ipv4_bits
        if bits < (128 if ":" in address else 32):
            try:
                return service, str(ip_network((address.partition("%")[0], bits), strict=False))
            except ValueError:
                pass  # no address, as of a unix socket: itself
        return service, address

    def _add(self, usage: _Usage, key: Key, what: Counted) -> int:
        number = usage.rates.get(what, 0) + 1
        usage.rates[what] = number
        if self._shared is not None:
            self._shared.add((*key, what.value), 1, self._window())
            number += self._others(key, what)
        if self._log is not None:
            self._maxima.note(what.value, number, key, self._wall())
        return number

    def _others(self, key: Key, what: Counted) -> int:
        if self._shared is None:
            return 0
        return self._shared.others((*key, what.value), self._window())

    def _window(self) -> int:
        """The present unit of time, the same for all workers: the monotonic clock is the machine's. Never 0."""
        return int(self._clock() / self._unit) + 1 if self._unit > 0 else 1

    def _current(self, key: Key) -> _Usage:
        now = self._clock()
        usage = self._usage.get(key)
        if usage is None:
            if len(self._usage) >= self._sweep_at:
                self._sweep(now)
            usage = self._usage[key] = _Usage(now)
            if self._log is not None:
                self._maxima.note_cache(len(self._usage), self._wall())
        elif now - usage.started >= self._unit:
            usage.started = now
            usage.rates.clear()
        return usage

    def _sweep(self, now: float) -> None:
        gone = [k for k, usage in self._usage.items() if not usage.connections and now - usage.started >= self._unit]
        for key in gone:
            del self._usage[key]
        self._sweep_at = max(1024, 2 * len(self._usage))
