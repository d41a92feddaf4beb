"""The servers of a table, and the connections to them.

Which server is asked (mysql_table(5), pgsql_table(5), ``hosts``): one that is in use already; else one of the others at
random, those on UNIX-domain sockets first. A server that fails is left alone for ``retry_interval``. Connections close
after ``idle_interval`` without use. Tables with the same settings share a pool.

Guarantees:
- a call is bounded: in connecting, in asking, in waiting for a free connection. A hung server delays its own tables
  alone.
- a connection that broke while it idled is replaced once by a new one to the same server, before that counts as failed.
- a query that a server refuses is tried at the others, but does not put a server aside: the next key may well be fine,
  and a sender must not be able to switch a table off with a key. (Postfix puts the server aside for a minute.) Nor does
  one query that takes too long; two in a row do.

Fails with LookupFailedError; what went wrong is in the log before, in Postfix's words.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from angarium.tables.database.lookup import LookupFailedError

_SLOW_LIMIT = 2

C = TypeVar("C")
T = TypeVar("T")


class ServerError(Exception):
    """The server cannot be reached, or the connection broke."""


class QueryError(Exception):
    """The server answers, but refuses this query. The text is a line for the log.

    Attributes:
        broken: the connection cannot be used any more.
    """

    def __init__(self, text: str, *, broken: bool = False) -> None:
        super().__init__(text)
        self.broken = broken


def system_text(error: BaseException) -> str:
    """What the system says of an error, without what a library put in its place."""
    number = getattr(error, "errno", None)
    if isinstance(error, OSError) and isinstance(number, int) and type(error).__module__ == "builtins":
        return os.strerror(number)
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


@dataclass(frozen=True, slots=True)
class Server:
    """One of ``hosts``.

    Attributes:
        name: for messages.
        path: of the UNIX-domain socket; empty: it is reached by TCP.
        host: name or address.
        port: number or service name; empty: the default.
    """

    name: str
    path: str = ""
    host: str = ""
    port: str = ""


def parse_server(text: str) -> Server:
    """``unix:/path``, ``inet:host:port``, ``host:port``, ``host``, ``[::1]:port``."""
    kind, colon, rest = text.partition(":")
    if kind == "unix" and colon:
        return Server(rest, path=rest)
    name = rest if kind == "inet" and colon else text
    if name.startswith("/"):
        return Server(name, path=name)
    if name.startswith("["):
        host, _, port = name[1:].partition("]")
        return Server(name, host=host, port=port.lstrip(":"))
    host, _, port = name.partition(":")
    return Server(name, host=host, port=port)


@dataclass(frozen=True, slots=True)
class Limits:
    """How long, how many. Times in seconds."""

    connect: float = 10.0
    query: float = 10.0
    idle_interval: float = 60.0
    retry_interval: float = 60.0
    connections: int = 5


class Driver(Protocol[C]):
    """What the pool needs of a database."""

    kind: str

    async def connect(self, server: Server) -> C:
        """Raises ServerError; stops what it does when it is cancelled."""
        ...

    def discard(self, connection: C) -> None:
        """Cut a connection off, whatever it does; never waits, never raises."""
        ...

    async def settle(self) -> None:
        """Wait, for a few seconds at most, for what ``discard`` has begun."""
        ...

    async def close(self, connection: C) -> None:
        """Say good-bye; never raises."""
        ...


@dataclass(slots=True)
class _State:
    """What the pool knows of one server."""

    server: Server
    idle: list[tuple[C, float]] = field(default_factory=list)  # type: ignore[valid-type]  # C is the pool's
    down_until: float = float("-inf")
    up: bool = False
    slow: int = 0  # queries in a row that took too long


class ServerPool(Generic[C]):
    """Connections to the servers of a table."""

    def __init__(
        self,
        servers: Sequence[Server],
        driver: Driver[C],
        limits: Limits,
        warn: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
        choose: Callable[[Sequence[_State]], _State] = random.choice,
    ) -> None:
        self._driver = driver
        self._limits = limits
        self._warn = warn
        self._clock = clock
        self._choose = choose
        self._states = tuple(_State(server) for server in servers)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._slots = asyncio.Semaphore(limits.connections)
        self._sweeper: asyncio.TimerHandle | None = None
        self._closing: set[asyncio.Task[None]] = set()

    async def run(self, table: str, work: Callable[[C], Awaitable[T]]) -> T:
        """``work`` with a connection to a server that answers.

        Args:
            table: ``type:name``, for messages.
            work: asks; raises ServerError or QueryError. It may run again at another server.

        Raises:
            LookupFailedError: no server answered.
        """
        self._enter_loop()
        try:
            async with asyncio.timeout(self._limits.connect + self._limits.query):
                await self._slots.acquire()
        except TimeoutError:
            raise self._failed(table, "all connections are busy") from None
        try:
            return await self._at_one_of_them(table, work)
        finally:
            self._slots.release()

    async def _at_one_of_them(self, table: str, work: Callable[[C], Awaitable[T]]) -> T:
        refused: set[int] = set()
        reason = ""
        # Each server can fail twice: at an old connection, and at a new one.
        for _ in range(2 * len(self._states)):
            state = self._next(refused)
            if state is None:
                break
            reused = bool(state.idle)
            try:
                connection = state.idle.pop()[0] if reused else await self._connect(state)
            except ServerError as error:
                reason = f"connect to {self._driver.kind} server {state.server.name}: {error}"
                self._warn(f"{table}: {reason}")
                self._put_aside(state, refused)
                continue
            try:
                return await self._ask(state, connection, work)
            except QueryError as error:
                reason = str(error)
                self._warn(f"{table}: query failed: {reason}")
                refused.add(id(state))
            except ServerError as error:
                reason = str(error)
                if reused:
                    self._drop_idle(state)
                    continue
                self._warn(f"{table}: query failed: {reason}")
                self._put_aside(state, refused)
            except TimeoutError:
                reason = f"{state.server.name} did not answer within {self._limits.query:g} seconds"
                self._warn(f"{table}: query failed: {reason}")
                refused.add(id(state))
                state.slow += 1
                if state.slow >= _SLOW_LIMIT:
                    self._put_aside(state, refused)
        raise LookupFailedError(reason or f"no {self._driver.kind} server is available")

    def _failed(self, table: str, reason: str) -> LookupFailedError:
        self._warn(f"{table}: {reason}")
        return LookupFailedError(reason)

    async def _connect(self, state: _State) -> C:
        try:
            async with asyncio.timeout(self._limits.connect):
                return await self._driver.connect(state.server)
        except TimeoutError:
            raise ServerError(f"no connection within {self._limits.connect:g} seconds") from None
        except (ServerError, QueryError):
            raise
        except Exception as error:  # whatever a driver raises over a broken answer, a look-up does not raise
            raise ServerError(f"{type(error).__name__}: {error}") from error

    async def _ask(self, state: _State, connection: C, work: Callable[[C], Awaitable[T]]) -> T:
        """Run ``work``, then keep the connection or cut it off."""
        whole = False
        try:
            async with asyncio.timeout(self._limits.query):
                result = await work(connection)
            whole = True
            state.slow = 0
        except QueryError as error:
            whole = not error.broken
            raise
        except (ServerError, TimeoutError):
            raise
        except Exception as error:  # as in _connect
            raise ServerError(f"{type(error).__name__}: {error}") from error
        finally:
            if whole:
                self._keep(state, connection)
            else:
                self._driver.discard(connection)
        return result

    def _next(self, refused: set[int]) -> _State | None:
        now = self._clock()
        ready = [each for each in self._states if each.down_until <= now and id(each) not in refused]
        for up in (True, False):
            for local in (True, False):
                choice = [each for each in ready if each.up is up and bool(each.server.path) is local]
                if choice:
                    return choice[0] if len(choice) == 1 else self._choose(choice)
        return None

    def _put_aside(self, state: _State, refused: set[int]) -> None:
        refused.add(id(state))
        state.up = False
        state.slow = 0
        state.down_until = self._clock() + self._limits.retry_interval
        self._drop_idle(state)

    def _keep(self, state: _State, connection: C) -> None:
        state.up = True
        state.idle.append((connection, self._clock()))
        if self._sweeper is None:
            self._sweeper = asyncio.get_running_loop().call_later(self._limits.idle_interval, self._sweep)

    def _drop_idle(self, state: _State) -> None:
        for connection, _ in state.idle:
            self._driver.discard(connection)
        state.idle.clear()

    def _sweep(self) -> None:
        """Close what has been idle for too long."""
        oldest = self._clock() - self._limits.idle_interval
        self._sweeper = None
        left = False
        for state in self._states:
            for connection in [each for each, since in state.idle if since <= oldest]:
                task = asyncio.get_running_loop().create_task(self._driver.close(connection))
                self._closing.add(task)
                task.add_done_callback(self._closing.discard)
            state.idle = [each for each in state.idle if each[1] > oldest]
            left = left or bool(state.idle)
        if left:
            self._sweeper = asyncio.get_running_loop().call_later(self._limits.idle_interval, self._sweep)

    def _enter_loop(self) -> None:
        """Connections belong to the loop that made them: in another one they are forgotten."""
        loop = asyncio.get_running_loop()
        if loop is self._loop:
            return
        self._loop = loop
        self._slots = asyncio.Semaphore(self._limits.connections)
        self._sweeper = None
        for state in self._states:
            self._drop_idle(state)

    async def close(self) -> None:
        """Close all that idles."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        for state in self._states:
            idle, state.idle = state.idle, []
            for connection, _ in idle:
                await self._driver.close(connection)
        if self._closing:
            await asyncio.gather(*self._closing)
        await self._driver.settle()
