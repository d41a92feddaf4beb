"""Has commands started by small processes (``starter``), which are made when they are wanted.

A fork costs what its process weighs: of root's process 2 ms, of that one half of that. What a command must not get,
limits, descriptors, signals of a server, that process does not have. Whoever has a second command within a minute gets
a starter of his own, which has his rights and no others, and forks nothing: it is kept for a while.

=====================  =================================================================================
the first starter      root's, or who we are; ends with us
a user's starter       made by the first one; ends when it has had nothing to do for ``_IDLE`` seconds
=====================  =================================================================================

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
from collections.abc import AsyncIterator, Callable

from angarium.delivery import starter
from angarium.delivery.starter import INLINE, Order

_SOON = 60.0
"""Seconds within which a second command of a user is worth a starter of his own."""

_IDLE = 60.0
"""Seconds that a user's starter is kept that has nothing to do."""

_USERS = 20
"""Users who have a starter of their own at a time: 2 MB each."""

_REMEMBERED = 1000
"""Users of whom it is known when they had a command."""


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
        lost: done when its starter is gone.
        pid: its number, once it is there; 0 before.
        give_up: for a starter that does not answer: kills it with all that it has started.
    """

    def __init__(self, status: socket.socket) -> None:
        status.setblocking(False)
        self._status = status
        self._code: int | None = None
        self._over = False
        self.give_up: Callable[[], None] = self.kill
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
                self._over = True
            elif kind == b"F":
                self._over = True
                step, _space, number = said.decode().partition(" ")
                raise StartError(step, int(number))
            else:
                self._kill_group()
                self._over = True
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
        """Kill its group, and have it killed in case we do not know its number yet.

        Its starter might not be able to: that may be its user's, and the command may have gained rights since.
        """
        with contextlib.suppress(OSError):
            self._status.send(b"K", socket.MSG_NOSIGNAL)
        with contextlib.suppress(StartError, LostError):
            self.code()
        if not self.lost.done():  # it is not buried, so that its number is its own
            self._kill_group()

    def close(self) -> None:
        """Let go of it, and kill it unless it has ended."""
        if not self._over:
            self.kill()
        self._status.close()

    def _kill_group(self) -> None:
        """Kill its group ourselves, if it lives: a leader of a session by that number is it, or has gone just now."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if self.pid and os.getsid(self.pid) == self.pid:
                os.killpg(self.pid, signal.SIGKILL)


class _Channel:
    """The way to a starter. Belongs to the running event loop.

    Args:
        control: our end of the socket for its orders.
        kill: ends the starter, whatever it does.

    Attributes:
        running: what it has started, or shall.
        gone: it ended, or was ended.
        timer: ends it when it has been idle.
    """

    def __init__(self, control: socket.socket, kill: Callable[[], None]) -> None:
        self._control = control
        self._kill = kill
        self._sending = asyncio.Lock()
        self._full: asyncio.Future[None] | None = None
        self.running: set[Running] = set()
        self.gone = False
        self.timer: asyncio.TimerHandle | None = None
        control.setblocking(False)
        asyncio.get_running_loop().add_reader(control.fileno(), self.end)  # it says nothing, so that is its end

    async def send(self, order: Order, descriptors: tuple[int, ...]) -> None:
        """Send an order. Raises OSError; BrokenPipeError when it is gone and has not seen it."""
        data = order.packed()
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
        async with self._sending:
            while not self.gone:
                try:
                    socket.send_fds(self._control, [data], descriptors, socket.MSG_NOSIGNAL)
                except BlockingIOError:
                    await self._writable(self._control.fileno())
                except (BrokenPipeError, ConnectionResetError):
                    self.end()
                else:
                    return
        raise BrokenPipeError("the process that starts commands is gone")

    async def _writable(self, descriptor: int) -> None:
        """Until there is room for an order, or the starter is gone."""
        self._full = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().add_writer(descriptor, _done, self._full)
        try:
            await self._full
        finally:
            self._full = None
            if not self.gone:
                asyncio.get_running_loop().remove_writer(descriptor)

    def end(self) -> None:
        """It is gone, or shall be."""
        if self.gone:
            return
        self.gone = True
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._control.fileno())
        if self._full is not None:
            loop.remove_writer(self._control.fileno())
            _done(self._full)
        if self.timer is not None:
            self.timer.cancel()
        self._control.close()
        self._kill()
        for running in self.running:
            _done(running.lost)


class Launcher:
    """Starts commands. One for all services of a process; belongs to the event loop that it is first used in.

    It has as many at a time as are wanted: the process limits of master.cf bound them before.
    """

    def __init__(self) -> None:
        self._first: _Channel | None = None
        self._users: dict[tuple[int, int], _Channel] = {}
        self._making: set[tuple[int, int]] = set()
        self._seen: dict[tuple[int, int], float] = {}

    @contextlib.asynccontextmanager
    async def started(self, order: Order, stdin: int, output: int) -> AsyncIterator[Running]:
        """Order a command, which gets the two descriptors; it has ended, or is killed, when the block is left.

        Raises:
            ValueError: there is a NUL in the order.
            OSError: there can be no process.
        """
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
        running = Running(ours)
        channel: _Channel | None = None
        try:
            with theirs:
                channel = await self._ordered(order, (stdin, output, theirs.fileno()), running)
            yield running
        finally:
            running.close()
            if channel is not None:
                self._left(channel, running)

    def close(self) -> None:
        """End the starters, which kill what runs."""
        for channel in (*self._users.values(), self._first):
            if channel is not None:
                channel.end()
        self._users.clear()

    async def _ordered(self, order: Order, descriptors: tuple[int, int, int], running: Running) -> _Channel:
        """Have a starter take an order; one that was gone already has not seen it. Raises OSError, ValueError."""
        if order.uid >= 0 and not order.root:
            channel = await self._of_user(order)
            if channel is not None:
                with contextlib.suppress(BrokenPipeError):
                    return await self._sent(channel, order.for_ourselves(), descriptors, running)
        return await self._by_first(order, descriptors, running)

    async def _by_first(self, order: Order, descriptors: tuple[int, int, int], running: Running) -> _Channel:
        with contextlib.suppress(BrokenPipeError):
            if self._first is not None:
                return await self._sent(self._first, order, descriptors, running)
        return await self._sent(self._first_one(), order, descriptors, running)

    async def _sent(
        self, channel: _Channel, order: Order, descriptors: tuple[int, int, int], running: Running
    ) -> _Channel:
        if channel.timer is not None:
            channel.timer.cancel()
            channel.timer = None
        channel.running.add(running)
        running.give_up = channel.end
        try:
            await channel.send(order, descriptors)
        except BaseException:
            channel.running.discard(running)
            raise
        return channel

    def _left(self, channel: _Channel, running: Running) -> None:
        """A command is through; a user's starter that has no other is kept for a while."""
        channel.running.discard(running)
        if not channel.running and not channel.gone and channel is not self._first:
            channel.timer = asyncio.get_running_loop().call_later(_IDLE, channel.end)

    def _first_one(self) -> _Channel:
        """The first starter, as it is made. Raises OSError."""
        if self._first is not None and not self._first.gone:
            return self._first
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            with theirs:
                process = subprocess.Popen(
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

        def kill() -> None:
            process.kill()
            process.wait()

        self._first = _Channel(ours, kill)
        return self._first

    async def _made_for(self, order: Order) -> _Channel:
        """Have the first starter become the user of an order. Raises OSError."""
        control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        status, told = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
        process = Running(status)
        try:
            with theirs, told:
                wanted = Order(order.uid, order.gid, b"/", b"", b"", [], [])
                first = await self._by_first(wanted, (theirs.fileno(), theirs.fileno(), told.fileno()), process)
        except BaseException:
            control.close()
            process.close()
            raise

        def kill() -> None:
            process.close()
            self._left(first, process)

        return _Channel(control, kill)

    async def _of_user(self, order: Order) -> _Channel | None:
        """The starter of a user, if he has one or shall have one. Raises OSError."""
        key = order.uid, order.gid
        channel = self._users.get(key)
        if channel is not None and not channel.gone:
            return channel
        self._users.pop(key, None)
        now = asyncio.get_running_loop().time()
        last = self._seen.get(key)
        if len(self._seen) >= _REMEMBERED:
            self._seen.clear()
        self._seen[key] = now
        if last is None or now - last > _SOON or key in self._making or not self._has_room():
            return None
        self._making.add(key)
        try:
            self._users[key] = channel = await self._made_for(order)
        finally:
            self._making.discard(key)
        return channel

    def _has_room(self) -> bool:
        """Whether there may be one more user's starter; one that idles makes room for it."""
        self._users = {key: channel for key, channel in self._users.items() if not channel.gone}
        if len(self._users) < _USERS:
            return True
        idle = next((key for key, channel in self._users.items() if not channel.running), None)
        if idle is None:
            return False
        self._users.pop(idle).end()
        return True


def _done(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
