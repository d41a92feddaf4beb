"""The built form of a table: a file from which one entry is read without reading the others.

``BuiltFile`` is what the formats (berkeley, cdb, lmdb) offer for reading. A file is read with ``pread`` and never
mapped: a program that truncates a mapped file would kill the process that looks into it. Small files are held in
memory.

Every number that comes out of a file is checked before it is used: a damaged file costs bounded time and memory and
raises ``DamagedFileError``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Protocol

HELD_IN_MEMORY = 1 << 18
"""Bytes: files up to this size are read whole."""

VALUE_LIMIT = 1 << 26
"""Bytes: a longer key or value is taken for damage."""


_ENTRY_OVERHEAD = 6
"""Bytes: what an entry takes at least beside its key and its value, in any of the formats."""


BRANCHES_KEPT = 256
"""Pages above the leaves of a tree that are kept taken apart: some MiB at most, enough for a million entries."""

Branch = tuple[list[bytes], list[int]]
"""The keys of a page above the leaves, the first one empty, and the numbers of the pages that they lead to."""


class DamagedFileError(Exception):
    """The file is not what it should be; the text says in what."""


class BuiltFile(Protocol):
    """Whole keys to values, as bytes and as they are stored (with the NUL that Postfix may append)."""

    def get(self, key: bytes) -> bytes | None:
        """The value of a key. Raises DamagedFileError and OSError."""
        ...

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """Every entry, in the order of the file. Raises DamagedFileError and OSError."""
        ...


def within(entries: Iterator[tuple[bytes, bytes]], size: int) -> Iterator[tuple[bytes, bytes]]:
    """The entries of a file of ``size`` bytes; raises DamagedFileError when they are more than fit into it."""
    for key, value in entries:
        size -= len(key) + len(value) + _ENTRY_OVERHEAD
        if size < 0:
            raise DamagedFileError("it has more entries than room")
        yield key, value


class FileBytes:
    """Bounded reads of an open file; it does not own the descriptor.

    Args:
        descriptor: open for reading.

    Raises:
        OSError: it cannot be read.
    """

    __slots__ = ("_descriptor", "_held", "size")

    def __init__(self, descriptor: int) -> None:
        self.size = os.fstat(descriptor).st_size
        self._descriptor = descriptor
        self._held: bytes | None = None
        if self.size <= HELD_IN_MEMORY:
            self._held = os.pread(descriptor, self.size, 0)
            self.size = len(self._held)

    def read(self, offset: int, length: int) -> bytes:
        """Exactly these bytes. Raises DamagedFileError when the file ends before them, and OSError."""
        if self._held is not None:
            data = self._held[offset : offset + length]
        else:
            data = os.pread(self._descriptor, length, offset) if offset < self.size else b""
        if len(data) != length:
            raise DamagedFileError("it is cut off")
        return data
