"""``Handshakes``: accepts clients that speak TLS from the first byte on (ports 993 and 995).

An event loop's own TLS server says nothing of a handshake that fails, and bounds neither how many are under way nor
what they hold (47 KiB each). So connections are accepted here, and each handshake is waited for by a task of its own,
bounded in time, which tells how it failed. When ``limit`` are under way, the oldest gives way to the newest, as
clients do that have not logged in (``auth.strangers``).

Fails by waiting: without file descriptors it goes on after a second.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable

_PAUSE_SECONDS = 1.0
_SHUTDOWN_SECONDS = 5.0
"""Seconds that a client has to answer the end of a TLS session."""


class TooManyHandshakesError(ConnectionError):
    """A handshake gave way to a newer one."""


class Handshakes:
    """The handshakes of one service.

    Args:
        context: what to accept TLS with.
        timeout: seconds that one may take.
        make: makes the protocol of a connection, once TLS is there.
        failed: told of a handshake that failed, before the socket is closed.
        limit: how many at once; 0: any number.
    """

    def __init__(
        self,
        context: ssl.SSLContext,
        timeout: float,
        make: Callable[[], asyncio.Protocol],
        failed: Callable[[socket.socket, Exception], None],
        limit: int = 0,
    ) -> None:
        self._context = context
        self._timeout = timeout
        self._make = make
        self._failed = failed
        self._limit = limit
        self._under_way: dict[asyncio.Task[None], None] = {}

    def __len__(self) -> int:
        return len(self._under_way)

    def begin(self, client: socket.socket) -> None:
        """Shake hands on one accepted socket, which is owned from now on."""
        if self._limit and len(self._under_way) >= self._limit:
            oldest = next(iter(self._under_way))
            del self._under_way[oldest]
            oldest.cancel()
        task = asyncio.get_running_loop().create_task(self._shake(client))
        self._under_way[task] = None
        task.add_done_callback(lambda done: self._under_way.pop(done, None))

    async def accept(self, listener: socket.socket) -> None:
        """Accept from a listening, non-blocking socket until cancelled; then close it, and end all handshakes."""
        loop = asyncio.get_running_loop()
        try:
            while True:
                try:
                    client, _address = await loop.sock_accept(listener)
                except ConnectionError:
                    continue  # it went while it waited to be accepted
                except OSError:
                    await asyncio.sleep(_PAUSE_SECONDS)  # out of file descriptors: others must end first
                    continue
                client.setblocking(False)
                self.begin(client)
        finally:
            self.close()
            listener.close()

    def close(self) -> None:
        """End all that are under way."""
        for task in tuple(self._under_way):
            task.cancel()

    async def _shake(self, client: socket.socket) -> None:
        peer = client.dup()  # the transport closes its own before we can ask who it was
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                self._make,
                client,
                ssl=self._context,
                ssl_handshake_timeout=self._timeout,
                ssl_shutdown_timeout=_SHUTDOWN_SECONDS,
            )
        except (OSError, ssl.SSLError) as error:
            self._failed(peer, error)
            client.close()
        except asyncio.CancelledError:
            self._failed(peer, TooManyHandshakesError("too many handshakes"))
            client.close()
            raise
        finally:
            peer.close()
