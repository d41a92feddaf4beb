"""Accepting clients that speak TLS from the first byte on (port 995).

An event loop's own TLS server says nothing of a handshake that fails, and its ``start_tls`` inside ``connection_made``
loses what the client has sent by then. So connections are accepted here, and each handshake is waited for by a task of
its own, bounded in time, which tells how it failed.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable

_PAUSE_SECONDS = 1.0


async def begin_tls(
    client: socket.socket,
    context: ssl.SSLContext,
    handshake_timeout: float,
    make: Callable[[], asyncio.Protocol],
    failed: Callable[[socket.socket, Exception], None],
) -> None:
    """Shake hands on one accepted socket; the arguments as for ``accept_tls``."""
    peer = client.dup()  # the transport closes its own before we can ask who it was
    try:
        await asyncio.get_running_loop().connect_accepted_socket(
            make, client, ssl=context, ssl_handshake_timeout=handshake_timeout
        )
    except (OSError, ssl.SSLError) as error:
        failed(peer, error)
        client.close()
    finally:
        peer.close()


async def accept_tls(
    listener: socket.socket,
    context: ssl.SSLContext,
    handshake_timeout: float,
    make: Callable[[], asyncio.Protocol],
    failed: Callable[[socket.socket, Exception], None],
) -> None:
    """Accept until cancelled; then close the listener, as an event loop's own server does.

    Args:
        listener: listening and non-blocking.
        context: what to accept TLS with.
        handshake_timeout: seconds.
        make: makes the protocol of a connection, once TLS is there.
        failed: told of a handshake that failed, before the socket is closed.
    """
    loop = asyncio.get_running_loop()
    handshakes: set[asyncio.Task[None]] = set()

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
            task = loop.create_task(begin_tls(client, context, handshake_timeout, make, failed))
            handshakes.add(task)
            task.add_done_callback(handshakes.discard)
    finally:
        for task in tuple(handshakes):
            task.cancel()
        listener.close()
