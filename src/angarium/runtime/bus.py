"""Wake-ups between the processes of one server: small datagrams over unix sockets in one directory.

Each process binds a socket of its own in the directory and sends to every other one. A datagram carries a topic and
an id, never content. Losing one is harmless: the reader looks into the store, and looks again on its own timer; so
a full socket buffer drops it, and a socket whose process is gone is removed by whoever notices.

The first wake-up after a pause goes out when the loop's turn ends; those that follow within ``_GATHER`` seconds wait
for the end of that time and share a datagram. So a busy server sends hundreds of datagrams a second instead of
thousands, and a quiet one waits for nothing.

Subscribers in the publishing process are called too, in the loop's next turn.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio

Subscriber = Callable[[str], None]

_MAX_DATAGRAM = 8192
_BURST = 64
_GATHER = 0.002
_NUMBERS = itertools.count()
_TICK = 50_000_000
"""Nanoseconds that the clock of a file system may stand still."""


class Bus:
    """This process's end of the bus.

    Args:
        directory: where the sockets are; only the server's own user may enter it.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._subscribers: dict[str, list[Subscriber]] = {}
        self._socket: socket.socket | None = None
        self._path: Path | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._peers: list[str] = []
        self._peers_stamp = -1
        self._outbox: dict[bytes, None] = {}
        self._flush_scheduled = False
        self._flushed = 0.0
        self.sent = 0
        self.dropped = 0

    async def start(self) -> None:
        """Bind this process's socket and begin to listen. Raises OSError."""
        from asyncio import get_running_loop  # late: a command that runs no loop starts 30 ms of CPU sooner without

        self._loop = get_running_loop()
        path = self._directory / f"{os.getpid()}.{next(_NUMBERS)}"
        path.unlink(missing_ok=True)
        endpoint = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        try:
            endpoint.bind(str(path))
        except OSError as error:  # Python's "AF_UNIX path too long" has neither number nor path
            endpoint.close()
            raise OSError(error.errno or errno.ENAMETOOLONG, error.strerror or str(error), str(path)) from error
        self._socket, self._path = endpoint, path
        self._loop.add_reader(endpoint.fileno(), self._readable)

    def subscribe(self, topic: str, subscriber: Subscriber) -> None:
        """Call ``subscriber(payload)`` for each wake-up of ``topic``; it must not block."""
        self._subscribers.setdefault(topic, []).append(subscriber)

    def unsubscribe(self, topic: str, subscriber: Subscriber) -> None:
        """Stop calling it. Raises ValueError when it was not subscribed."""
        self._subscribers[topic].remove(subscriber)

    def publish(self, topic: str, payload: str) -> None:
        """Wake all who subscribed to ``topic``, here and elsewhere. Never blocks, never raises for a lost datagram.

        Equal wake-ups that wait together are sent once.

        Raises:
            ValueError: topic and payload do not fit into a datagram, or have a line break in them.
        """
        if self._loop is not None and topic in self._subscribers:
            self._loop.call_soon(self._dispatch, topic, payload)
        if self._socket is None or self._loop is None:
            return
        wakeup = f"{topic}\0{payload}".encode()
        if len(wakeup) > _MAX_DATAGRAM or b"\n" in wakeup:
            msg = f"not a wake-up: {len(wakeup)} bytes, {wakeup[:40]!r}"
            raise ValueError(msg)
        self._outbox[wakeup] = None
        if not self._flush_scheduled:
            self._flush_scheduled = True
            pause = self._flushed + _GATHER - self._loop.time()
            if pause > 0:
                self._loop.call_later(pause, self._flush)
            else:
                self._loop.call_soon(self._flush)

    def close(self) -> None:
        """Stop listening and remove the socket."""
        if self._socket is None or self._path is None or self._loop is None:
            return
        self._flush()
        self._loop.remove_reader(self._socket.fileno())
        self._socket.close()
        self._path.unlink(missing_ok=True)
        self._socket = None

    def statistics(self) -> dict[str, int]:
        """Datagrams sent and dropped."""
        return {"sent": self.sent, "dropped": self.dropped}

    def _flush(self) -> None:
        """Send what has gathered, as many wake-ups a datagram as fit."""
        self._flush_scheduled = False
        outbox, self._outbox = self._outbox, {}
        if not outbox or self._socket is None or self._loop is None:
            return
        self._flushed = self._loop.time()
        peers = self._others()
        for datagram in _datagrams(outbox):
            for peer in peers:
                self._send(datagram, peer)

    def _others(self) -> list[str]:
        """The other processes' sockets; the directory is read again only when it changed."""
        stamp = self._directory.stat().st_mtime_ns
        if stamp != self._peers_stamp:
            own = self._path.name if self._path is not None else ""
            self._peers = [entry.path for entry in os.scandir(self._directory) if entry.name != own]
            # Another socket may come in the same tick of the file system's clock and leave the same time: look again.
            self._peers_stamp = stamp if time.time_ns() - stamp > _TICK else -1
        return self._peers

    def _send(self, datagram: bytes, peer: str) -> None:
        assert self._socket is not None
        try:
            self._socket.sendto(datagram, peer)
            self.sent += 1
        except BlockingIOError:
            self.dropped += 1
        except (ConnectionRefusedError, FileNotFoundError):
            with contextlib.suppress(OSError):  # its process died without taking its socket along
                Path(peer).unlink()
        except OSError:
            self.dropped += 1

    def _readable(self) -> None:
        assert self._socket is not None
        for _datagram in range(_BURST):
            try:
                data = self._socket.recv(_MAX_DATAGRAM)
            except BlockingIOError:
                return
            for wakeup in data.decode("utf-8", "replace").split("\n"):
                topic, _, payload = wakeup.partition("\0")
                self._dispatch(topic, payload)

    def _dispatch(self, topic: str, payload: str) -> None:
        for subscriber in tuple(self._subscribers.get(topic, ())):
            subscriber(payload)


def call_out(directory: Path, topic: str, payload: str = "") -> None:
    """Wake the processes of a server once, from a command that is none of them; harmless when there are none."""
    wakeup = f"{topic}\0{payload}".encode()
    with (
        contextlib.suppress(OSError),
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as endpoint,
    ):
        for entry in os.scandir(directory):
            with contextlib.suppress(OSError):  # as one that is lost
                endpoint.sendto(wakeup, entry.path)


def _datagrams(wakeups: Iterable[bytes]) -> Iterator[bytes]:
    """Wake-ups joined by line breaks into datagrams of bounded size."""
    held: list[bytes] = []
    size = 0
    for wakeup in wakeups:
        if held and size + len(wakeup) + 1 > _MAX_DATAGRAM:
            yield b"\n".join(held)
            held, size = [], 0
        held.append(wakeup)
        size += len(wakeup) + 1
    if held:
        yield b"\n".join(held)
