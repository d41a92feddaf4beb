"""A service of root's process: does what the queue manager asks for (``question``), as root where it must be.

It takes questions from the users in ``askers`` alone, reads the message from the descriptor that comes with them, and
touches no queue. It listens on one unix socket.

Fails with nothing: a question that makes no sense is closed, with a warning, and the queue manager defers.
"""

from __future__ import annotations

import array
import asyncio
import contextlib
import os
import socket
from collections.abc import Awaitable, Callable, Sequence

from angarium.delivery.asker import peer_user, read_line
from angarium.delivery.question import decode_request
from angarium.model.delivery import DeliveryRequest
from angarium.runtime.log import ServiceLog

_PIECE = 65536
_PAUSE = 1.0
"""Seconds until connections are accepted again after that was not possible."""

_ROOM = socket.CMSG_SPACE(array.array("i", [0]).itemsize)

Answer = Callable[[DeliveryRequest], Awaitable[bytes]]


class Answerer:
    """The service of an agent (``runtime.service.Service``).

    Args:
        answer: delivers, and says what came of it in one line; it may raise OSError or ValueError.
        askers: the users who may ask.
        log: the agent's.
    """

    def __init__(self, answer: Answer, askers: frozenset[int], log: ServiceLog) -> None:
        self._answer_to = answer
        self._askers = askers
        self._log = log
        self._tasks: set[asyncio.Task[None]] = set()
        self._waiting: set[asyncio.Task[None]] = set()
        self._draining = asyncio.Event()

    @property
    def name(self) -> str:
        """For the log."""
        return self._log.tag

    def drain(self) -> None:
        """Accept nothing more; ``run`` returns when the deliveries under way have ended."""
        self._draining.set()

    async def run(self, sockets: Sequence[socket.socket]) -> None:
        """Serve until drained or cancelled."""
        loop = asyncio.get_running_loop()
        accepting = [loop.create_task(self._accept(each)) for each in sockets]
        try:
            await self._draining.wait()
            for task in (*accepting, *self._waiting):
                task.cancel()
            if self._tasks:
                await asyncio.wait(self._tasks)
        finally:
            for task in (*accepting, *self._tasks):
                task.cancel()
            await asyncio.gather(*accepting, *self._tasks, return_exceptions=True)

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, _address = await loop.sock_accept(listener)
            except OSError as error:  # too many files are open: they will not be for ever
                self._log.warning(f"accept connection: {error.strerror}")
                await asyncio.sleep(_PAUSE)
                continue
            task = loop.create_task(self._answer(connection))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _answer(self, connection: socket.socket) -> None:
        """Answer the questions of a connection, until the other side has no more or we drain between two."""
        task = asyncio.current_task()
        assert task is not None
        with connection:
            connection.setblocking(False)
            try:
                uid = peer_user(connection)
                if uid not in self._askers:
                    self._log.warning(f"a question of user {uid} is not answered")
                    return
                while not self._draining.is_set():
                    self._waiting.add(task)
                    try:
                        begun, descriptor = await _first(connection)
                    finally:
                        self._waiting.discard(task)
                    if not begun:
                        return
                    await self._reply(connection, begun, descriptor)
            except (OSError, ValueError) as error:
                self._log.warning(f"a question that cannot be answered: {error}")

    async def _reply(self, connection: socket.socket, begun: bytes, descriptor: int) -> None:
        """Answer one question. Raises OSError, ValueError."""
        closes = True
        try:
            request = decode_request(await read_line(connection, begun), descriptor)
            await asyncio.get_running_loop().sock_sendall(connection, await self._answer_to(request))
        except asyncio.CancelledError:
            closes = False  # a thread may read by this number still, which would be another file's; the process ends
            raise
        finally:
            if closes:
                with contextlib.suppress(OSError):
                    os.close(descriptor)


async def _first(connection: socket.socket) -> tuple[bytes, int]:
    """The beginning of a question and the descriptor beside it; nothing at the end. Raises OSError, ValueError."""
    while True:
        try:
            data, ancillary, _flags, _address = connection.recvmsg(_PIECE, _ROOM)
        except BlockingIOError:
            await _readable(connection)
            continue
        break
    received: list[int] = []
    for level, kind, payload in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            numbers = array.array("i")
            numbers.frombytes(payload[: len(payload) - len(payload) % numbers.itemsize])
            received += numbers
    for extra in received[1:]:
        os.close(extra)
    if not data and not received:
        return b"", -1
    if not data or not received:
        for each in received[:1]:
            os.close(each)
        raise ValueError("no message")
    os.set_inheritable(received[0], False)
    return data, received[0]


async def _readable(connection: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(connection.fileno(), ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(connection.fileno())
