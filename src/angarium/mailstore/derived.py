"""What is computed once, at delivery, so that reading is joining strings: everything that the tables keep of a message.

The content of a message to many recipients is analysed once (``Analysis``); each recipient's own header lines
(Return-Path, Delivered-To …) are then put before it, which shifts offsets and changes nothing else. A prefix that
holds fields which IMAP shows is analysed together with the content.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from angarium.mailstore.schema import COMMON_FIELDS, SOUGHT_FIELDS
from angarium.protocols.mime.date import parse_date
from angarium.protocols.mime.envelope import ENVELOPE_FIELDS, envelope
from angarium.protocols.mime.header import fields, unfold
from angarium.protocols.mime.scanner import scan, spans
from angarium.protocols.mime.structure import structures
from angarium.protocols.mime.text import MAX_TEXT, body_text, fold_to, header_text, part_headers
from angarium.protocols.mime.types import PartSpan
from angarium.protocols.mime.words import decode_words

_COMMON = {name.encode(): index for index, name in enumerate(COMMON_FIELDS)}
_SOUGHT = tuple(name.encode() for name in SOUGHT_FIELDS)

Field = tuple[bytes, bytes, bytes]  # lower-case name, raw value, as it stands


class Derived(Struct, frozen=True):
    """The columns of one message.

    Attributes:
        header: the header block with its blank line.
        parts: the part table, packed by ``pack_parts``.
        ordering: the names of the common fields in the order in which they stand; empty when one comes in two places.
        common: the value for each of COMMON_FIELDS, None for those that are missing.
        sought: the folded text of each of SOUGHT_FIELDS, None for those that are missing.
    """

    size: int
    header: bytes
    envelope: bytes
    body: bytes
    bodystructure: bytes
    parts: str
    sent: float | None
    ordering: str
    common: tuple[bytes | None, ...]
    sought: tuple[bytes | None, ...]
    body_text: bytes
    header_text: bytes


class Analysis:
    """What is known of a content, whatever stands before it."""

    __slots__ = (
        "_body",
        "_bodystructure",
        "_envelope",
        "_fields",
        "_header",
        "_header_text",
        "_sent",
        "_size",
        "_sought",
        "_spans",
        "_text",
    )

    def __init__(self, data: bytes) -> None:
        tree = scan(data)
        self._size = len(data)
        self._header = data[: tree.body]
        self._fields = fields_of(self._header)
        self._body, self._bodystructure = structures(data, tree)
        self._envelope = envelope([(name, value) for name, value, _whole in self._fields])
        self._spans = spans(tree)
        self._text = body_text(data, tree)
        self._sought = _sought(self._fields)
        self._header_text = header_text(self._header) + part_headers(data, tree)
        dates = [value for name, value, _whole in self._fields if name == b"date"]
        self._sent = parse_date(unfold(dates[-1])) if dates else None

    @property
    def header_end(self) -> int:
        """Where the content's own header block ends."""
        return len(self._header)

    def with_prefix(self, prefix: bytes, before: Sequence[Field] | None = None) -> Derived:
        """The columns of ``prefix`` + content; the prefix is none that ``shows``; ``before`` its fields, if known."""
        if before is None:
            before = fields_of(prefix)
        shift = len(prefix)
        ordering, common = _common([*before, *self._fields])
        text = header_text(prefix) + self._header_text
        return Derived(
            shift + self._size,
            prefix + self._header,
            self._envelope,
            self._body,
            self._bodystructure,
            pack_parts(self._spans, shift),
            self._sent,
            ordering,
            common,
            self._sought,
            self._text,
            text,
        )


def shows(before: Sequence[Field]) -> bool:
    """Whether a prefix has fields which IMAP shows, so that it has to be analysed together with the content."""
    return any(name in ENVELOPE_FIELDS or name.startswith(b"content-") for name, _value, _whole in before)


def fields_of(block: bytes) -> list[Field]:
    """``(lower-case name, raw value, whole field)`` of each field of a header block."""
    return [(name, value, block[start:end]) for name, value, start, end in fields(block)]


def _common(found: Sequence[Field]) -> tuple[str, tuple[bytes | None, ...]]:
    """The common fields in the order in which they stand, and each one's bytes."""
    values: list[bytes | None] = [None] * len(COMMON_FIELDS)
    repeated: dict[int, list[bytes]] = {}
    names: list[bytes] = []
    regular = True
    for name, _value, whole in found:
        index = _COMMON.get(name)
        if index is None:
            continue
        known = values[index]
        if known is None:
            values[index] = whole.replace(b"\0", b"\x80")  # as IMAP shows a NUL
            names.append(name)
        elif names[-1] == name:
            repeated.setdefault(index, [known]).append(whole.replace(b"\0", b"\x80"))
        else:
            regular = False
    for index, pieces in repeated.items():
        values[index] = b"".join(pieces)
    return (b" ".join(names).decode("ascii") if regular else "", tuple(values))


def _sought(found: Sequence[Field]) -> tuple[bytes | None, ...]:
    texts: dict[bytes, list[bytes]] = {}
    for name, value, _whole in found:
        if name in _SOUGHT:
            texts.setdefault(name, []).append(fold_to(decode_words(unfold(value)), MAX_TEXT))
    return tuple([b"\n".join(texts[name]) if name in texts else None for name in _SOUGHT])


def pack_parts(table: Sequence[PartSpan], shift: int = 0) -> str:
    """The part table as text, all offsets behind the prefix moved by ``shift``."""
    return "\n".join([_packed(span, shift) for span in table])


def _packed(span: PartSpan, shift: int) -> str:
    path = ".".join(map(str, span.path))
    start = span.start + shift if span.start else 0
    inner = span.inner + shift if span.inner >= 0 else -1
    return f"{path} {start} {span.body + shift} {span.end + shift} {inner}"


def unpack_parts(text: str) -> list[PartSpan]:
    """The part table of ``pack_parts``."""
    table: list[PartSpan] = []
    for line in text.split("\n"):
        path, start, body, end, inner = line.split(" ")
        numbers = tuple(map(int, path.split("."))) if path else ()
        table.append(PartSpan(numbers, int(start), int(body), int(end), int(inner)))
    return table
