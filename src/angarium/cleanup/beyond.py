"""The headers of a block that goes on beyond ``headers.SCAN_LIMIT``: the same is done to them as to the others.

A block of headers may be as long as a message. Its rest is taken in pieces of that size, each beginning with a header;
what changes is written to a spool file as it comes, and what stays is passed on by reference. So memory is bounded by
one piece, whatever the block's length, and other sessions have their turn between two pieces.

Header checks come behind this, and see these headers as they are after it; for Postfix they come before. A header
over ``SCAN_LIMIT`` itself, which only a header_size_limit above that allows, ends the rewriting.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial

from angarium.cleanup.addresses import Edit
from angarium.cleanup.headers import HeaderBlock
from angarium.cleanup.splice import Slice, SplicedContent, spliced
from angarium.model.content import Content, MemoryContent
from angarium.runtime.spool import Spool, written

Edits = Callable[[HeaderBlock], Awaitable[list[Edit]]]
"""What changes in a piece; positions are those of the piece. Raises MailError."""

_COUNTED = (
    *(b"received", b"message-id", b"date", b"from", b"to", b"cc"),
    *(b"resent-message-id", b"resent-date", b"resent-from", b"resent-to", b"resent-cc"),
)


async def rewritten(
    content: Content, start: int, edits_of: Edits, spool: Spool | None
) -> tuple[Content, Counter[bytes]]:
    """The content with its headers from ``start`` on changed, and how many there are of the names that matter.

    Raises MailError and OSError (of the spool).
    """
    counts: Counter[bytes] = Counter()
    changed: list[tuple[int, int, int, int]] = []  # a piece's start and stop, and where in the sink its new form is
    sink = _Sink(spool)
    position = start
    try:
        while True:
            block = await asyncio.to_thread(HeaderBlock.read, content, position)
            if not block.raw:
                break
            counts.update({name: number for name in _COUNTED if (number := block.count(name))})
            edits = await edits_of(block)
            if edits:
                low = sink.size
                piece = SplicedContent(spliced(MemoryContent(block.raw), edits))
                await written(partial(sink.write, piece))
                changed.append((position, position + len(block.raw), low, sink.size))
            position += len(block.raw)
            if block.whole:
                if not block.closed and position < content.size:  # no empty line before the body
                    changed.append((position, position, sink.size, sink.size + 2))
                    sink.write(MemoryContent(b"\r\n"))
                break
    except BaseException:
        sink.abandon()
        raise
    if not changed:
        sink.abandon()
        return content, counts
    new = sink.finish()
    pieces: list[bytes | Slice] = []
    position = 0
    for begin, end, low, high in changed:
        pieces += [Slice(content, position, begin), Slice(new, low, high)]
        position = end
    pieces.append(Slice(content, position, content.size))
    return SplicedContent(pieces), counts


class _Sink:
    """Where the pieces that change are written: a spool file, or memory when there is no spool."""

    def __init__(self, spool: Spool | None) -> None:
        self._file = spool.create() if spool is not None else None
        self._memory = bytearray()

    @property
    def size(self) -> int:
        return self._file.size if self._file is not None else len(self._memory)

    def write(self, piece: Content) -> None:
        for chunk in piece.chunks():
            if self._file is not None:
                self._file.write(chunk)
            else:
                self._memory += chunk

    def abandon(self) -> None:
        if self._file is not None:
            self._file.abandon()

    def finish(self) -> Content:
        return self._file.finish() if self._file is not None else MemoryContent(bytes(self._memory))
