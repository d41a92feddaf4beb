"""Tables in built files: hash and btree (``name.db``), cdb (``name.cdb``), lmdb (``name.lmdb``).

The files are those of postmap(1) and postalias(1), of Postfix's or of ours; a key is found with or without the NUL that
Postfix may put behind it. A file that was built anew is noticed within a second; while Postfix writes one it holds a
lock, and look-ups wait for it. Small files are held in memory, of larger ones the pages that a look-up needs are read.

A file that is older than its source is used, with a warning, as in Postfix. Unlike Postfix, a table whose built file is
missing or damaged is read from its source, so that nobody has to run postmap first; ``strict`` turns that off.

Failures are temporary errors: neither file is there or readable, a value is not UTF-8, or the file is locked for longer
than ``PATIENCE``.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from angarium.model.lookup import NOT_FOUND, Found, Lookup, TemporaryError
from angarium.runtime import heldfiles
from angarium.runtime.heldfiles import is_held, open_descriptor
from angarium.tables.berkeley import open_berkeley
from angarium.tables.builtfile import HELD_IN_MEMORY, BuiltFile, DamagedFileError, FileBytes
from angarium.tables.cdb import CdbFile
from angarium.tables.files import FileTable
from angarium.tables.keys import KEY_LIMIT, Fold, fold_unicode, is_utf8, printable
from angarium.tables.lmdb import LmdbFile
from angarium.tables.watch import CHECK_INTERVAL

PATIENCE = 5.0
"""Seconds to wait for a file that is being written."""

_RETRY_AFTER = 0.02
_GRACE = 100
"""Seconds: a source that was changed just now may be about to be built."""


@dataclass(frozen=True, slots=True)
class BuiltKind:
    """How a type of table keeps its built file.

    Attributes:
        suffix: what the file is called behind the name of the source.
        read: opens the format.
        lock: locks an open file without waiting (fcntl's flags); None: the file is only ever replaced.
    """

    suffix: str
    read: Callable[[FileBytes], BuiltFile]
    lock: Callable[[int, int], object] | None


KINDS = {
    "hash": BuiltKind(".db", open_berkeley, fcntl.flock),
    "btree": BuiltKind(".db", open_berkeley, fcntl.flock),
    "cdb": BuiltKind(".cdb", CdbFile, None),
    "lmdb": BuiltKind(".lmdb", LmdbFile, fcntl.lockf),
}

Endings = tuple[bytes, ...]
"""A NUL, nothing, or both: the likelier first."""

BOTH: Endings = (b"\0", b"")

_Stamp = tuple[int, int, int]


def _stamp(status: os.stat_result) -> _Stamp:
    return status.st_mtime_ns, status.st_ino, status.st_size


class _Held:
    """A small file, read whole."""

    def __init__(self, file: BuiltFile, endings: Endings) -> None:
        self._entries = {
            _text(key): _text(value) for key, value in file.items() if endings == BOTH or _ending(key) in endings
        }

    def get(self, key: str) -> str | None:
        return self._entries.get(key)


def _ending(data: bytes) -> bytes:
    return b"\0" if data.endswith(b"\0") else b""


def _text(data: bytes) -> str:
    return (data[:-1] if data.endswith(b"\0") else data).decode("utf-8", "surrogateescape")


class _Large:
    """A file that stays open, of which pages are read."""

    def __init__(self, kind: BuiltKind, descriptor: int, file: BuiltFile, stamp: _Stamp, endings: Endings) -> None:
        self._kind = kind
        self._descriptor = descriptor
        self._file = file
        self._stamp = stamp
        self._endings = endings

    def get(self, key: str) -> str | None:
        """Raises DamagedFileError, OSError; BlockingIOError when the file is being written or was."""
        lock = self._kind.lock
        if lock is not None:
            lock(self._descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        try:
            if lock is not None and _stamp(os.fstat(self._descriptor)) != self._stamp:
                raise BlockingIOError
            data = key.encode("utf-8", "surrogateescape")
            for ending in self._endings:
                value = self._file.get(data + ending)
                if value is not None:
                    self._endings = (ending,)
                    return _text(value)
            return None
        finally:
            if lock is not None:
                lock(self._descriptor, fcntl.LOCK_UN)

    def __del__(self) -> None:
        os.close(self._descriptor)


def open_built(kind: BuiltKind, path: Path, endings: Endings = BOTH) -> tuple[_Held | _Large, _Stamp]:
    """Open a built file. ``endings``: what stands behind its keys.

    Raises:
        OSError: it cannot be read; BlockingIOError: it is being written.
        DamagedFileError: it is not of that kind.
    """
    descriptor = open_descriptor(path)
    try:
        if kind.lock is not None:
            kind.lock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        copied = is_held(path)
        stamp = heldfiles.stamp(path) if copied else _stamp(os.fstat(descriptor))
        file = kind.read(FileBytes(descriptor))
        if stamp[2] <= HELD_IN_MEMORY or copied:
            held = _Held(file, endings)
            os.close(descriptor)
            return held, stamp
        if kind.lock is not None:
            kind.lock(descriptor, fcntl.LOCK_UN)
        return _Large(kind, descriptor, file, stamp, endings), stamp
    except BaseException:
        os.close(descriptor)
        raise


class BuiltTable:
    """A table in a built file.

    Attributes:
        label: what messages call it: by the built file, except that of LMDB.

    Args:
        name: ``type:name``.
        kind: of ``KINDS``.
        source: the text file that it is built from.
        warn: takes the text of a warning for the log.
        utf8: ``smtputf8_enable``.
        fold: folds keys.
        strict: fail when there is no usable built file.
        clock: seconds, monotonic.
        endings: what may stand behind the keys of the file.

    Raises:
        ValueError: there cannot be a file of that name.
    """

    pattern = False

    def __init__(
        self,
        name: str,
        kind: BuiltKind,
        source: Path,
        warn: Callable[[str], None],
        *,
        utf8: bool = True,
        fold: Fold = fold_unicode,
        strict: bool = False,
        clock: Callable[[], float] = time.monotonic,
        endings: Endings = BOTH,
    ) -> None:
        if "\0" in str(source):
            raise ValueError("a NUL in a file name")
        self.name = name
        self._kind = kind
        self._source = source
        self._path = source.with_name(source.name + kind.suffix)
        self.label = name if kind.lock is fcntl.lockf else f"{name.partition(':')[0]}:{self._path}"
        self._warn = warn
        self._utf8 = utf8
        self._fold = fold
        self._strict = strict
        self._clock = clock
        self._endings = endings
        self._checked = float("-inf")
        self._stamp: _Stamp | None = None
        self._file: _Held | _Large | FileTable | None = None
        self._text: FileTable | None = None

    async def lookup(self, key: str) -> Lookup:
        """The value of a key."""
        if len(key) > KEY_LIMIT or "\0" in key:
            return NOT_FOUND
        if self._utf8 and not is_utf8(key):
            self._warn(f'{self.label}: non-UTF-8 key "{printable(key[:100])}": malformed UTF-8 or invalid codepoint')
            return NOT_FOUND
        folded = self._fold(key)
        deadline = 0.0
        while True:
            try:
                file = self._current()
                if isinstance(file, FileTable):
                    return await file.lookup(key)
                return self._answer(key, file.get(folded))
            except BlockingIOError:
                self._file = None
            except DamagedFileError as error:
                if self._use_source(error):
                    continue
                return TemporaryError(f"open database {self._path}: {error}", self.name)
            except OSError as error:
                return TemporaryError(f"open database {self._path}: {error.strerror}", self.name)
            if not deadline:
                deadline = self._clock() + PATIENCE
            elif self._clock() > deadline:
                return TemporaryError(f"{self._path} is being written for too long", self.name)
            from asyncio import sleep  # late: postmap builds a table 13 ms of CPU sooner without

            await sleep(_RETRY_AFTER)

    def items(self) -> list[tuple[str, str]]:
        """Every entry. Raises OSError, DamagedFileError."""
        descriptor = open_descriptor(self._path)
        try:
            return [(_text(key), _text(value)) for key, value in self._kind.read(FileBytes(descriptor)).items()]
        finally:
            os.close(descriptor)

    async def locate(self, key: str, found: Found) -> str:
        """Where an entry stands in the source, as ``file:line``, if the source has it so; for explanations."""
        if self._text is None:
            self._text = self._text_table(lambda _: None)
        entry = await self._text.lookup(key)
        return entry.source if isinstance(entry, Found) and entry.value == found.value else found.source

    def _answer(self, key: str, value: str | None) -> Lookup:
        if value is None:
            return NOT_FOUND
        if self._utf8 and not is_utf8(value):
            fault = f'key "{key}": non-UTF-8 value "{printable(value[:100])}": malformed UTF-8 or invalid codepoint'
            self._warn(f"{self.label}: {fault}")
            return TemporaryError(fault, self.name)
        return Found(value, self.name)

    def _current(self) -> _Held | _Large | FileTable:
        """What to ask. Raises OSError, BlockingIOError, DamagedFileError."""
        now = self._clock()
        if self._file is not None and now - self._checked < CHECK_INTERVAL:
            return self._file
        try:
            stamp = heldfiles.stamp(self._path)
            if self._file is None or stamp != self._stamp:
                self._file = None
                self._stamp = stamp
                self._file, self._stamp = open_built(self._kind, self._path, self._endings)
                self._warn_if_stale()
        except FileNotFoundError:
            self._stamp = None
            if self._strict or not self._source.exists():
                self._file = None
                raise
            if not isinstance(self._file, FileTable):
                self._file = self._text_table(self._warn)
        self._checked = now
        return self._file

    def _use_source(self, error: DamagedFileError) -> bool:
        """Read the source until the built file changes; False when that cannot help."""
        if self._strict or not self._source.exists():
            self._file = None
            return False
        self._warn(f"{self._path}: {error}; using its source {self._source}")
        self._file = self._text_table(self._warn)
        self._checked = self._clock()
        return True

    def _text_table(self, warn: Callable[[str], None]) -> FileTable:
        return FileTable(self.name, self._source, warn, utf8=self._utf8, fold=self._fold, aliases=True)

    def _warn_if_stale(self) -> None:
        try:
            changed = self._source.stat().st_mtime_ns
        except OSError:
            return
        if self._stamp is not None and changed > self._stamp[0] and changed / 1e9 < time.time() - _GRACE:
            self._warn(f"database {self._path} is older than source file {self._source}")
