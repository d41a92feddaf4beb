"""Large bodies, in files beside the account's database.

A file is written, or linked from the spool, and synced before the transaction that names it; it is unlinked behind the
transaction that removed its name. What a crash leaves between is an orphan: a file that no row names. Orphans are
looked for when an account is opened, among files older than an hour, so that one which another process is about to
name is safe. Fails with OSError.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from angarium.mailstore.interface import MailstoreUnavailableError
from angarium.model.content import Content
from angarium.runtime.spool import CHUNK, SpooledContent, sync_directory

ORPHAN_AGE = 3600.0
"""Seconds after which a file without a row is an orphan."""


class BodyFiles:
    """The directory of an account's large bodies. It is made with the first one."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def store(self, content: Content) -> str:
        """Put ``content`` on stable storage; the file's name. Raises OSError."""
        name = secrets.token_hex(12)
        if not self.directory.is_dir():
            self.directory.mkdir(mode=0o700, exist_ok=True)
            sync_directory(self.directory.parent)
        path = self.directory / name
        if not (isinstance(content, SpooledContent) and self._linked(content, path)):
            self._written(content, path)
        sync_directory(self.directory)
        return name

    def path(self, name: str) -> Path:
        """Where the file is."""
        return self.directory / name

    def remove(self, names: Iterable[str]) -> None:
        """Unlink files; those that are gone already are no error."""
        for name in names:
            self.path(name).unlink(missing_ok=True)

    def orphans(self, known: frozenset[str], now: float) -> list[str]:
        """Files that no row names and that are old enough."""
        if not self.directory.is_dir():
            return []
        found = []
        for entry in os.scandir(self.directory):
            with contextlib.suppress(FileNotFoundError):  # another process was faster
                if entry.name not in known and entry.stat().st_mtime < now - ORPHAN_AGE:
                    found.append(entry.name)
        return found

    @staticmethod
    def _linked(content: SpooledContent, path: Path) -> bool:
        """Take the spool's file over by a link; False when it lies in another file system."""
        try:
            # A message may have waited in the queue for days, and a link keeps the file's age: young again, it is
            # not taken for an orphan by a process that opens the account before the row is there.
            os.utime(content.path)
            content.link_to(path)
        except OSError:
            return False
        return True

    @staticmethod
    def _written(content: Content, path: Path) -> None:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(descriptor, "wb", buffering=0) as file:
                for chunk in content.chunks():
                    view = memoryview(chunk)
                    while view:
                        view = view[file.write(view) :]
                os.fsync(file.fileno())
        except BaseException:
            path.unlink(missing_ok=True)
            raise

    def destroy(self) -> None:
        """Remove the directory with all in it."""
        shutil.rmtree(self.directory, ignore_errors=True)


class FiledContent:
    """A message whose header block is in memory and whose rest is in a file (``model.content.Content``).

    The file is opened when it is read. Reading raises MailstoreUnavailableError when the message was removed meanwhile,
    or when the file ends before it.
    """

    __slots__ = ("_header", "_path", "_size", "_skip")

    def __init__(self, header: bytes, path: Path, skip: int, size: int) -> None:
        self._header = header
        self._path = path
        self._skip = skip
        self._size = size

    @classmethod
    def of(cls, header: bytes, path: Path, skip: int) -> FiledContent:
        """The message whose rest begins at ``skip`` in that file."""
        try:
            size = path.stat().st_size
        except FileNotFoundError as error:
            raise MailstoreUnavailableError(f"{path}: a body is missing") from error
        return cls(header, path, skip, len(header) + size - skip)

    @property
    def size(self) -> int:
        """Bytes."""
        return self._size

    def chunks(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """The bytes from ``start`` to ``stop`` in pieces of 64 KiB."""
        end = self._size if stop is None else min(stop, self._size)
        head = len(self._header)
        if start < min(end, head):
            yield self._header[start : min(end, head)]
            start = head
        if start >= end:
            return
        try:
            with self._path.open("rb", buffering=0) as file:
                file.seek(start - head + self._skip)
                while start < end:
                    piece = file.read(min(CHUNK, end - start))
                    if not piece:
                        raise MailstoreUnavailableError(f"{self._path}: the file became shorter")
                    yield piece
                    start += len(piece)
        except FileNotFoundError as error:
            raise MailstoreUnavailableError(f"{self._path}: the message was removed") from error

    def read(self, start: int = 0, stop: int | None = None) -> bytes:
        """The bytes from ``start`` to ``stop`` at once."""
        return b"".join(self.chunks(start, stop))
