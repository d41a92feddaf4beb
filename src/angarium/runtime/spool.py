"""Files for content that is too large to hold in memory.

A session writes what it receives into a spool file; the queue or the mailstore then takes the file over by a hard
link, without copying. A file that nobody took over is removed with its ``SpooledContent``; those that a crash left
behind are removed by ``Spool.clean`` at start-up.

Fails with OSError: a full disk is the session's to report (452 4.3.1).
"""

from __future__ import annotations

import contextlib
import itertools
import os
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from angarium.model.content import ContentLostError

T = TypeVar("T")

CHUNK = 64 * 1024
SPOOL_BOUND = 1024 * 1024
"""Content over this many bytes goes to a file."""
CROWDED_BOUND = 64 * 1024
"""The same while the process holds more than ``MEMORY_ROOM``."""
MEMORY_ROOM = 64 * 1024 * 1024
"""Bytes of messages that the sessions of a process receive into memory, all together: a thousand that stop in the
middle of one cost no more. Sessions that have not sent ``CROWDED_BOUND`` bytes come on top of it."""


def _remove(descriptor: int, path: Path | None) -> None:
    os.close(descriptor)
    if path is not None:
        with contextlib.suppress(FileNotFoundError):
            path.unlink()


class SpooledContent:
    """Content in a file (``model.content.Content``). The file lives as long as this object."""

    def __init__(self, path: Path, descriptor: int, size: int, *, remove: bool) -> None:
        self.path = path
        self._descriptor = descriptor
        self._size = size
        self._finalizer = weakref.finalize(self, _remove, descriptor, path if remove else None)

    @classmethod
    def open(cls, path: Path) -> SpooledContent:
        """Read a file that belongs to a store; it stays when this object goes. Raises OSError."""
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        return cls(path, descriptor, os.fstat(descriptor).st_size, remove=False)

    @property
    def size(self) -> int:
        """Bytes."""
        return self._size

    def chunks(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """The bytes from ``start`` to ``stop`` in pieces of 64 KiB.

        Raises:
            ContentLostError: they cannot be read, or are no longer there: a message never ends before its end.
        """
        end = self._size if stop is None else min(stop, self._size)
        while start < end:
            try:
                piece = os.pread(self._descriptor, min(CHUNK, end - start), start)
            except OSError as error:
                raise ContentLostError(error.strerror or "read error", str(self.path)) from error
            if not piece:
                raise ContentLostError("the file became shorter", str(self.path))
            yield piece
            start += len(piece)

    def read(self, start: int = 0, stop: int | None = None) -> bytes:
        """The bytes from ``start`` to ``stop`` at once."""
        return b"".join(self.chunks(start, stop))

    def link_to(self, target: Path) -> None:
        """Make the file durable under another name in the same file system.

        The caller syncs the target's directory (``sync_directory``), once for all that it links.
        """
        os.fsync(self._descriptor)
        os.link(self.path, target)

    def close(self) -> None:
        """Close now, and remove a file that nobody took over."""
        self._finalizer()


class SpoolFile:
    """A spool file that is being written."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        self._size = 0
        self._finalizer = weakref.finalize(self, _remove, self._descriptor, path)

    @property
    def size(self) -> int:
        """Bytes so far."""
        return self._size

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Append. Raises OSError (ENOSPC among them)."""
        view = memoryview(data)
        while view:
            written = os.write(self._descriptor, view)
            self._size += written
            view = view[written:]

    def finish(self) -> SpooledContent:
        """No more will come: the content."""
        self._finalizer.detach()
        return SpooledContent(self._path, self._descriptor, self._size, remove=True)

    def abandon(self) -> None:
        """Throw it away."""
        self._finalizer()


class Spool:
    """A directory of spool files, shared by processes: names carry the pid.

    Attributes:
        in_memory: bytes of messages that sessions are receiving into memory; they keep the account themselves.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.in_memory = 0
        self._numbers = itertools.count()

    def wants(self, size: int) -> bool:
        """Whether a message of which ``size`` bytes are in memory, and counted there, should go to a file."""
        return size > SPOOL_BOUND or (size > CROWDED_BOUND and self.in_memory > MEMORY_ROOM)

    def create(self) -> SpoolFile:
        """Begin a file. Raises OSError."""
        while True:
            with contextlib.suppress(FileExistsError):  # of a process that had our number before
                return SpoolFile(self.directory / f"{os.getpid()}.{next(self._numbers)}")

    def clean(self) -> int:
        """Remove the files of processes that are gone; how many."""
        removed = 0
        for path in self.directory.iterdir():
            owner = path.name.partition(".")[0]
            if owner.isdigit() and not _lives(int(owner)):
                path.unlink(missing_ok=True)
                removed += 1
        return removed


def _lives(pid: int) -> bool:
    """Whether there is such a process; /proc may hide those of others."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


async def written(work: Callable[[], T]) -> T:
    """Run what writes to a spool file on a thread; also when cancelled, return only when the thread has ended.

    It writes by the number of a descriptor. Were the file given up meanwhile, that number would soon be another file's
    or a client's, who would get the rest of somebody else's message.
    """
    import asyncio  # late: a command that runs no loop starts 13 ms of CPU sooner without

    writing = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(writing)
    except asyncio.CancelledError:
        while not writing.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait((writing,))
        if not writing.cancelled():
            writing.exception()  # nobody else asks for it
        raise


def sync_directory(directory: Path) -> None:
    """Make new names in a directory durable."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
