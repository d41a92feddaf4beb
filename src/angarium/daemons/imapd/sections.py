"""Sections of messages: ``BODY[1.2.MIME]<0.100>`` and its like, cut out of stored content by the part table.

RFC 9051 section 6.4.5.1. A part that does not exist is an empty string, as clients know it from Dovecot. Nothing is
parsed here but header fields, and those only for HEADER.FIELDS.NOT and for messages inside messages; the rest is
slices.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from angarium.mailstore.interface import AccountStore, PartSpan
from angarium.model.content import Content
from angarium.protocols.imap.types import Section, SectionKind

_FIELD = re.compile(rb"([^\r\n:]*):[^\n]*\n(?:[ \t][^\n]*\n)*|[^\n]*\n|[^\n]+\Z")

_NOTHING = b"{0}\r\n"


def needs_content(section: Section) -> bool:
    """Whether the stored header is not enough."""
    return bool(section.path) or section.kind in (SectionKind.ALL, SectionKind.TEXT, SectionKind.MIME)


def select_fields(header: bytes, names: Sequence[str], *, others: bool) -> bytes:
    """The fields of those names (or all ``others``) as they stand, then the blank line."""
    wanted = {name.lower().encode("ascii") for name in names}
    kept = []
    for match in _FIELD.finditer(header):
        name = match[1]
        if name is None:
            continue
        if (name.strip().lower() in wanted) is not others:
            kept.append(match[0])
    return b"".join(kept) + b"\r\n"


class SectionReader:
    """Reads sections of a batch of messages.

    Attributes:
        missing: UIDs that turned out to be gone.
    """

    def __init__(
        self,
        store: AccountStore,
        mailbox: int,
        uids: list[int],
        contents: dict[int, Content],
        headers: Sequence[object] | None,
    ) -> None:
        self._store = store
        self._mailbox = mailbox
        self._uids = uids
        self._contents = contents
        self._headers = headers
        self._parts: dict[int, Sequence[PartSpan]] = {}
        self.missing: set[int] = set()

    def only(self, index: int) -> SectionReader:
        """A reader of one message of the batch."""
        headers = None if self._headers is None else [self._headers[index]]
        return SectionReader(self._store, self._mailbox, [self._uids[index]], self._contents, headers)

    def content(self, uid: int) -> Content:
        """The whole message."""
        return self._contents[uid]

    async def values(self, section: Section) -> list[bytes]:
        """One literal a message, for the wire."""
        if section.path:
            return [await self._part(uid, section) for uid in self._uids]
        match section.kind:
            case SectionKind.ALL:
                return self._whole(section)
            case SectionKind.FIELDS:
                return await self._fields(section)
            case SectionKind.TEXT:
                return [
                    _slice(self._contents[uid], len(header), self._contents[uid].size, section)
                    for uid, header in zip(self._uids, self._header_bytes(), strict=True)
                ]
            case SectionKind.FIELDS_NOT:
                return [
                    _literal(select_fields(header, section.fields, others=True), section)
                    for header in self._header_bytes()
                ]
            case _:
                return [_literal(header, section) for header in self._header_bytes()]

    def _header_bytes(self) -> list[bytes]:
        assert self._headers is not None
        return [header for header in self._headers if isinstance(header, bytes)]

    def _whole(self, section: Section) -> list[bytes]:
        contents = self._contents
        if section.length is not None:
            return [_slice(contents[uid], 0, contents[uid].size, section) for uid in self._uids]
        values = []
        for uid in self._uids:
            data = contents[uid].read()
            values.append(b"{%d}\r\n%b" % (len(data), data))
        return values

    async def _fields(self, section: Section) -> list[bytes]:
        rows = await self._store.header_fields(self._mailbox, self._uids, section.fields)
        if len(rows) == len(self._uids) and section.length is None:
            return [b"{%d}\r\n%b\r\n" % (len(fields) + 2, fields) for _uid, fields in rows]
        known = dict(rows)
        self.missing.update(uid for uid in self._uids if uid not in known)
        return [_literal(known[uid] + b"\r\n", section) if uid in known else _NOTHING for uid in self._uids]

    async def _part(self, uid: int, section: Section) -> bytes:
        span = await self._span(uid, section)
        content = self._contents.get(uid)
        bounds = _bounds(span, section.kind) if span is not None else None
        if bounds is None or content is None:
            return _NOTHING
        if section.kind in (SectionKind.FIELDS, SectionKind.FIELDS_NOT):
            others = section.kind is SectionKind.FIELDS_NOT
            return _literal(select_fields(content.read(*bounds), section.fields, others=others), section)
        return _slice(content, *bounds, section)

    async def extent(self, uid: int, section: Section) -> tuple[int, int]:
        """From where to where a section lies in the content, for one that ``streams``; nothing for what is not there.

        What the command asks for of the section is taken into account.
        """
        content = self._contents[uid]
        if section.path:
            span = await self._span(uid, section)
            start, end = (_bounds(span, section.kind) if span is not None else None) or (0, 0)
        else:
            start = len(self._header_bytes()[self._uids.index(uid)]) if section.kind is SectionKind.TEXT else 0
            end = content.size
        first = min(start + section.start, end)
        return first, end if section.length is None else min(end, first + section.length)

    async def _span(self, uid: int, section: Section) -> PartSpan | None:
        """The part that a section is of."""
        spans = self._parts.get(uid)
        if spans is None:
            try:
                spans = self._parts[uid] = await self._store.parts(self._mailbox, uid)
            except KeyError:
                self.missing.add(uid)
                return None
        return _find(spans, section.path)


def streams(section: Section) -> bool:
    """Whether it can be as large as the message."""
    return section.kind in (SectionKind.ALL, SectionKind.TEXT)


def _bounds(span: PartSpan, kind: SectionKind) -> tuple[int, int] | None:
    """From where to where a kind of section of a part lies in the content; None when the part has none."""
    match kind:
        case SectionKind.ALL:
            return span.body, span.end
        case SectionKind.MIME:
            return span.start, span.body
    if span.inner < 0:
        return None
    return (span.inner, span.end) if kind is SectionKind.TEXT else (span.body, span.inner)


def _find(spans: Sequence[PartSpan], path: tuple[int, ...]) -> PartSpan | None:
    """The part of that number.

    As in Dovecot, the first part of an undivided part of a multipart is that part itself; a message that is one
    undivided part has nothing below its part 1.
    """
    paths = {span.path: span for span in spans}
    span = paths.get(path)
    if span is not None or len(path) < 2 or path[-1] != 1:
        return span
    divided = any(other[: len(path) - 1] == path[:-1] for other in paths if len(other) >= len(path))
    if divided:
        return None
    span, above = paths.get(path[:-1]), paths.get(path[:-2])
    if span is None or above is None:
        return None
    message = above.body if above.path else above.start
    return None if span.start == message else span


def _literal(data: bytes, section: Section) -> bytes:
    if section.length is not None:
        data = data[section.start : section.start + section.length]
    return b"{%d}\r\n%b" % (len(data), data)


def _slice(content: Content, start: int, end: int, section: Section) -> bytes:
    first = min(start + section.start, end)
    stop = end if section.length is None else min(end, first + section.length)
    data = content.read(first, stop)
    return b"{%d}\r\n%b" % (len(data), data)
