"""Header fields: finding the end of a header block, telling its fields apart, unfolding (RFC 5322 section 2.2).

Lenient as mail is: lines end in CRLF or LF, blanks before the colon are allowed, a line that is neither a field nor a
continuation is skipped. Bounded by ``MAX_HEADER`` and ``MAX_FIELDS``; nothing here raises.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from angarium.protocols.mime.types import MAX_FIELDS, MAX_HEADER

# The blanks before a value; of a line that is nothing but blanks, one.
_LEAD = rb"(?:[ \t]+(?=[^ \t\r\n])|[ \t]?)"
# One pass of C code over the block. Each alternative consumes what it matched, so the time is linear.
_FIELD = re.compile(rb"^([^\s:\x00-\x20]+)[ \t]*:" + _LEAD + rb"(.*(?:\n[ \t].*)*)\n?", re.MULTILINE)
_CONTENT_FIELD = re.compile(
    rb"^content-([a-z0-9-]+)[ \t]*:" + _LEAD + rb"(.*(?:\n[ \t].*)*)", re.MULTILINE | re.IGNORECASE
)
_MIME_VERSION = re.compile(rb"^mime-version[ \t]*:", re.MULTILINE | re.IGNORECASE)
_FEW_NAMES = 16


def header_end(data: bytes, start: int = 0) -> int:
    """The offset behind the blank line that ends the header block at ``start``; ``len(data)`` without one."""
    if data.startswith(b"\r\n", start):
        return start + 2
    if data.startswith(b"\n", start):
        return start + 1
    crlf = data.find(b"\n\r\n", start)
    bare = data.find(b"\n\n", start) if crlf < 0 else data.find(b"\n\n", start, crlf)
    if bare >= 0:
        return bare + 2
    return crlf + 3 if crlf >= 0 else len(data)


def fields(block: bytes) -> list[tuple[bytes, bytes, int, int]]:
    """``(lower-case name, raw value, start, end)`` of each field, in order; the value is without its last line end."""
    found: list[tuple[bytes, bytes, int, int]] = []
    for match in _FIELD.finditer(block, 0, MAX_HEADER):
        value = match[2]
        found.append((match[1].lower(), value[:-1] if value.endswith(b"\r") else value, match.start(), match.end()))
        if len(found) >= MAX_FIELDS:
            break
    return found


def content_fields(data: bytes, start: int, end: int) -> list[tuple[bytes, bytes]]:
    """The Content-* fields of the block in ``data[start:end]``: lower-case name without the prefix, raw value."""
    found = _CONTENT_FIELD.findall(data[start : min(end, start + MAX_HEADER)])
    return [(name.lower(), value[:-1] if value.endswith(b"\r") else value) for name, value in found[:MAX_FIELDS]]


def has_mime_version(data: bytes, start: int, end: int) -> bool:
    """Whether the block in ``data[start:end]`` has a MIME-Version field."""
    return _MIME_VERSION.search(data, start, min(end, start + MAX_HEADER)) is not None


def unfold(value: bytes) -> bytes:
    """The value without its line ends; the blanks of a continuation stay (RFC 5322 section 2.2.3)."""
    return value.replace(b"\r\n", b"").replace(b"\n", b"") if b"\n" in value else value


def select(block: bytes, names: Sequence[bytes]) -> bytes:
    """The fields of those lower-case names as they stand in the block, in order."""
    if len(names) > _FEW_NAMES:
        wanted = frozenset(names)
        return b"".join(block[start:end] for name, _value, start, end in fields(block) if name in wanted)
    lower = b"\n" + block[:MAX_HEADER].lower()
    found: list[tuple[int, int]] = []
    for name in names:
        mark = b"\n" + name
        at = lower.find(mark)
        while at >= 0 and len(found) < MAX_FIELDS:
            behind = at + len(mark)
            while lower[behind : behind + 1] in (b" ", b"\t"):
                behind += 1
            if lower[behind : behind + 1] == b":":
                found.append((at, _field_end(lower, behind)))
            at = lower.find(mark, behind)
    return b"".join([block[start:end] for start, end in sorted(found)])


def _field_end(lower: bytes, at: int) -> int:
    """Behind the last line of the field at ``at``; as an offset in the block without the leading line end."""
    while True:
        at = lower.find(b"\n", at) + 1
        if not at:
            return len(lower) - 1
        if lower[at : at + 1] not in (b" ", b"\t"):
            return at - 1


def values(block: bytes, name: bytes) -> Iterator[bytes]:
    """The raw values of each field of that lower-case name."""
    return (value for found, value, _start, _end in fields(block) if found == name)
