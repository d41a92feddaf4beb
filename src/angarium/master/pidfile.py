"""``pid/master.pid`` below queue_directory: which process is the master, and the proof that it lives.

The proof is a record lock (fcntl) on the file: it goes with the process however that ends, and children of a fork
do not inherit it. The pid is written padded, as Postfix writes it; but who the master is says the kernel, which knows
who has the lock: root shall not signal what somebody has written into a file. No symbolic link is followed, and
nothing is written into a file that has another name or another's owner.

Fails with OSError; ``AlreadyRunningError`` when another master holds the lock.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import struct
from pathlib import Path

_WIDTH = 32
_FLOCK = struct.Struct("hhqqi4x")
"""struct flock of fcntl(2): type, whence, start, length, pid."""


class AlreadyRunningError(Exception):
    """Another master runs on this queue directory."""


class PidFile:
    """The pid file of one queue directory."""

    def __init__(self, queue_directory: Path) -> None:
        self.path = queue_directory / "pid" / "master.pid"
        self._descriptor = -1

    def acquire(self) -> None:
        """Become the master. Raises AlreadyRunningError or OSError."""
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1 or status.st_uid not in (0, os.geteuid()):
            os.close(descriptor)
            raise PermissionError(errno.EPERM, "not a file of the master's own", str(self.path))
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError) as error:
            os.close(descriptor)
            raise AlreadyRunningError(str(self.path)) from error
        self._descriptor = descriptor
        self.write()

    def write(self) -> None:
        """Write this process's pid."""
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, f"{os.getpid():{_WIDTH}}\n".encode(), 0)

    def release(self) -> None:
        """Stop being the master."""
        if self._descriptor >= 0:
            os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = -1

    def forget(self) -> None:
        """Close a child's copy. It holds no lock, and closing it does not touch the parent's."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def running(self) -> int | None:
        """The pid of the running master; None when there is none. Raises PermissionError."""
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            asked = _FLOCK.pack(fcntl.F_RDLCK, os.SEEK_SET, 0, 0, 0)
            kind, _whence, _start, _length, pid = _FLOCK.unpack(fcntl.fcntl(descriptor, fcntl.F_GETLK, asked))
            if kind == fcntl.F_UNLCK:
                return None
            if pid > 0:
                return int(pid)
            text = os.pread(descriptor, 64, 0).strip()  # in a pid namespace that we do not see into
            return int(text) if text.isdigit() and os.geteuid() else None
        finally:
            os.close(descriptor)
