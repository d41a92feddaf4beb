"""Builds and updates the files behind tables: what postmap(1) and postalias(1) write.

A new file is written beside the old one and takes its place when it is whole, so nobody reads half of one. It keeps
the owner and the mode of the file that it replaces. Where no file can be made in the directory, the old one is written
over, under the lock that its readers wait for. Writers wait for one another. A few entries of a large
file are changed where they stand, under that lock; other updates read everything and build the file anew.

Failures: OSError; ``DamagedFileError`` for an old file that cannot be read; ValueError and OverflowError for what a
format has no room for.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from angarium.tables.berkeley_build import build_btree, build_hash
from angarium.tables.berkeley_edit import NoRoomError, open_editor
from angarium.tables.built import KINDS
from angarium.tables.builtfile import HELD_IN_MEMORY, BuiltFile, FileBytes
from angarium.tables.cdb import build_cdb
from angarium.tables.lmdb import build_lmdb
from angarium.tables.lmdb_edit import LmdbEditor

Build = Callable[[BinaryIO, Mapping[bytes, bytes]], None]


@dataclass(frozen=True, slots=True)
class Builder:
    """How the file of a type is built.

    Attributes:
        build: writes the file.
        ending: what is put behind keys and values.
        updates: entries can be added and removed.
        listed: entries can be listed.
        path_name: messages about the table name its file; those about duplicates do so where ``duplicates`` is True.
    """

    build: Build
    ending: bytes
    updates: bool = True
    listed: bool = True
    path_name: bool = True
    duplicates: bool = True


_BYTES_EACH = 64
_SHARE = 8
"""Changing one entry costs about as much as building so many, of so many bytes each at least."""

BUILDERS = {
    "hash": Builder(build_hash, b"\0"),
    "btree": Builder(build_btree, b"\0"),
    "lmdb": Builder(build_lmdb, b"\0", path_name=False),
    "cdb": Builder(build_cdb, b"", updates=False, listed=False, duplicates=False),
}
_DEFERRED = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT}


def built_path(kind: str, source: Path) -> Path:
    """The file that a table of this type has beside its source."""
    return source.with_name(source.name + KINDS[kind].suffix)


def read_entries(kind: str, path: Path, *, locked: bool = False) -> dict[bytes, bytes]:
    """Everything in a built file; ``locked`` within ``writing``. Raises OSError and DamagedFileError."""
    with path.open("rb") as file:
        lock = KINDS[kind].lock
        if lock is not None and not locked:
            lock(file.fileno(), fcntl.LOCK_SH)
        return dict(KINDS[kind].read(FileBytes(file.fileno())).items())


def changed_in_place(kind: str, path: Path, entries: Mapping[bytes, bytes | None]) -> bool:
    """Change entries of a built file where they stand, within ``writing``.

    Args:
        kind: the type.
        path: the built file.
        entries: their values; None: they go.

    Returns:
        False: that cannot be done, or has been in part; the file has to be built anew.

    Raises:
        OSError: it cannot be written.
        DamagedFileError: it cannot be read.
    """
    if kind == "cdb":
        return False
    with path.open("r+b", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        if size <= HELD_IN_MEMORY or len(entries) * _SHARE * _BYTES_EACH > size:
            return False
        try:
            editor = LmdbEditor(file.fileno()) if kind == "lmdb" else open_editor(file.fileno())
            for key, value in entries.items():
                if value is None:
                    editor.delete(key)
                else:
                    editor.put(key, value)
            editor.finish()
        except NoRoomError:
            return False
        finally:
            os.fsync(file.fileno())
    return True


@contextlib.contextmanager
def opened(kind: str, path: Path) -> Iterator[BuiltFile]:
    """A built file to look into, within ``writing``. Raises OSError and DamagedFileError."""
    with path.open("rb") as file:
        yield KINDS[kind].read(FileBytes(file.fileno()))


@contextlib.contextmanager
def writing(kind: str, path: Path) -> Iterator[None]:
    """Keep other writers away from a file, and signals that would end the program in the middle. Raises OSError."""
    old = signal.pthread_sigmask(signal.SIG_BLOCK, _DEFERRED)
    descriptor = -1
    try:
        descriptor = _lock(kind, path)
        yield
    finally:
        if descriptor >= 0:
            os.close(descriptor)
        signal.pthread_sigmask(signal.SIG_SETMASK, old)


def _lock_of_file(descriptor: int, _flags: int) -> None:
    """Lock a file for writing, against lockf of others, until this descriptor is closed: not any of the file."""
    wanted = struct.pack("hhqqi", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    fcntl.fcntl(descriptor, fcntl.F_OFD_SETLKW, wanted)


def _lock(kind: str, path: Path) -> int:
    """A locked descriptor of the file that is there now; -1 when there is none."""
    lock = _lock_of_file if KINDS[kind].lock is fcntl.lockf else KINDS[kind].lock or fcntl.flock
    while True:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except (FileNotFoundError, PermissionError):
            return -1
        lock(descriptor, fcntl.LOCK_EX)
        try:
            if os.path.samestat(os.fstat(descriptor), path.stat()):
                return descriptor
        except FileNotFoundError:
            pass
        os.close(descriptor)


def write_file(kind: str, path: Path, entries: Mapping[bytes, bytes], mode: int = 0o644) -> None:
    """Build the file of a table, within ``writing``.

    Args:
        kind: the type.
        path: the built file.
        entries: all of them, with what is behind keys and values.
        mode: of a file that is not there yet.

    Raises:
        OSError: it cannot be written.
        ValueError: a key has no room in the format.
        OverflowError: the whole has none.
    """
    old: os.stat_result | None = None
    with contextlib.suppress(FileNotFoundError):
        old = path.stat()
    beside = path.with_name(f"{path.name}.tmp{os.getpid()}")
    try:
        descriptor = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except PermissionError:
        if old is None:
            raise
        with path.open("r+b") as file:
            file.truncate()
            BUILDERS[kind].build(file, entries)
        return
    try:
        with os.fdopen(descriptor, "wb") as file:
            BUILDERS[kind].build(file, entries)
            file.flush()
            if old is not None:
                with contextlib.suppress(PermissionError):
                    os.fchown(descriptor, old.st_uid, old.st_gid)
            os.fchmod(descriptor, mode if old is None else old.st_mode & 0o7777)
            os.fsync(descriptor)
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
