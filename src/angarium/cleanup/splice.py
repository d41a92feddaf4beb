"""Content with something cut out or put in, without a copy of the body."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from angarium.model.content import Content


@dataclass(frozen=True, slots=True)
class Slice:
    """Bytes ``start`` to ``stop`` of a content."""

    content: Content
    start: int
    stop: int

    @property
    def size(self) -> int:
        """Bytes."""
        return self.stop - self.start


def spliced(
    content: Content, edits: Sequence[tuple[int, int, bytes]], start: int = 0, stop: int | None = None
) -> list[bytes | Slice]:
    """The content from ``start`` to ``stop`` with each edit (start, stop, what stands there instead) applied.

    Edits at one place keep their order. One that begins inside of what another has replaced does nothing: what is
    dropped is not changed.
    """
    pieces: list[bytes | Slice] = []
    position = start
    for low, high, instead in sorted(edits, key=_place):
        if low < position:
            continue
        pieces += [Slice(content, position, low), instead]
        position = high
    pieces.append(Slice(content, position, content.size if stop is None else stop))
    return pieces


def _place(edit: tuple[int, int, bytes]) -> tuple[int, int]:
    return edit[0], edit[1]


class SplicedContent:
    """Pieces of contents and literal bytes, one after another, seen as one content."""

    __slots__ = ("_pieces", "_size")

    def __init__(self, pieces: Sequence[bytes | Slice]) -> None:
        self._pieces = tuple(piece for piece in pieces if (len(piece) if isinstance(piece, bytes) else piece.size))
        self._size = sum(len(piece) if isinstance(piece, bytes) else piece.size for piece in self._pieces)

    @property
    def size(self) -> int:
        """Bytes."""
        return self._size

    def chunks(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """The bytes from ``start`` to ``stop``, piece by piece."""
        stop = self._size if stop is None else min(stop, self._size)
        offset = 0
        for piece in self._pieces:
            size = len(piece) if isinstance(piece, bytes) else piece.size
            low, high = max(start - offset, 0), min(stop - offset, size)
            if low < high:
                if isinstance(piece, bytes):
                    yield piece[low:high]
                else:
                    yield from piece.content.chunks(piece.start + low, piece.start + high)
            offset += size
            if offset >= stop:
                return

    def read(self, start: int = 0, stop: int | None = None) -> bytes:
        """The bytes from ``start`` to ``stop`` at once."""
        return b"".join(self.chunks(start, stop))
