"""The content of a message: immutable bytes, passed by reference.

The body that a client sent is never rewritten. What we add (Return-Path, Received …) is a prefix kept beside it.
Content is in wire form: lines end in CRLF, dot-stuffing undone. Content over a bound lives in a file
(``runtime.spool``); everyone else sees this interface alone.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from typing import Protocol

from msgspec import Struct


class ContentLostError(OSError):
    """The bytes of a message cannot be read.

    That says nothing of those who should get it: what is under way is given up before anybody takes a part for the
    whole, and tried again.
    """

    def __init__(self, text: str, path: str = "") -> None:
        super().__init__(errno.EIO, text, path or None)


class Content(Protocol):
    """Read-only bytes of known size, in memory or in a file."""

    @property
    def size(self) -> int:
        """Bytes."""
        ...

    def chunks(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """The bytes from ``start`` to ``stop`` in pieces of bounded size."""
        ...

    def read(self, start: int = 0, stop: int | None = None) -> bytes:
        """The bytes from ``start`` to ``stop`` at once; the caller bounds the range."""
        ...


class MemoryContent(Struct, frozen=True):
    """Content that is held in memory."""

    data: bytes

    @property
    def size(self) -> int:
        """Bytes."""
        return len(self.data)

    def chunks(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """One piece: it is in memory already."""
        yield self.read(start, stop)

    def read(self, start: int = 0, stop: int | None = None) -> bytes:
        """A slice; the whole costs no copy."""
        return self.data if start == 0 and stop is None else self.data[start:stop]
