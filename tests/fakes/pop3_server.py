"""A pop3d to speak to: without a socket (``Wire``), or on a free port of 127.0.0.1 in a thread (``Pop3Server``)."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Self, TypeVar

import uvloop
from tests.fakes.mailstore import FakeMailStore

from angarium.auth.interface import Accepted, Outcome, Refused, Unavailable
from angarium.auth.penalty import LoginPenalty, Networks
from angarium.auth.sessions import UserSessions
from angarium.daemons.pop3d.connection import Pop3Connection
from angarium.daemons.pop3d.conversation import Collaborators
from angarium.daemons.pop3d.main import Pop3dParameters, Pop3dService
from angarium.mailstore.interface import FlagOperation, NewMail
from angarium.mailstore.store import SqliteMailStore
from angarium.model.content import MemoryContent
from angarium.runtime.log import MemoryLog, ServiceLog

T = TypeVar("T")


class Passwords:
    """Everyone's password is ``secret``; the user ``later`` cannot be checked now."""

    async def check_password(self, user: str, password: str) -> Outcome:
        if user == "later":
            return Unavailable("database is away")
        if password != "secret":
            return Refused("Password mismatch")
        return Accepted(user if "@" in user else f"{user}@example.test")


class Transport:
    """What the connection sees of a socket."""

    def __init__(self, remote: str, local: str) -> None:
        self.written = b""
        self.writes = 0
        self.closed = False
        self.reading = True
        self.protocol: Pop3Connection | None = None
        self.high_water = 1 << 62
        self._names = {"peername": (remote, 4711), "sockname": (local, 110)}

    def get_extra_info(self, name: str) -> object:
        return self._names.get(name)

    def write(self, data: bytes) -> None:
        self.written += data
        self.writes += 1
        if len(self.written) > self.high_water and self.protocol is not None:
            self.protocol.pause_writing()

    def close(self) -> None:
        self.closed = True

    abort = close

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def take(self) -> bytes:
        taken, self.written = self.written, b""
        return taken


class Wire:
    """One session in a loop of its own, driven step by step; ``now`` is its clock."""

    def __init__(
        self,
        store: FakeMailStore,
        parameters: Pop3dParameters | None = None,
        remote: str = "127.0.0.1",
        local: str = "127.0.0.1",
        *,
        sessions: UserSessions | None = None,
        log: MemoryLog | None = None,
        penalty: LoginPenalty | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.now = 0.0
        self.log = log or MemoryLog()
        self.gone = False
        self.loop = asyncio.new_event_loop()
        self.transport = Transport(remote, local)
        parameters = parameters or Pop3dParameters()
        exempt = Networks(parameters.auth_penalty_exceptions)
        self.shared = Collaborators(
            parameters,
            store,  # type: ignore[arg-type]
            Passwords(),
            ServiceLog(self.log, "dovecot: pop3-login"),
            lambda: self.now,
            sessions or UserSessions("pop3", parameters.connection_count_limit),
            penalty or LoginPenalty(exempt),
            exempt,
            Networks(parameters.secure_networks),
        )
        self._run(self._connect(tls))
        self.greeting = self.transport.take()

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    async def _connect(self, tls: ssl.SSLContext | None) -> None:
        self.connection = Pop3Connection(self.shared, tls, lambda _: None, self._closed)
        self.transport.protocol = self.connection
        self.connection.connection_made(self.transport)  # type: ignore[arg-type]

    def _closed(self, _connection: Pop3Connection) -> None:
        self.gone = True

    def __call__(self, data: bytes, *, settle: bool = True) -> bytes:
        """Send bytes and return what comes back when the session has nothing more to do."""

        async def exchange() -> None:
            self.connection.data_received(data)
            if settle:
                await self._settled()

        self._run(exchange())
        return self.transport.take()

    def resume(self) -> bytes:
        """The client reads again."""

        async def resume() -> None:
            self.connection.resume_writing()
            await self._settled()

        self._run(resume())
        return self.transport.take()

    async def _settled(self) -> None:
        connection = self.connection
        while connection._put_off or ((task := connection._task) is not None and not task.done()):
            if not self.connection._writable.is_set():
                await asyncio.sleep(0)
                return
            await asyncio.sleep(0)

    def login(self, user: str = "alice") -> Self:
        assert self(f"USER {user}\r\nPASS secret\r\n".encode()) == b"+OK\r\n+OK Logged in.\r\n"
        return self

    def disconnect(self) -> None:
        """The client goes."""

        async def lose() -> None:
            self.connection.connection_lost(None)
            await asyncio.sleep(0)
            await asyncio.sleep(0)

        self._run(lose())

    def close(self) -> None:
        if not self.gone:
            self.disconnect()
        self.loop.close()


class Pop3Server:
    """pop3d on the real mailstore."""

    def __init__(self, directory: Path, parameters: Pop3dParameters, tls: ssl.SSLContext | None = None) -> None:
        self.directory = directory
        self.parameters = parameters
        self.tls = tls
        self.log = MemoryLog()
        self.port = 0
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._error: BaseException | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10)
        if self._error is not None:
            raise self._error
        return self

    def __exit__(self, *_exc: object) -> None:
        self.loop.call_soon_threadsafe(self.service.drain)
        self._thread.join(10)
        assert not self._thread.is_alive()
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        self.loop = uvloop.new_event_loop()
        try:
            self.loop.run_until_complete(self._serve())
        except BaseException as error:
            self._error = error
            self._ready.set()
        finally:
            self.loop.run_until_complete(self.loop.shutdown_default_executor())
            self.loop.close()

    async def _serve(self) -> None:
        log = ServiceLog(self.log, "dovecot: pop3-login")
        self.mailstore = SqliteMailStore(self.directory, log)
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        listener.listen(100)
        listener.setblocking(False)
        self.port = listener.getsockname()[1]
        self.service = Pop3dService(
            self.parameters, store=self.mailstore, authenticator=Passwords(), log=log, tls=self.tls
        )
        self.loop.call_soon(self._ready.set)
        try:
            await self.service.run([listener])
        finally:
            await self.mailstore.close()

    def on_loop(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(20)

    def settled(self) -> list[str]:
        """The log, when the last client is gone."""
        while self.service.statistics()["connections"]:
            self.on_loop(asyncio.sleep(0))
        return self.log.lines

    def deliver(self, account: str, *messages: bytes) -> None:
        async def run() -> None:
            store = await self.mailstore.open(account)
            await store.append(
                [NewMail("INBOX", b"", MemoryContent(message), frozenset(), 1704103200.0) for message in messages]
            )

        self.on_loop(run())

    def flags(self, account: str) -> list[frozenset[str]]:
        async def run() -> list[frozenset[str]]:
            store = await self.mailstore.open(account)
            inbox = await store.mailbox("INBOX")
            return [state.flags for state in await store.states(inbox.id)]

        return self.on_loop(run())

    def set_flags(self, account: str, uid: int, flags: frozenset[str]) -> None:
        async def run() -> None:
            store = await self.mailstore.open(account)
            inbox = await store.mailbox("INBOX")
            await store.store_flags(inbox.id, [uid], FlagOperation.REPLACE, flags)

        self.on_loop(run())
