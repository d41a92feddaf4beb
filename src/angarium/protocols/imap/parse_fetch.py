"""FETCH: items, sections, partials (RFC 9051 section 6.4.5) and the modifier of RFC 7162 section 3.1.4.1."""

from __future__ import annotations

from angarium.protocols.imap.cursor import MAX_INT63, MAX_UINT32, Cursor
from angarium.protocols.imap.errors import ImapSyntaxError
from angarium.protocols.imap.render import astring
from angarium.protocols.imap.types import Command, Fetch, FetchItem, Section, SectionKind

_FAST = (FetchItem.FLAGS, FetchItem.INTERNALDATE, FetchItem.SIZE)
_MACROS = {
    "FAST": _FAST,
    "ALL": (*_FAST, FetchItem.ENVELOPE),
    "FULL": (*_FAST, FetchItem.ENVELOPE, FetchItem.BODY),
}
_PLAIN = {item.value: item for item in FetchItem if item is not FetchItem.BODY}
_OLD = {
    "RFC822": Section(b"RFC822", SectionKind.ALL),
    "RFC822.HEADER": Section(b"RFC822.HEADER", SectionKind.HEADER, peek=True),
    "RFC822.TEXT": Section(b"RFC822.TEXT", SectionKind.TEXT),
}
_KINDS = {kind.value: kind for kind in SectionKind if kind is not SectionKind.ALL}
_MAX_DEPTH = 100
"""Numbers in a part specifier; the mailstore keeps no deeper part."""


def parse_fetch(cursor: Cursor, tag: bytes, verb: str, _utf8: bool) -> Command:
    """The arguments of FETCH."""
    cursor.space()
    numbers = cursor.sequence_set()
    cursor.space()
    items: list[FetchItem | Section] = []
    if cursor.accept(b"("):
        while True:
            items.append(_item(cursor))
            if cursor.accept(b")"):
                break
            cursor.space()
    else:
        items.extend(_macro_or_item(cursor))
    uid = verb.startswith("UID")
    changed_since, vanished = (-1, False) if cursor.at_end() else _modifiers(cursor)
    if vanished and (not uid or changed_since < 0):
        msg = "VANISHED needs UID FETCH and CHANGEDSINCE"
        raise ImapSyntaxError(msg)
    if uid:
        items.insert(0, FetchItem.UID)
    if changed_since >= 0:
        items.append(FetchItem.MODSEQ)
    return Fetch(tag, verb, uid, numbers, tuple(dict.fromkeys(items)), changed_since, vanished)


def _modifiers(cursor: Cursor) -> tuple[int, bool]:
    cursor.space()
    cursor.expect(b"(")
    changed_since, vanished, first = -1, False, True
    while not cursor.accept(b")"):
        if not first:
            cursor.space()
        first = False
        modifier = cursor.keyword()
        if modifier == "CHANGEDSINCE":
            cursor.space()
            changed_since = cursor.number(MAX_INT63)
        elif modifier == "VANISHED":
            vanished = True
        else:
            msg = "Unknown modifier"
            raise ImapSyntaxError(msg)
    return changed_since, vanished


def _macro_or_item(cursor: Cursor) -> tuple[FetchItem | Section, ...]:
    name = cursor.keyword()
    return _MACROS.get(name) or (_named(cursor, name),)


def _item(cursor: Cursor) -> FetchItem | Section:
    return _named(cursor, cursor.keyword())


def _named(cursor: Cursor, name: str) -> FetchItem | Section:
    plain = _PLAIN.get(name) or _OLD.get(name)
    if plain is not None:
        return plain
    if name == "BODY" and cursor.peek() != 0x5B:
        return FetchItem.BODY
    if name in ("BODY", "BODY.PEEK"):
        return _section(cursor, peek=name == "BODY.PEEK")
    msg = "Unknown FETCH item"
    raise ImapSyntaxError(msg)


def _section(cursor: Cursor, *, peek: bool) -> Section:
    cursor.expect(b"[")
    path: list[int] = []
    kind = SectionKind.ALL
    fields: tuple[str, ...] = ()
    label = b""
    while 0x30 <= cursor.peek() <= 0x39:
        number = cursor.number()
        path.append(number)
        label += b"%d" % number
        if number == 0 or len(path) > _MAX_DEPTH:
            msg = "Invalid part number"
            raise ImapSyntaxError(msg)
        if not cursor.accept(b"."):
            break
        label += b"."
    if label.endswith(b".") or (not path and cursor.peek() != 0x5D):
        kind, fields, text = _section_text(cursor, nested=bool(path))
        label += text
    cursor.expect(b"]")
    start, length = 0, None
    suffix = b""
    if cursor.accept(b"<"):
        start = cursor.number()
        cursor.expect(b".")
        length = cursor.number(MAX_UINT32)
        cursor.expect(b">")
        suffix = b"<%d>" % start
    return Section(b"BODY[" + label + b"]" + suffix, kind, tuple(path), fields, start, length, peek)


def _section_text(cursor: Cursor, *, nested: bool) -> tuple[SectionKind, tuple[str, ...], bytes]:
    name = cursor.keyword()
    kind = _KINDS.get(name)
    if kind is None or (kind is SectionKind.MIME and not nested):
        msg = "Unknown section"
        raise ImapSyntaxError(msg)
    if kind not in (SectionKind.FIELDS, SectionKind.FIELDS_NOT):
        return kind, (), name.encode("ascii")
    cursor.space()
    cursor.expect(b"(")
    fields: list[bytes] = []
    while True:
        fields.append(cursor.astring())
        if cursor.accept(b")"):
            break
        cursor.space()
    try:
        names = tuple(field.decode("ascii") for field in fields)
    except ValueError as error:
        msg = "Invalid header field name"
        raise ImapSyntaxError(msg) from error
    return kind, names, name.encode("ascii") + b" (" + b" ".join(astring(field.upper()) for field in fields) + b")"
