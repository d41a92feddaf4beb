"""Has commands started by a small process of its own (``starter``), which is made when the first one is wanted.

A fork costs what its process weighs: of root's process 2 ms, of that one 0.3. And what a command must not get, limits,
descriptors, signals of a server, that process does not have.

A starter that dies is replaced with the next command. Those that it had started are killed, as far as their end is not
known: their mail waits, and is not in two hands.

Fails with StartError: nothing was executed; LostError: nobody knows how it ended; OSError: no process can be made.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator

from angarium.delivery import starter
from angarium.delivery.starter import INLINE, Order


class StartError(Exception):
    """A command that was not executed.

    Attributes:
        step: that failed: fork, rights, root, directory, command.
        number: errno.
    """

    def __init__(self, step: str, number: int) -> None:
        super().__init__(f"{step}: {os.strerror(number)}")
        self.step = step
        self.number = number

    @property
    def reason(self) -> str:
        """In the words of strerror(3)."""
        return os.strerror(self.number)


class LostError(Exception):
    """The starter died, or was stopped: nobody knows what became of the command, which was killed."""


class Running:
    """A command that was ordered. To be closed, which kills it unless it has ended.

    Args:
        status: the socket that is about it.

    Attributes:
        lost: done when the starter is gone.
        pid: its number, once it is there; 0 before.
    """

    def __init__(self, status: socket.socket) -> None:
        status.setblocking(False)
        self._status = status
        self._code: int | None = None
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.pid = 0

    async def ended(self) -> int:
        """Wait for its end: the exit status, or minus the number of a signal. Raises StartError, LostError."""
        while True:
            code = self.code()
            if code is not None:
                return code
            await self._readable()

    def has_begun(self) -> bool:
        """Whether there is a process. Raises StartError, LostError."""
        self.code()
        return bool(self.pid)

    def code(self) -> int | None:
        """What ``ended`` returns, if that is known. Raises StartError, LostError."""
        while self._code is None:
            try:
                data = self._status.recv(64)
            except BlockingIOError:
                return None
            except ConnectionResetError:
                data = b""
            kind, said = data[:1], data[1:]
            if kind == b"S":
                self.pid = int(said)
            elif kind == b"X":
                self._code = int(said)
            elif kind == b"F":
                step, _space, number = said.decode().partition(" ")
                raise StartError(step, int(number))
            else:
                self._kill_orphan()
                raise LostError("the process that starts commands died")
        return self._code

    async def _readable(self) -> None:
        loop = asyncio.get_running_loop()
        ready = loop.create_future()
        loop.add_reader(self._status.fileno(), _done, ready)
        try:
            await ready
        finally:
            loop.remove_reader(self._status.fileno())

    def kill(self) -> None:
        """Have its group killed."""
        with contextlib.suppress(OSError):
            self._status.send(b"K", socket.MSG_NOSIGNAL)

    def close(self) -> None:
        """Let go of it."""
        self._status.close()

    def _kill_orphan(self) -> None:
        """Kill its group ourselves, if it lives: a leader of a session by that number is it, or has gone just now."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if self.pid and os.getsid(self.pid) == self.pid:
                os.killpg(self.pid, signal.SIGKILL)


class Launcher:
    """Starts commands. One for all services of a process; belongs to the event loop that it is first used in.

    It has as many at a time as are wanted: the process limits of master.cf bound them before.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._running: set[Running] = set()
        self._sending = asyncio.Lock()
        self._full: asyncio.Future[None] | None = None

    @contextlib.asynccontextmanager
    async def started(self, order: Order, stdin: int, output: int) -> AsyncIterator[Running]:
        """Order a command, which gets the two descriptors; it has ended, or is killed, when the block is left.

        Raises:
            ValueError: there is a NUL in the order.
            OSError: there can be no process.
        """
        data = order.packed()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        running = Running(ours)
        try:
            with theirs:
                await self._order(data, (stdin, output, theirs.fileno()))
            self._running.add(running)
            yield running
        finally:
            self._running.discard(running)
            running.close()

    def close(self) -> None:
        """End the starter, which kills what runs."""
        if self._control is not None:
            self._end(patience=5.0)

    def discard(self) -> None:
        """Have the next command started by another starter: this one does not answer."""
        if self._control is not None:
            self._end()

    async def _order(self, data: bytes, descriptors: tuple[int, ...]) -> None:
        """Send an order. Raises OSError."""
        if len(data) <= INLINE:
            await self._send(data, descriptors)
            return
        file = os.memfd_create("order", os.MFD_CLOEXEC)
        try:
            with open(file, "wb", closefd=False) as stream:  # noqa: ASYNC230  # it is in memory
                stream.write(data)
            await self._send(b"-", (*descriptors, file))
        finally:
            os.close(file)

    async def _send(self, data: bytes, descriptors: tuple[int, ...]) -> None:
        """Send it, to a new starter if the one that was there is gone: that one has not seen it. Raises OSError."""
        async with self._sending:
            fresh = False
            while True:
                if self._control is None:
                    self._begin()
                    fresh = True
                assert self._control is not None
                try:
                    socket.send_fds(self._control, [data], descriptors, socket.MSG_NOSIGNAL)
                except BlockingIOError:
                    await self._writable(self._control.fileno())
                except (BrokenPipeError, ConnectionResetError):
                    self._end()
                    if fresh:
                        raise
                else:
                    return

    def _begin(self) -> None:
        """Make the process. Raises OSError."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            try:
                ours.setblocking(False)
                self._process = subprocess.Popen(
                    [sys.executable, "-I", "-S", "-B", starter.__file__],
                    stdin=theirs.fileno(),
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    env={},
                    cwd="/",
                    start_new_session=True,
                )
            except BaseException:
                ours.close()
                raise
        self._control = ours
        asyncio.get_running_loop().add_reader(ours.fileno(), self._end)  # it says nothing, so that is its end

    def _end(self, patience: float = 0.0) -> None:
        """It is gone, or shall be."""
        control, process = self._control, self._process
        assert control is not None
        assert process is not None
        self._control = self._process = None
        asyncio.get_running_loop().remove_reader(control.fileno())
        if self._full is not None:
            asyncio.get_running_loop().remove_writer(control.fileno())
            _done(self._full)
        control.close()
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for running in self._running:
            _done(running.lost)

    async def _writable(self, descriptor: int) -> None:
        """Until there is room for an order, or the starter is gone."""
        loop = asyncio.get_running_loop()
        self._full = loop.create_future()
        loop.add_writer(descriptor, _done, self._full)
        try:
            await self._full
        finally:
            self._full = None
            if self._control is not None:
                loop.remove_writer(descriptor)


def _done(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
