"""The queue manager's side of a service of root's process: asks it to deliver (``question``).

Fails with OSError or ValueError: the process is not there, died on the way, or says what makes no sense.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct

from angarium.delivery.question import LINE, encode_request, message_file
from angarium.model.delivery import DeliveryRequest

_PIECE = 65536
_KEPT = 20
"""Connections that are kept; a delivery under way has one more."""


def peer_user(connection: socket.socket) -> int:
    """The user at the other end of a unix socket. Raises OSError."""
    data = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _pid, uid, _gid = struct.unpack("3i", data)
    return int(uid)


class Asker:
    """Asks one service, over connections that it keeps for the next question.

    Args:
        address: of its socket.
        owner: the user that it must be; nobody else's process is told anything.
    """

    def __init__(self, address: str | bytes, owner: int = 0) -> None:
        self._address = address
        self._owner = owner
        self._idle: list[socket.socket] = []

    async def ask(self, request: DeliveryRequest) -> bytes:
        """The line that it answers. Raises OSError, ValueError."""
        line = encode_request(request)
        descriptor = message_file(request)
        try:
            connection, sent = await self._send(line, descriptor)
        finally:
            os.close(descriptor)
        try:
            if sent < len(line):
                await asyncio.get_running_loop().sock_sendall(connection, line[sent:])
            answer = await read_line(connection)
        except BaseException:
            connection.close()
            raise
        if len(self._idle) < _KEPT:
            self._idle.append(connection)
        else:
            connection.close()
        return answer

    def __del__(self) -> None:
        for connection in self._idle:
            connection.close()

    async def _send(self, line: bytes, descriptor: int) -> tuple[socket.socket, int]:
        """A connection, and how much of the question it has taken, with the descriptor. Raises OSError."""
        while self._idle:
            connection = self._idle.pop()
            try:
                return connection, socket.send_fds(connection, [line], [descriptor])
            except OSError:  # the process was replaced: nobody has seen the question
                connection.close()
        connection = await self._connect()
        try:
            # A socket that was just connected has room.
            return connection, socket.send_fds(connection, [line], [descriptor])
        except BaseException:
            connection.close()
            raise

    async def _connect(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            await asyncio.get_running_loop().sock_connect(connection, self._address)
            if peer_user(connection) != self._owner:
                raise PermissionError("somebody else listens in its place")
        except BaseException:
            connection.close()
            raise
        return connection


async def read_line(connection: socket.socket, begun: bytes = b"") -> bytes:
    """The line that the other side sends, of which ``begun`` has been read.

    Raises:
        OSError: it is cut off.
        ValueError: it is too long.
    """
    loop = asyncio.get_running_loop()
    data = bytearray(begun)
    while not data.endswith(b"\n"):
        piece = await loop.sock_recv(connection, _PIECE)
        if not piece:
            raise ConnectionResetError("cut off")
        data += piece
        if len(data) > LINE:
            raise ValueError("too long")
    return bytes(data)
