"""``Admission``: accepts no more connections at once than a limit; the others wait in the listen queue.

The maxproc column of master(5), for services whose sessions are not processes. Event loops' own servers accept all
that comes, so the listening sockets are watched here, and not watched while the limit is reached.

The limit is the server's, and split among the workers: each stops at its share. Workers share their listening
sockets, so a connection that a full worker leaves in the queue is taken by one that has room.

Guarantees: never more connections inside than the limit. Fails by waiting: without file descriptors it says so once a
second and goes on.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterable

_PAUSE = 1.0


def share(limit: int, number: int, workers: int) -> int:
    """What worker ``number`` (from 0) of so many may have of a limit; the shares add up to it."""
    return limit // workers + (number < limit % workers)


class Admission:
    """Listening sockets with a limit.

    Args:
        limit: connections at once; 0: none are accepted here.
        admit: gets the connected, non-blocking socket and the peer's address, and owns the socket from then on.
        warn: takes what the administrator should know.
    """

    def __init__(self, limit: int, admit: Callable[[socket.socket, object], None], warn: Callable[[str], None]) -> None:
        self._limit = limit
        self._admit = admit
        self._warn = warn
        self._inside = 0
        self._listeners: tuple[socket.socket, ...] = ()
        self._watching = False
        self._pause: asyncio.TimerHandle | None = None

    def open(self, listeners: Iterable[socket.socket]) -> None:
        """Accept from listening, non-blocking sockets, which are owned from now on."""
        self._listeners = tuple(listeners)
        self._watch()

    def leave(self) -> None:
        """One that was admitted has gone."""
        self._inside -= 1
        self._watch()

    def close(self) -> None:
        """Accept no more; who is inside stays."""
        self._unwatch()
        if self._pause is not None:
            self._pause.cancel()
            self._pause = None
        for listener in self._listeners:
            listener.close()
        self._listeners = ()

    def statistics(self) -> dict[str, int]:
        """How many are inside, and how many may be."""
        return {"inside": self._inside, "limit": self._limit}

    def _watch(self) -> None:
        if self._watching or self._pause is not None or self._inside >= self._limit or not self._listeners:
            return
        self._watching = True
        loop = asyncio.get_running_loop()
        for listener in self._listeners:
            loop.add_reader(listener.fileno(), self._readable, listener)

    def _unwatch(self) -> None:
        if self._watching:
            self._watching = False
            loop = asyncio.get_running_loop()
            for listener in self._listeners:
                loop.remove_reader(listener.fileno())

    def _readable(self, listener: socket.socket) -> None:
        if not self._watching:
            return  # it was ready in the same turn as the one that reached the limit
        try:
            client, peer = listener.accept()
        except (BlockingIOError, ConnectionError):
            return  # another worker was faster, or the client went
        except OSError as error:
            self._warn(f"accept connection: {error.strerror or error}")
            self._unwatch()
            self._pause = asyncio.get_running_loop().call_later(_PAUSE, self._resume)
            return
        client.setblocking(False)
        self._inside += 1
        if self._inside >= self._limit:
            self._unwatch()
        self._admit(client, peer)

    def _resume(self) -> None:
        self._pause = None
        self._watch()
