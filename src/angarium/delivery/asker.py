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


def peer_user(connection: socket.socket) -> int:
    """The user at the other end of a unix socket. Raises OSError."""
    data = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _pid, uid, _gid = struct.unpack("3i", data)
    return int(uid)


class Asker:
    """Asks one service.

    Args:
        address: of its socket.
        owner: the user that it must be; nobody else's process is told anything.
    """

    def __init__(self, address: str | bytes, owner: int = 0) -> None:
        self._address = address
        self._owner = owner

    async def ask(self, request: DeliveryRequest) -> bytes:
        """The line that it answers. Raises OSError, ValueError."""
        loop = asyncio.get_running_loop()
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        with connection:
            await loop.sock_connect(connection, self._address)
            if peer_user(connection) != self._owner:
                raise PermissionError("somebody else listens in its place")
            line = encode_request(request)
            descriptor = message_file(request)
            try:
                # A socket that was just connected has room for one byte.
                socket.send_fds(connection, [line[:1]], [descriptor])
            finally:
                os.close(descriptor)
            await loop.sock_sendall(connection, line[1:])
            return await read_line(connection)


async def read_line(connection: socket.socket) -> bytes:
    """The line that the other side sends. Raises OSError when it is cut off, ValueError when it is too long."""
    loop = asyncio.get_running_loop()
    data = bytearray()
    while not data.endswith(b"\n"):
        piece = await loop.sock_recv(connection, _PIECE)
        if not piece:
            raise ConnectionResetError("cut off")
        data += piece
        if len(data) > LINE:
            raise ValueError("too long")
    return bytes(data)
