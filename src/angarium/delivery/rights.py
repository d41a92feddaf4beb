"""Whoever touches the files of a user does it with that user's rights, and no others.

``ForkedRights`` is for a process of root's: each piece of work runs in a child that gives up its groups, its group and
its user for those of the recipient before it does anything else. ``OwnRights`` is for everybody else: it works for
the user that the process is, and for no other.

Work is a function that blocks and returns texts, which are all that comes back from the child.

Fails with DeliveryError: the work's own, or ``4.3.0`` when the child died or the user is not one that we may be.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import Callable, Sequence
from typing import NoReturn, Protocol

from angarium.delivery.troubles import DeliveryError
from angarium.delivery.user import User
from angarium.model.dsn import Dsn

Work = Callable[[], Sequence[str]]

_ANSWER = 16 * 1024 * 1024
"""Bytes that a child may answer with: it may have read a long list."""

_LONGEST = 20_000.0
"""Seconds that a child may take: more than any command; its user may stop it for ever."""

_PIECE = 65536


class Rights(Protocol):
    """Runs work as a user."""

    async def run(self, user: User, work: Work) -> Sequence[str]:
        """What the work returns. Raises DeliveryError."""
        ...


class OwnRights:
    """The rights of this process: for its own user only. Work runs in a thread."""

    async def run(self, user: User, work: Work) -> Sequence[str]:
        """Run it if the user is ours."""
        if user.uid != os.geteuid():
            text = f"delivery for the user {user.name} needs a server that was started by root"
            raise DeliveryError(Dsn(4, 3, 0), text)
        return await asyncio.to_thread(work)


class ForkedRights:
    """The rights of root: any user's, in a child for each piece of work.

    The process must have no threads of its own that hold locks: it is forked without them.
    """

    async def run(self, user: User, work: Work) -> Sequence[str]:
        """Run it as the user; a cancelled wait kills the child."""
        readable, writable = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            try:
                pid = os.fork()
                if pid == 0:
                    _child(user, work, writable)
            finally:
                os.close(writable)
            data = b""
            try:
                async with asyncio.timeout(_LONGEST):
                    data = await _read(readable)
            finally:
                if not data.endswith(b"\n"):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)  # noqa: ASYNC222  # its end of the pipe is closed: it is ending
        except TimeoutError as error:
            raise DeliveryError(Dsn(4, 3, 0), "the process of the delivery hung") from error
        except OSError as error:
            raise DeliveryError(Dsn(4, 3, 0), f"cannot start a process: {error.strerror}") from error
        finally:
            os.close(readable)
        return _answer(data)


def _answer(data: bytes) -> Sequence[str]:
    """What a child has said. Raises DeliveryError."""
    if not data.endswith(b"\n"):
        raise DeliveryError(Dsn(4, 3, 0), "the process of the delivery died")
    code, *texts = map(str, json.loads(data))
    if code:
        raise DeliveryError(Dsn.parse(code), *texts)
    return texts


def _child(user: User, work: Work, writable: int) -> NoReturn:
    """The child, from fork to exit."""
    status = 1
    try:
        become(user)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        signal.set_wakeup_fd(-1)
        os.umask(0o077)
        try:
            answer: list[str] = ["", *work()]
        except DeliveryError as error:
            answer = [str(error.dsn), error.text, error.cause, error.output]
        data = memoryview(json.dumps(answer).encode() + b"\n")
        os.set_blocking(writable, True)
        while data:
            data = data[os.write(writable, data) :]
        status = 0
    finally:
        os._exit(status)


def become(user: User) -> None:
    """Turn this process, which is root's, into the user's for good. Raises OSError."""
    os.setgroups([user.gid])
    os.setresgid(user.gid, user.gid, user.gid)
    os.setresuid(user.uid, user.uid, user.uid)


async def _read(descriptor: int) -> bytes:
    """All that comes until the other end is closed, up to ``_ANSWER`` bytes."""
    loop = asyncio.get_running_loop()
    data = bytearray()
    while len(data) < _ANSWER:
        try:
            piece = os.read(descriptor, _PIECE)
        except BlockingIOError:
            ready = asyncio.Event()
            loop.add_reader(descriptor, ready.set)
            try:
                await ready.wait()
            finally:
                loop.remove_reader(descriptor)
            continue
        if not piece:
            break
        data += piece
    return bytes(data)
