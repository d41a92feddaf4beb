"""The queue manager's side of the local process: asks it to deliver (``exchange``).

Fails by deferring: no recipient is lost or delivered to twice because the process is not there, or dies on the way,
beyond what local(8) itself may repeat.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections.abc import Sequence

from angarium.agents.local.deliverer import Part
from angarium.agents.local.exchange import LINE, decode_parts, encode_request, message_file
from angarium.model.delivery import DeliveryRequest, Status
from angarium.model.dsn import Dsn
from angarium.runtime.log import ServiceLog

_PIECE = 65536


def peer_user(connection: socket.socket) -> int:
    """The user at the other end of a unix socket. Raises OSError."""
    data = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _pid, uid, _gid = struct.unpack("3i", data)
    return int(uid)


class RemoteDeliverer:
    """``agent.Deliverer`` in the local process.

    Args:
        address: of its socket.
        log: ``postfix/local``.
        owner: the user that it must be; nobody else's process is told anything.
    """

    def __init__(self, address: str | bytes, log: ServiceLog, owner: int = 0) -> None:
        self._address = address
        self._log = log
        self._owner = owner

    async def deliver(self, request: DeliveryRequest) -> Sequence[Sequence[Part]]:
        """The parts of each recipient, in the order of the request."""
        try:
            told = decode_parts(await self._ask(request))
            if len(told) != len(request.recipients) or not all(told):
                raise ValueError("an answer for other recipients")
        except (OSError, ValueError) as error:
            self._log.warning(f"{request.queue_id}: no answer of the local process: {error}")
            failed = Dsn(4, 3, 0)
            text = "the local process does not answer"
            return [[Part(each.recipient.address, Status.DEFERRED, failed, text)] for each in request.recipients]
        return told

    async def _ask(self, request: DeliveryRequest) -> bytes:
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
