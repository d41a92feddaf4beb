"""IMAP load: raw sockets that only look for the tagged end, so that the client costs next to nothing."""

from __future__ import annotations

import contextlib
import selectors
import socket
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from benchmarks.messages import message
from benchmarks.servers import DOMAIN, PASSWORD


class Connection:
    """One IMAP connection."""

    def __init__(self, port: int, user: str) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), 120)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._number = 0
        self._until(b"\r\n")
        self.command(f"LOGIN {user}@{DOMAIN} {PASSWORD}")

    def command(self, text: str) -> int:
        """Send a command and read to its tagged end; octets received. Raises RuntimeError unless it is OK."""
        self._number += 1
        tag = f"a{self._number}".encode()
        self._socket.sendall(tag + b" " + text.encode() + b"\r\n")
        return self._tagged(tag)

    def append(self, mailbox: str, data: bytes) -> None:
        """APPEND with a non-synchronising literal, or with a synchronising one where those are not known."""
        self._number += 1
        tag = f"a{self._number}".encode()
        self._socket.sendall(tag + f" APPEND {mailbox} {{{len(data)}+}}\r\n".encode() + data + b"\r\n")
        self._tagged(tag)

    def text(self, text: str) -> bytes:
        """The whole answer to a small command."""
        self._number += 1
        tag = f"a{self._number}".encode()
        self._socket.sendall(tag + b" " + text.encode() + b"\r\n")
        return self._until(b"\r\n" + tag + b" OK", whole=True)

    def idle(self) -> None:
        """Begin to idle."""
        self._socket.sendall(b"i IDLE\r\n")
        self._until(b"+ ")

    def fileno(self) -> int:
        """For selectors."""
        return self._socket.fileno()

    def receive(self) -> bytes:
        """What is there."""
        return self._socket.recv(65536)

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def logout(self) -> None:
        """LOGOUT and hang up."""
        self.command("LOGOUT")
        self.close()

    def _tagged(self, tag: bytes) -> int:
        total = 0
        tail = b"\r\n"
        end = b"\r\n" + tag + b" "
        while True:
            data = self._socket.recv(1 << 20)
            if not data:
                msg = "the connection was closed"
                raise RuntimeError(msg)
            total += len(data)
            tail = tail[-256:] + data if len(data) < 512 else data[-512:]
            if tail.endswith(b"\r\n") and (at := tail.rfind(end)) >= 0:
                if not tail.startswith(b"OK", at + len(end)):
                    raise RuntimeError(tail[at:].decode("utf-8", "replace"))
                return total

    def _until(self, mark: bytes, *, whole: bool = False) -> bytes:
        data = b""
        while mark not in data:
            piece = self._socket.recv(65536)
            if not piece:
                raise RuntimeError("closed: " + data.decode("utf-8", "replace"))
            data += piece
        return data if whole else b""


def log_in_and_out(port: int, user: str) -> None:
    """LOGIN, SELECT, LOGOUT on a connection of its own."""
    connection = Connection(port, user)
    connection.command("SELECT INBOX")
    connection.logout()


def messages_in(port: int, user: str) -> int:
    """How many messages INBOX has."""
    connection = Connection(port, user)
    answer = connection.text("STATUS INBOX (MESSAGES)")
    connection.logout()
    return int(answer.partition(b"MESSAGES ")[2].partition(b")")[0])


def append_many(port: int, users: Sequence[str], count: int, connections: int) -> None:
    """``count`` APPENDs of 4 KiB over ``connections``, the users in turn."""

    def work(number: int) -> None:
        connection = Connection(port, users[number % len(users)])
        data = message(number, "x@example.test")
        for _ in range(count // connections):
            connection.append("INBOX", data)
        connection.logout()

    if connections == 1:
        work(0)
        return
    with ThreadPoolExecutor(connections) as pool:
        list(pool.map(work, range(connections)))


def idlers(port: int, users: Sequence[str], count: int) -> list[Connection]:
    """``count`` connections that idle in their INBOX."""
    connections = []
    for number in range(count):
        connection = Connection(port, users[number % len(users)])
        connection.command("SELECT INBOX")
        connection.idle()
        connections.append(connection)
    return connections


def push(port: int, user: str, count: int) -> tuple[float, float]:
    """Seconds from an APPEND's OK to the first and to the last idler's EXISTS."""
    waiting = idlers(port, [user], count)
    sender = Connection(port, user)
    # One message before, so that nothing is measured that happens only once.
    sender.append("INBOX", message(1, "x@example.test"))
    _heard(waiting)
    sender.append("INBOX", message(2, "x@example.test"))
    start = time.perf_counter()
    times = _heard(waiting)
    for connection in waiting:
        connection.close()
    sender.logout()
    return times[0] - start, times[-1] - start


def _heard(waiting: Sequence[Connection], limit: float = 30.0) -> list[float]:
    times: list[float] = []
    with selectors.DefaultSelector() as selector:
        for connection in waiting:
            selector.register(connection, selectors.EVENT_READ, connection)
        end = time.perf_counter() + limit
        while len(times) < len(waiting):
            if time.perf_counter() > end:
                msg = f"{len(times)} of {len(waiting)} idlers were told"
                raise TimeoutError(msg)
            for key, _ in selector.select(1):
                if b"EXISTS" in key.data.receive():
                    times.append(time.perf_counter())
                    selector.unregister(key.fileobj)
    # What follows EXISTS (RECENT, say) must not be taken for the next message.
    time.sleep(0.3)
    for connection in waiting:
        connection._socket.setblocking(False)  # noqa: SLF001 - the module's own class
        with contextlib.suppress(BlockingIOError):
            connection.receive()
        connection._socket.setblocking(True)  # noqa: SLF001
    return times
