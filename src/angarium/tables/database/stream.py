"""Connections to the servers of socketmap, tcp and memcache tables: bytes out, bytes in, one question at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from angarium.protocols.lookup.netstring import FramingError
from angarium.runtime.closing import close_stream
from angarium.tables.database.servers import Server, ServerError, system_text

R = TypeVar("R")
A = TypeVar("A")

_CHUNK = 65536


@dataclass(slots=True)
class StreamConnection(Generic[R]):
    """A connection, with the protocol's reader that belongs to it."""

    parser: R
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def ask(self, request: bytes, receive: Callable[[bytes], A | None]) -> A:
        """Send a request; feed what comes to ``receive`` until it gives an answer.

        Raises:
            ServerError: the connection broke, or what came is not the protocol.
        """
        try:
            self.writer.write(request)
            await self.writer.drain()
            while True:
                data = await self.reader.read(_CHUNK)
                if not data:
                    raise ServerError("unexpected EOF")
                answer = receive(data)
                if answer is not None:
                    return answer
        except FramingError as error:
            raise ServerError(str(error)) from error
        except OSError as error:
            raise ServerError(system_text(error)) from error


class StreamDriver(Generic[R]):
    """Makes connections.

    Args:
        kind: the table's type, for messages.
        parser: makes the protocol's reader of a connection.
    """

    def __init__(self, kind: str, parser: Callable[[], R]) -> None:
        self.kind = kind
        self._parser = parser

    async def connect(self, server: Server) -> StreamConnection[R]:
        """Raises ServerError."""
        try:
            if server.path:
                reader, writer = await asyncio.open_unix_connection(server.path)
            else:
                reader, writer = await asyncio.open_connection(server.host, server.port)
        except (OSError, ValueError, UnicodeError) as error:
            raise ServerError(system_text(error)) from error
        return StreamConnection(self._parser(), reader, writer)

    def discard(self, connection: StreamConnection[R]) -> None:
        """Cut it off."""
        connection.writer.transport.abort()

    async def settle(self) -> None:
        """Nothing goes on after ``discard``."""

    async def close(self, connection: StreamConnection[R]) -> None:
        """Close it."""
        await close_stream(connection.writer)
