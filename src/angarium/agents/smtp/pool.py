"""The connection cache: open connections by nexthop, for the next message to the same place (CONNECTION_CACHE_README).

Owns the list of all living connections and the one timer that looks at their deadlines. An idle connection is kept
for smtp_connection_cache_time_limit and reused within smtp_connection_reuse_time_limit and _count_limit. The connection
given back last is taken first, so that those not needed grow old.
"""

from __future__ import annotations

import asyncio

from angarium.agents.smtp.connection import Connection
from angarium.agents.smtp.destination import Destination
from angarium.agents.smtp.parameters import SmtpParameters

_CLOSING_TURNS = 20  # of the event loop: closing takes one or two


class ConnectionPool:
    """See the module. Belongs to one event loop."""

    def __init__(self, parameters: SmtpParameters) -> None:
        self._parameters = parameters
        self._idle: dict[str, list[Connection]] = {}
        self._living: set[Connection] = set()
        self._timer: asyncio.TimerHandle | None = None
        timeouts = parameters.timeouts
        shortest = min(parameters.cache_time_limit, *timeouts.by_step().values())
        self._interval = min(max(shortest / 4, 0.01), 1.0)

    def statistics(self) -> tuple[int, int]:
        """Living connections, and how many of them are idle."""
        return len(self._living), sum(map(len, self._idle.values()))

    def watch(self, connection: Connection) -> None:
        """Look after a new connection's deadlines, until it is gone."""
        self._living.add(connection)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._interval, self._sweep)

    def take(self, key: str) -> Connection | None:
        """An idle connection that can be used, or None."""
        idle = self._idle.get(key)
        while idle:
            connection = idle.pop()
            if not idle:
                del self._idle[key]
            if connection.reusable and connection.opened + self._parameters.reuse_time_limit > connection.now:
                return connection
            self._close(connection)
        return None

    def give(self, key: str, connection: Connection, destination: Destination) -> None:
        """Keep a connection for the next message, or close it."""
        parameters = self._parameters
        count_limit = parameters.reuse_count_limit
        wanted = parameters.cache_on_demand or destination.host.lower() in parameters.cache_destinations
        if (
            not wanted
            or parameters.cache_time_limit <= 0
            or not connection.reusable
            or (connection.tls and not parameters.tls_connection_reuse)
            or (count_limit and connection.uses > count_limit)
        ):
            self._close(connection)
            return
        connection.key = key
        connection.deadline = connection.now + parameters.cache_time_limit
        self._idle.setdefault(key, []).append(connection)

    async def close(self) -> None:
        """Close all connections, with QUIT where one may be said; returns when their sockets are closed."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for connection in self._living:
            connection.quit()
        for turn in range(_CLOSING_TURNS):
            if not any(connection.open for connection in self._living):
                break
            if turn == _CLOSING_TURNS // 2:
                for connection in self._living:
                    connection.abort()  # a peer that does not read would keep us here
            await asyncio.sleep(0)
        self._living.clear()
        self._idle.clear()

    def _close(self, connection: Connection) -> None:
        connection.quit(wait=not self._parameters.skip_quit_response)

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        for connection in list(self._living):
            if now >= connection.deadline:
                self._retire(connection)
                connection.expire(now)
            if not connection.open:
                self._living.discard(connection)
                self._retire(connection)
        self._timer = loop.call_later(self._interval, self._sweep) if self._living else None

    def _retire(self, connection: Connection) -> None:
        idle = self._idle.get(connection.key)
        if idle and connection in idle:
            idle.remove(connection)
            if not idle:
                del self._idle[connection.key]
