"""What cleanup must know of a message's header block, without parsing what nobody asks for.

The block ends at the first empty line or the first line that is no header (RFC 5322 section 2.2, as cleanup(8)
reads it). One pass of a regular expression finds that; after it, a header is looked for by ``find`` in a lower-case
copy. Both see ``SCAN_LIMIT`` bytes at most; what lies beyond is read piece by piece (``cleanup.beyond``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from msgspec import Struct

from angarium.model.content import Content

SCAN_LIMIT = 1024 * 1024
_FIRST_READ = 16 * 1024
_NOT_A_HEADER = re.compile(rb"\n(?![!-9;-~]+[ \t]*:|[ \t])")
_FIRST_LINE = re.compile(rb"[!-9;-~]+[ \t]*:|>*From ")
_MAILBOX_LINE = re.compile(rb">*From ")


class HeaderBlock(Struct, frozen=True):
    """The header block of a message.

    Attributes:
        raw: its bytes, without the empty line that ends it.
        folded: line feed + ``raw`` in lower case: position ``n`` of ``raw`` is position ``n + 1`` here.
        closed: an empty line ends it; otherwise the body, or the end of the message, follows at once.
        mailbox_line: its first line is an mbox separator, ``From `` or ``>From ``.
        whole: False when it goes on beyond what was read.
        beyond: how many headers of a (lower-case) name there are in the rest.
    """

    raw: bytes
    folded: bytes
    closed: bool
    mailbox_line: bool = False
    whole: bool = True
    beyond: Mapping[bytes, int] | None = None

    @classmethod
    def read(cls, content: Content, start: int = 0) -> HeaderBlock:
        """Find the header block of a message in wire form; with ``start``, the rest of one from the header there."""
        size = min(content.size - start, SCAN_LIMIT)
        taken = min(size, _FIRST_READ)
        head = content.read(start, start + taken)
        end = _end(head, whole=taken == size)
        while end < 0 and taken < size:
            taken = min(size, taken * 8)
            head = content.read(start, start + taken)
            end = _end(head, whole=taken == size)
        whole = end >= 0 or start + taken == content.size
        if end < 0:
            end = len(head) if whole else _last_start(head)
        raw = head[:end]
        is_mailbox_line = bool(raw) and _MAILBOX_LINE.match(raw) is not None
        return cls(raw, b"\n" + raw.lower(), head.startswith(b"\r\n", end), is_mailbox_line, whole)

    @classmethod
    def of(cls, raw: bytes, like: HeaderBlock) -> HeaderBlock:
        """A block of other bytes that ends as ``like`` does."""
        return cls(raw, b"\n" + raw.lower(), like.closed, like.mailbox_line, like.whole, like.beyond)

    def has(self, name: bytes) -> bool:
        """Whether there is a header of that (lower-case) name."""
        return self.find(name) >= 0 or (self.beyond is not None and name in self.beyond)

    def find(self, name: bytes, start: int = 0) -> int:
        """Where in ``raw`` a header of that name starts, at or after ``start``; -1: nowhere."""
        folded = self.folded
        needle = b"\n" + name
        length = len(needle)
        at = folded.find(needle, start)
        while at >= 0:
            stop = at + length
            while folded[stop : stop + 1] in (b" ", b"\t"):
                stop += 1
            if folded[stop : stop + 1] == b":":
                return at
            at = folded.find(needle, at + 1)
        return -1

    def count(self, name: bytes) -> int:
        """How many headers of that name there are."""
        number = self.beyond.get(name, 0) if self.beyond is not None else 0
        at = self.find(name)
        while at >= 0:
            number += 1
            at = self.find(name, at + 1)
        return number

    def span(self, start: int) -> tuple[int, int]:
        """From ``start`` to the end of the header there, with its continuation lines and the last line break."""
        raw = self.raw
        stop = start
        while True:
            feed = raw.find(b"\n", stop)
            if feed < 0:
                return start, len(raw)
            stop = feed + 1
            if raw[stop : stop + 1] not in (b" ", b"\t"):
                return start, stop

    def value(self, name: bytes) -> str | None:
        """The text of the first header of that name, unfolded; None: there is none."""
        start = self.find(name)
        if start < 0:
            return None
        start, stop = self.span(start)
        line = self.raw[start:stop]
        text = line[line.index(b":") + 1 :].replace(b"\r\n", b"").strip(b" \t\r\n")
        return text.decode("utf-8", "backslashreplace")


def _end(head: bytes, *, whole: bool) -> int:
    """The length of the header block, -1 when ``head`` does not show its end; ``whole``: there is no more."""
    if not head or head.startswith((b"\r\n", b" ", b"\t")):
        return 0
    if _FIRST_LINE.match(head) is None:
        return 0 if whole or b"\n" in head else -1
    match = _NOT_A_HEADER.search(head)
    if match is None or match.start() + 1 >= len(head):
        return -1
    end = match.start() + 1
    if not whole and head.find(b"\n", end) < 0:
        return -1  # the line that seems to end the block is cut off here: it may be a header yet
    return end


def _last_start(head: bytes) -> int:
    """Where the last header of a block that goes on begins: it may be there in part."""
    feed = head.rfind(b"\n")
    while feed > 0 and head[feed + 1 : feed + 2] in (b" ", b"\t", b""):
        feed = head.rfind(b"\n", 0, feed)
    return feed + 1


def oversized(content: Content, limit: int) -> list[tuple[int, int, bytes]]:
    """What cuts each header of more than ``limit`` bytes (line breaks counted as one) down to that, as edits.

    At the end of a line, when that loses no more than a tenth of the limit; otherwise within one. Reads the header
    block once, in bounded memory, wherever it ends.
    """
    cuts: list[tuple[int, int, bytes]] = []
    start = position = 0
    kept = 0
    cut = -1
    for head, length, ending in _header_lines(content):
        if position == 0 or head[:1] not in (b" ", b"\t"):
            if cut >= 0:
                cuts.append((cut, position, b"\r\n"))
            start, kept, cut = position, 0, -1
            if not _FIRST_LINE.match(head):
                return cuts
        size = length - ending + (position > start)
        if cut < 0 and kept + size > limit:
            at_line = position > start and limit - kept <= limit // 10
            cut = position - 2 if at_line else position + limit - kept - (position > start)
        kept += size
        position += length
    if cut >= 0:
        cuts.append((cut, position, b"\r\n"))
    return cuts


_HEAD = 1024


def _header_lines(content: Content) -> Iterator[tuple[bytes, int, int]]:
    """The first bytes of each line, how long it is, and how much of that is its line break."""
    head = b""
    length = 0
    for chunk in content.chunks():
        position = 0
        while (feed := chunk.find(b"\n", position)) >= 0:
            head += chunk[position : min(feed + 1, position + _HEAD)]
            length += feed + 1 - position
            returns = chunk[feed - 1 : feed] == b"\r" if feed else head[-2:-1] == b"\r"
            yield head, length, 1 + returns
            head, length, position = b"", 0, feed + 1
        if len(head) < _HEAD:
            head += chunk[position : position + _HEAD]
        length += len(chunk) - position
    if length:
        yield head, length, 0
