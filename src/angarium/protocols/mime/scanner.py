r"""The scanner: one pass over a message that finds its parts by byte offset (RFC 2046 section 5.1).

Looks for ``\n--`` with ``bytes.find`` and compares what follows with the boundaries of all open levels, so that a part
whose own end is missing ends where a part above it goes on. Where several open boundaries fit, the longest counts. Each
byte is looked at once, whatever the nesting.

Bounds: ``MAX_NESTING`` levels, ``MAX_PARTS`` parts; beyond them a part is a leaf, opaque. Nothing raises.
"""

from __future__ import annotations

from angarium.protocols.mime.content import parse_media_type, part_fields
from angarium.protocols.mime.header import content_fields, has_mime_version
from angarium.protocols.mime.types import MAX_NESTING, MAX_PARTS, MESSAGE_RFC822, TEXT_PLAIN, MediaType, Part, PartSpan

MAX_BOUNDARY = 80
"""Bytes of a boundary that are compared; RFC 2046 allows 70."""


class _Scan:
    """The state of one pass."""

    __slots__ = ("_bare", "_boundaries", "_consumed", "_crlf", "_data", "_levels", "_open_at", "_parts", "_tuple")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._levels: list[tuple[Part, bytes | None]] = []  # every open part with its boundary, if it has one
        self._boundaries: list[bytes] = []  # those that are open, outermost first
        self._open_at: list[int] = []  # and the level of each
        self._tuple: tuple[bytes, ...] = ()
        self._parts = 1
        self._consumed = 0  # behind the last boundary line; its line end is not a second time part of the next one
        self._crlf = -2  # next blank line of either kind at or behind the position; found once
        self._bare = -2

    def run(self) -> Part:
        data = self._data
        size = len(data)
        root = Part(0)
        at = self._open(root, TEXT_PLAIN, 0, in_multipart=False)
        while at < size:
            found = self._next_boundary(at, size)
            if found is None:
                break
            line, index = found
            at = self._turn(line, index)
        self._close(0, size)
        return root

    def _open(self, part: Part, default: MediaType, start: int, *, in_multipart: bool) -> int:
        """Read the part's header, descend into what it contains, and return where to look for boundaries."""
        data = self._data
        while True:
            blank = self._header_end(start)
            hit = self._next_boundary(max(start - 1, 0), blank) if self._tuple else None
            if hit is not None:
                # a boundary within the header: there is no body, and the line end before it is the header's
                blank = self._consumed = hit[0]
            part.body = blank
            part.fields = found = part_fields(content_fields(data, start, blank))
            raw = found.get(b"type")
            part.media = media = parse_media_type(raw) if raw is not None else default
            if raw is None and not in_multipart and found and not has_mime_version(data, start, blank):
                part.fields = {}
            kind = media.type.lower()
            room = len(self._levels) < MAX_NESTING and self._parts < MAX_PARTS and hit is None
            self._levels.append((part, None))
            if kind == b"multipart":
                part.multipart = True
                boundary = media.parameter(b"boundary")
                if boundary is not None and room:
                    self._push(part, boundary[:MAX_BOUNDARY])
            elif kind == b"message" and media.subtype.lower() == b"rfc822":
                part.message = True
                child = Part(blank, blank)
                part.children.append(child)
                if room:
                    self._parts += 1
                    part, default, start, in_multipart = child, TEXT_PLAIN, blank, False
                    continue
                self._levels.append((child, None))
            return max(blank - 1, 0)

    def _turn(self, line: int, index: int) -> int:
        """Handle the boundary line at ``line`` of the open boundary ``index``; return where to look next."""
        data = self._data
        if self._parts >= MAX_PARTS:
            return len(data)  # the part that is open takes the rest
        boundary = self._boundaries[index]
        level = self._open_at[index]
        end = line
        if end > self._consumed and data[end - 1] == 0x0A:
            end -= 1
            if end > self._consumed and data[end - 1] == 0x0D:
                end -= 1
        self._close(level + 1, end)
        behind = line + 2 + len(boundary)
        newline = data.find(b"\n", behind)
        self._consumed = start = newline + 1 if newline >= 0 else len(data)
        parent = self._levels[level][0]
        if data.startswith(b"--", behind):
            # the rest up to the next boundary above is epilogue; the multipart itself stays open until then
            self._levels[level] = (parent, None)
            self._boundaries.pop()
            self._open_at.pop()
            self._tuple = tuple(self._boundaries)
            return start - 1
        self._parts += 1
        child = Part(start)
        parent.children.append(child)
        default = MESSAGE_RFC822 if parent.media.subtype.lower() == b"digest" else TEXT_PLAIN
        return self._open(child, default, start, in_multipart=True)

    def _push(self, part: Part, boundary: bytes) -> None:
        self._open_at.append(len(self._levels) - 1)
        self._levels[-1] = (part, boundary)
        self._boundaries.append(boundary)
        self._tuple = tuple(self._boundaries)

    def _close(self, level: int, end: int) -> None:
        """End all parts from that level inwards at ``end``."""
        while len(self._levels) > level:
            part, boundary = self._levels.pop()
            part.end = max(end, part.body, part.start)
            part.body = max(part.body, part.start)
            if boundary is not None:
                self._boundaries.pop()
                self._open_at.pop()
                self._tuple = tuple(self._boundaries)

    def _next_boundary(self, at: int, end: int) -> tuple[int, int] | None:
        r"""The next line of an open boundary whose ``\n`` is at or behind ``at``: its offset, and which boundary."""
        data = self._data
        marks = self._tuple
        if not marks:
            return None
        if at == 0 and data.startswith(b"--") and data.startswith(marks, 2):
            return 0, self._longest(2)
        find, starts = data.find, data.startswith
        at = find(b"\n--", at, end)
        while at >= 0:
            if starts(marks, at + 3):
                return at + 1, self._longest(at + 3)
            at = find(b"\n--", at + 3, end)
        return None

    def _longest(self, at: int) -> int:
        """Which open boundary is at ``at``; the longest, and of equals the innermost."""
        best, size = -1, -1
        for index, boundary in enumerate(self._boundaries):
            if len(boundary) >= size and self._data.startswith(boundary, at):
                best, size = index, len(boundary)
        return best

    def _header_end(self, start: int) -> int:
        """Behind the blank line of the header at ``start``. Remembers what it found: all calls together are linear."""
        data = self._data
        if data.startswith(b"\r\n", start):
            return start + 2
        if data.startswith(b"\n", start):
            return start + 1
        size = len(data)
        if self._crlf < start:
            found = data.find(b"\n\r\n", start)
            self._crlf = found if found >= 0 else size
        if self._bare < start:
            # a bare one is looked for no further than the other kind, and so may have to be looked for again
            found = data.find(b"\n\n", start, self._crlf)
            self._bare = found if found >= 0 else self._crlf
        if self._bare < self._crlf:
            return self._bare + 2
        return min(self._crlf + 3, size)


def scan(data: bytes) -> Part:
    """The tree of a message's parts. Linear in the size of ``data``; never raises."""
    root = _Scan(data).run()
    _count_lines(data, root)
    return root


def _count_lines(data: bytes, root: Part) -> None:
    """Count the lines of text leaves and of enclosed messages, the only places where IMAP shows them."""
    stack = [root]
    while stack:
        part = stack.pop()
        if part.children:
            stack.extend(part.children)
        if part.message or part.media.type.lower() == b"text":
            part.lines = data.count(b"\n", part.body, part.end)


def spans(root: Part) -> list[PartSpan]:
    """The part table, the message itself first, in the order of the message (RFC 9051 section 6.4.5.1)."""
    table = [PartSpan((), root.start, root.body, root.end)]
    stack: list[tuple[Part, tuple[int, ...], bool]] = [(root, (), True)]
    while stack:
        part, path, outermost = stack.pop()
        if outermost:
            if part.multipart:
                _push_children(stack, part, path)
            else:
                stack.append((part, (1,), False))
            continue
        inner = part.children[0].body if part.message else -1
        table.append(PartSpan(path, part.start, part.body, part.end, inner))
        if part.message:
            # the enclosed message shares its container's number; its own parts are numbered below it
            child = part.children[0]
            if child.multipart:
                _push_children(stack, child, path)
            else:
                stack.append((child, (*path, 1), False))
        elif part.multipart:
            _push_children(stack, part, path)
    return table


def _push_children(stack: list[tuple[Part, tuple[int, ...], bool]], part: Part, path: tuple[int, ...]) -> None:
    stack.extend((part.children[number - 1], (*path, number), False) for number in range(len(part.children), 0, -1))
