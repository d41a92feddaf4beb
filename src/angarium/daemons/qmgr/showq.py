"""showq(8): the queue listing on the socket ``public/showq``, for exporters and for unprivileged postqueue.

Owns the socket. Who may see the listing is asked by the client's user id (authorized_mailq_users); one who may not is
hung up on. Nothing is read from a client. A client that does not read is waited for, with bounded memory, and dropped
after ``PATIENCE``. Clients take turns, a piece of the listing at a time, and there are ``CLIENTS`` at most: no user of
the machine can keep the queue manager from its work, nor others from their listing.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path

from angarium.mailqueue.interface import MailQueue, QueuedMessage
from angarium.mailqueue.listing import FAREWELL, GREETING, encode
from angarium.runtime.closing import close_stream
from angarium.runtime.log import ServiceLog

PATIENCE = 60.0
"""Seconds that a client may take to read what it has been sent."""

LINGER = 10.0
"""Seconds that it has for what is left when the listing is over."""

CLIENTS = 100
"""Clients at once; one more is hung up on."""

_CREDENTIALS = struct.Struct("iII")
_PIECE = 64 * 1024


class ShowqService:
    """The listing service (``runtime.service.Service``).

    Args:
        queue: what to list.
        path: the socket, made anew; ignored when ``run`` is given sockets.
        log: ``postfix/showq``.
        permits: whether the user of that id may see the listing.
    """

    def __init__(
        self, queue: MailQueue, path: Path, log: ServiceLog, permits: Callable[[int], Awaitable[bool]] | None = None
    ) -> None:
        self._permits = permits
        self._queue = queue
        self._path = path
        self._log = log
        self._stopping: asyncio.Event | None = None
        self._draining = False
        self._turn = asyncio.Lock()
        self._clients = 0

    @property
    def name(self) -> str:
        """For the log."""
        return self._log.tag

    async def run(self, sockets: Sequence[socket.socket] = ()) -> None:
        """Serve until drained. Raises OSError when the socket cannot be made."""
        self._stopping = asyncio.Event()
        if self._draining:
            return
        if sockets:
            servers = [await asyncio.start_unix_server(self._client, sock=each) for each in sockets]
        else:
            self._path.unlink(missing_ok=True)
            servers = [await asyncio.start_unix_server(self._client, path=self._path)]
            self._path.chmod(0o666)
        try:
            await self._stopping.wait()
        finally:
            for server in servers:
                server.close()
            if not sockets:
                self._path.unlink(missing_ok=True)

    def drain(self) -> None:
        """Let ``run`` return."""
        self._draining = True
        if self._stopping is not None:
            self._stopping.set()

    async def _client(self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._clients += 1
        try:
            if self._clients <= CLIENTS and await self._is_permitted(writer):
                await self._list(writer)
        except TimeoutError:
            self._log.warning("a client does not read the listing")
        except OSError as error:
            if not isinstance(error, ConnectionError):
                self._log.warning(f"cannot list the queue: {error}")
        finally:
            self._clients -= 1
            await close_stream(writer, LINGER)

    async def _is_permitted(self, writer: asyncio.StreamWriter) -> bool:
        if self._permits is None:
            return True
        raw = writer.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        _, uid, _ = _CREDENTIALS.unpack(raw)
        return await self._permits(uid)

    async def _list(self, writer: asyncio.StreamWriter) -> None:
        writer.write(GREETING)
        messages = self._queue.messages()
        whole = False
        while not whole:
            async with self._turn:
                piece, whole = await _piece(messages)
                await asyncio.sleep(0)  # mail goes on while a long listing is made
            writer.write(piece)
            await asyncio.wait_for(writer.drain(), PATIENCE)


async def _piece(messages: AsyncIterator[QueuedMessage]) -> tuple[bytes, bool]:
    """The next piece of the listing, and whether it is the last."""
    piece = bytearray()
    async for message in messages:
        piece += encode(message)
        if len(piece) >= _PIECE:
            return bytes(piece), False
    return bytes(piece + FAREWELL), True
