"""An imapd on the real mailstore, in a thread of its own, for tests that speak to it over a socket; and its client.

``ImapServer(tmp_path)`` as a context manager listens on a free port of 127.0.0.1; two on one directory are like two
workers. ``client()`` gives a raw client that looks only for tags. ``on_loop(coroutine)`` runs something in the server's
loop, such as a delivery.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Self, TypeVar

import uvloop

from angarium.auth.interface import Accepted, Outcome, Refused, Unavailable
from angarium.daemons.imapd.main import ImapdParameters, ImapdService
from angarium.mailstore.interface import NewMail
from angarium.mailstore.store import SqliteMailStore
from angarium.model.content import MemoryContent
from angarium.runtime.bus import Bus
from angarium.runtime.log import MemoryLog, ServiceLog
from angarium.runtime.spool import Spool

T = TypeVar("T")
MESSAGE = (
    b"From: Ann <ann@example.test>\r\nTo: bob@example.test\r\nSubject: A word\r\n"
    b"Date: Mon, 1 Jan 2024 10:00:00 +0100\r\n\r\nHello.\r\n"
)


class Passwords:
    """Everyone's password is ``secret``; the user ``later`` cannot be checked now."""

    async def check_password(self, user: str, password: str) -> Outcome:
        if user == "later":
            return Unavailable("database is away")
        if password != "secret":
            return Refused("Password mismatch")
        return Accepted(user if "@" in user else f"{user}@example.test")


class ImapServer:
    """The server."""

    def __init__(self, directory: Path, parameters: ImapdParameters | None = None, tls: ssl.SSLContext | None = None):
        self.directory = directory
        self.parameters = parameters or ImapdParameters(max_userip_connections=0)
        self.tls = tls
        self.log = MemoryLog()
        self.bus: Bus | None = None
        self.port = 0
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._error: BaseException | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_exc: object) -> None:
        with contextlib.suppress(RuntimeError):  # a drained server has ended its loop by itself
            self.loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join(10)
        assert not self._thread.is_alive()
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        self.loop = uvloop.new_event_loop()
        try:
            self._task = self.loop.create_task(self._serve())
            self.loop.run_until_complete(self._task)
        except asyncio.CancelledError:
            pass
        except BaseException as error:
            self._error = error
            self._ready.set()
        finally:
            self.loop.run_until_complete(self.loop.shutdown_default_executor())
            self.loop.close()

    async def _serve(self) -> None:
        for name in ("spool", "mail", "bus"):
            (self.directory / name).mkdir(exist_ok=True)
        log = ServiceLog(self.log, "dovecot: imap-login")
        self.bus = Bus(self.directory / "bus")
        await self.bus.start()
        self.mailstore = SqliteMailStore(self.directory / "mail", log, self.bus)
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        listener.listen(500)
        listener.setblocking(False)
        self.port = listener.getsockname()[1]
        self.service = ImapdService(
            self.parameters,
            mailstore=self.mailstore,
            authenticator=Passwords(),
            log=log,
            spool=Spool(self.directory / "spool"),
            tls=self.tls,
        )
        self.loop.call_soon(self._ready.set)
        try:
            await self.service.run([listener])
        finally:
            self.bus.close()
            await self.mailstore.close()

    def on_loop(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(20)

    def settled(self) -> list[str]:
        """The log, when the last client is gone."""
        while self.service.statistics()["connections"]:
            self.on_loop(asyncio.sleep(0))
        return self.log.lines

    def deliver(
        self, account: str, mailbox: str = "INBOX", message: bytes = MESSAGE, count: int = 1, *, recent: bool = False
    ) -> None:
        r"""Deliver copies of a message; they are \Recent only on request, unless a session hears of their coming."""

        async def run() -> None:
            store = await self.mailstore.open(account)
            mail = NewMail(mailbox, b"", MemoryContent(message), frozenset(), 1704103200.0)
            appended = await store.append([mail] * count)
            if not recent:
                await store.claim_recent(appended[-1].mailbox, appended[-1].uid + 1)

        self.on_loop(run())

    def client(self, user: str = "alice", *, select: str = "") -> ImapClient:
        client = ImapClient(self.port)
        if user:
            client.ok(f"LOGIN {user} secret")
        if select:
            client.ok(f"SELECT {select}")
        return client

    def client_over(self, context: ssl.SSLContext, user: str = "alice") -> ImapClient:
        """A client over TLS from the first byte on."""
        client = ImapClient(self.port, context)
        client.ok(f"LOGIN {user} secret")
        return client


class ImapClient:
    """Sends commands, and reads lines (with the literals they announce) up to the tagged answer."""

    def __init__(self, port: int, context: ssl.SSLContext | None = None) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), 20)
        if context is not None:
            self.socket = context.wrap_socket(self.socket, server_hostname="localhost")
        self._file = self.socket.makefile("rb")
        self._number = 0
        self.greeting = self.line()

    def wrap(self, context: ssl.SSLContext) -> None:
        """Negotiate TLS."""
        self._file.close()
        self.socket = context.wrap_socket(self.socket, server_hostname="localhost")
        self._file = self.socket.makefile("rb")

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def line(self) -> bytes:
        """One response, with its literals, without the last CRLF. Raises EOFError."""
        parts = []
        while True:
            line = self._file.readline()
            if not line:
                raise EOFError(b"".join(parts))
            parts.append(line)
            if not line.endswith(b"}\r\n"):
                return b"".join(parts)[:-2]
            size = int(line[line.rindex(b"{") + 1 : -3])
            parts.append(self._file.read(size))

    def command(self, text: str | bytes) -> list[bytes]:
        """Responses up to the tagged one or a continuation; a command with literals uses ``{n+}``."""
        self._number += 1
        tag = b"t%d" % self._number
        self.send(tag + b" " + (text.encode() if isinstance(text, str) else text) + b"\r\n")
        responses = []
        while True:
            line = self.line()
            if line.startswith(tag + b" "):
                line = line[len(tag) + 1 :]
                return [*responses, line]
            responses.append(line)
            if line.startswith(b"+"):
                return responses

    def rest(self) -> list[bytes]:
        """Responses up to the end of the connection."""
        responses = []
        while True:
            try:
                responses.append(self.line())
            except EOFError:
                return responses

    def ok(self, text: str | bytes) -> list[bytes]:
        responses = self.command(text)
        assert responses[-1].startswith(b"OK"), responses
        return responses

    def last(self, text: str | bytes) -> bytes:
        """The tagged answer alone."""
        return self.command(text)[-1]

    def append(self, message: bytes = MESSAGE, mailbox: str = "INBOX", options: str = "") -> bytes:
        head = f"APPEND {mailbox} {options}{' ' if options else ''}{{{len(message)}+}}\r\n"
        return self.last(head.encode() + message)

    def close(self) -> None:
        self._file.close()
        self.socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()
