"""A thread of root's that has the rights of a user for files, as long as a piece of work takes.

Linux keeps with each thread the user, group and groups that count for files (credentials(7), setfsuid(2)). With a user
other than root the kernel takes away the capabilities that go around permissions, and the thread puts away the others:
CAP_SYS_RESOURCE goes around disk quotas, and takes the blocks that are reserved for root. So every open, every new name
and every quota is that user's. Nothing else of him comes near: he may neither signal nor trace the process. So no
process is made for a message, as none is in Postfix's local(8).

For work on files alone: whoever runs a program must become its user for good (``starter``).

Fails with DeliveryError; a thread that could not get its own rights back ends the process at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import functools
import os
import platform
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from angarium.delivery.rights import ForkedRights, Work
from angarium.delivery.troubles import DeliveryError
from angarium.delivery.user import User
from angarium.model.dsn import Dsn

_SETGROUPS = {"x86_64": 116, "aarch64": 159, "riscv64": 159, "loongarch64": 159, "ppc64le": 81, "s390x": 206}
"""Number of the system call that sets the groups of one thread (the C library's function sets those of all)."""

_THREADS = 50
"""Pieces of work at a time; others wait. Most wait for a disk, some for a lock."""

_CAPABILITIES_3 = 0x20080522
"""Version of capset(2)'s structures: effective, permitted, inheritable, of 32 bits, twice."""
_KEPT = 1 << 6 | 1 << 7
"""CAP_SETGID and CAP_SETUID, to become root's thread again."""

_NOBODY = -1
_ALL = 0xFFFFFFFF


class _Calls:
    """The system calls, which set the credentials of the calling thread alone."""

    def __init__(self) -> None:
        library = ctypes.PyDLL(None, use_errno=True)  # these calls are shorter than letting other threads run
        self._syscall, self._setfsuid, self._setfsgid = library.syscall, library.setfsuid, library.setfsgid
        self._number = _SETGROUPS[platform.machine()]
        self._capget, self._capset = library.capget, library.capset
        self._header = (ctypes.c_uint32 * 2)(_CAPABILITIES_3, 0)
        self._roots = (ctypes.c_uint32 * 6)()
        if self._capget(self._header, self._roots):
            raise OSError(ctypes.get_errno(), "cannot read capabilities")
        self._few = (ctypes.c_uint32 * 6)(*self._roots)
        self._few[0], self._few[3] = self._roots[0] & _KEPT, 0

    def capabilities(self, *, roots: bool) -> None:
        """Have those of root's process, or those alone that end the acting."""
        if self._capset(self._header, self._roots if roots else self._few):
            raise OSError(ctypes.get_errno(), "cannot set capabilities")

    def groups(self, gids: Sequence[int]) -> None:
        array = (ctypes.c_uint32 * len(gids))(*gids)
        if self._syscall(self._number, len(gids), array):
            raise OSError(ctypes.get_errno(), "cannot set groups")

    def user(self, uid: int) -> None:
        self._setfsuid(ctypes.c_uint32(uid))
        if self._setfsuid(_NOBODY) & _ALL != uid:  # there is no other way to see whether it has worked
            raise PermissionError("cannot set the user for files")

    def who(self) -> tuple[int, int]:
        return self._setfsuid(_NOBODY) & _ALL, self._setfsgid(_NOBODY) & _ALL

    def group(self, gid: int) -> None:
        self._setfsgid(ctypes.c_uint32(gid))
        if self._setfsgid(_NOBODY) & _ALL != gid:
            raise PermissionError("cannot set the group for files")


@functools.cache
def _calls() -> _Calls:
    return _Calls()


def can_act() -> bool:
    """Whether threads can have credentials of their own here."""
    return platform.system() == "Linux" and platform.machine() in _SETGROUPS


@contextlib.contextmanager
def acting(user: User) -> Iterator[None]:
    """Within, this thread of root's has the user's rights for files, and root's again afterwards. Raises OSError."""
    calls = _calls()
    try:
        calls.groups([user.gid])
        calls.group(user.gid)
        calls.user(user.uid)
        calls.capabilities(roots=user.uid == 0)
        yield
    finally:
        try:
            calls.capabilities(roots=True)
            calls.user(0)
            calls.group(0)
            calls.groups([])
        except BaseException:  # noqa: BLE001  # root's work must not go on with half of somebody's rights
            os._exit(70)


def whoever() -> tuple[int, int]:
    """The user and the group that count for files in this thread."""
    return _calls().who() if can_act() else (os.geteuid(), os.getegid())


class FileRights:
    """``rights.Rights`` for work on files: in threads of a process of root's that act for the users."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_THREADS, "files")
        self._forked = ForkedRights()

    async def run(self, user: User, work: Work) -> Sequence[str]:
        """Run it with the user's rights."""
        if not can_act():
            return await self._forked.run(user, work)

        def act() -> Sequence[str]:
            with acting(user):
                return work()

        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, act)
        except (OSError, ValueError) as error:  # a name with a NUL is a ValueError
            raise DeliveryError(Dsn(4, 3, 0), "temporary failure", f"for the user {user.name}: {error}") from error
