"""SEARCH programs (RFC 9051 section 6.4.4), with ESEARCH (RFC 4731), SEARCHRES (RFC 5182) and MODSEQ (RFC 7162).

Nesting is bounded; the number of keys is bounded by the length of the line. A charset that we do not know is no
fault of the grammar: the command says so, and the daemon answers ``NO [BADCHARSET …]``.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable
from typing import ClassVar

from angarium.protocols.imap.cursor import MAX_INT63, Cursor
from angarium.protocols.imap.errors import ImapSyntaxError
from angarium.protocols.imap.types import (
    Command,
    Search,
    SearchAll,
    SearchAnd,
    SearchDate,
    SearchFlag,
    SearchHeader,
    SearchKey,
    SearchModseq,
    SearchNot,
    SearchOperator,
    SearchOr,
    SearchSet,
    SearchSize,
    SearchText,
    SearchWhen,
)

_MAX_NESTING = 50
_RETURNS = frozenset({"MIN", "MAX", "ALL", "COUNT", "SAVE"})
_ENTRY_TYPES = frozenset({"PRIV", "SHARED", "ALL"})

_FIXED: dict[str, SearchKey] = {
    "ALL": SearchAll(),
    "ANSWERED": SearchFlag("\\Answered", True),
    "DELETED": SearchFlag("\\Deleted", True),
    "DRAFT": SearchFlag("\\Draft", True),
    "FLAGGED": SearchFlag("\\Flagged", True),
    "SEEN": SearchFlag("\\Seen", True),
    "UNANSWERED": SearchFlag("\\Answered", False),
    "UNDELETED": SearchFlag("\\Deleted", False),
    "UNDRAFT": SearchFlag("\\Draft", False),
    "UNFLAGGED": SearchFlag("\\Flagged", False),
    "UNSEEN": SearchFlag("\\Seen", False),
    # RFC 3501 section 6.4.4
    "RECENT": SearchFlag("\\Recent", True),
    "OLD": SearchFlag("\\Recent", False),
    "NEW": SearchAnd((SearchFlag("\\Recent", True), SearchFlag("\\Seen", False))),
}
_HEADERS = {"FROM": "From", "TO": "To", "CC": "Cc", "BCC": "Bcc", "SUBJECT": "Subject"}
_DATES = {
    "BEFORE": (SearchDate.INTERNAL, SearchOperator.BEFORE),
    "ON": (SearchDate.INTERNAL, SearchOperator.ON),
    "SINCE": (SearchDate.INTERNAL, SearchOperator.SINCE),
    "SENTBEFORE": (SearchDate.SENT, SearchOperator.BEFORE),
    "SENTON": (SearchDate.SENT, SearchOperator.ON),
    "SENTSINCE": (SearchDate.SENT, SearchOperator.SINCE),
}


def parse_search(cursor: Cursor, tag: bytes, verb: str, utf8: bool) -> Command:
    """The arguments of SEARCH."""
    cursor.space()
    returns: frozenset[str] | None = None
    program = _Program(cursor)
    if not _at_key(cursor):
        return Search(tag, verb, verb.startswith("UID"), program.keys())
    name = cursor.keyword()
    if name == "RETURN":
        cursor.space()
        returns = _returns(cursor)
        cursor.space()
        name = cursor.keyword() if _at_key(cursor) else ""
    if name == "CHARSET":
        if utf8:
            msg = "CHARSET is not allowed after ENABLE UTF8=ACCEPT"  # RFC 6855 section 3
            raise ImapSyntaxError(msg)
        cursor.space()
        program.charset(cursor.astring())
        cursor.space()
        name = cursor.keyword() if _at_key(cursor) else ""
    key = program.keys(name)
    return Search(tag, verb, verb.startswith("UID"), key, returns, program.unknown_charset)


def _at_key(cursor: Cursor) -> bool:
    return cursor.peek() != 0x28 and not cursor.at_sequence_set()


def _returns(cursor: Cursor) -> frozenset[str]:
    cursor.expect(b"(")
    options: set[str] = set()
    while not cursor.accept(b")"):
        if options:
            cursor.space()
        option = cursor.keyword()
        if option not in _RETURNS:
            msg = "Unknown RETURN option"
            raise ImapSyntaxError(msg)
        options.add(option)
    return frozenset(options or {"ALL"})


class _Program:
    """Reads keys; knows the charset of their strings."""

    def __init__(self, cursor: Cursor) -> None:
        self._cursor = cursor
        self._encoding = "utf-8"
        self.unknown_charset = False

    def charset(self, name: bytes) -> None:
        """Strings from here on are in this charset."""
        try:
            self._encoding = codecs.lookup(name.decode("ascii")).name
            "".encode(self._encoding)
        except (LookupError, ValueError):
            self.unknown_charset = True
            self._encoding = "latin-1"

    def keys(self, name: str = "") -> SearchKey:
        """Keys up to the end of the command; the first one's name may have been read already."""
        keys = [self._named(name, 0) if name else self._key(0)]
        while not self._cursor.at_end():
            self._cursor.space()
            keys.append(self._key(0))
        return keys[0] if len(keys) == 1 else SearchAnd(tuple(keys))

    def _key(self, depth: int) -> SearchKey:
        cursor = self._cursor
        if depth > _MAX_NESTING:
            msg = "Search program nested too deeply"
            raise ImapSyntaxError(msg)
        if cursor.accept(b"("):
            keys = [self._key(depth + 1)]
            while not cursor.accept(b")"):
                cursor.space()
                keys.append(self._key(depth + 1))
            return keys[0] if len(keys) == 1 else SearchAnd(tuple(keys))
        if cursor.at_sequence_set():
            return SearchSet(cursor.sequence_set(), uid=False)
        return self._named(cursor.keyword(), depth)

    def _named(self, name: str, depth: int) -> SearchKey:
        fixed = _FIXED.get(name)
        if fixed is not None:
            return fixed
        reader = _READERS.get(name)
        if reader is None:
            msg = "Unknown search key"
            raise ImapSyntaxError(msg)
        self._cursor.space()
        return reader(self, name, depth)

    def _text(self) -> str:
        data = self._cursor.astring()
        try:
            return data.decode(self._encoding)
        except ValueError as error:
            msg = "String is not valid in its charset"
            raise ImapSyntaxError(msg) from error

    def _not(self, _name: str, depth: int) -> SearchKey:
        return SearchNot(self._key(depth + 1))

    def _or(self, _name: str, depth: int) -> SearchKey:
        left = self._key(depth + 1)
        self._cursor.space()
        return SearchOr(left, self._key(depth + 1))

    def _flag(self, name: str, _depth: int) -> SearchKey:
        return SearchFlag(self._cursor.flag(), name == "KEYWORD")

    def _uid(self, _name: str, _depth: int) -> SearchKey:
        return SearchSet(self._cursor.sequence_set(), uid=True)

    def _address(self, name: str, _depth: int) -> SearchKey:
        return SearchHeader(_HEADERS[name], self._text())

    def _header(self, _name: str, _depth: int) -> SearchKey:
        field = self._text()
        self._cursor.space()
        return SearchHeader(field, self._text())

    def _body(self, name: str, _depth: int) -> SearchKey:
        return SearchText(self._text(), headers=name == "TEXT")

    def _date(self, name: str, _depth: int) -> SearchKey:
        which, operator = _DATES[name]
        return SearchWhen(which, operator, self._cursor.date())

    def _size(self, name: str, _depth: int) -> SearchKey:
        return SearchSize(SearchOperator[name], self._cursor.number(MAX_INT63))

    def _modseq(self, _name: str, _depth: int) -> SearchKey:
        cursor = self._cursor
        if cursor.peek() == 0x22:
            cursor.string()
            cursor.space()
            if cursor.keyword() not in _ENTRY_TYPES:
                msg = "Unknown entry type"
                raise ImapSyntaxError(msg)
            cursor.space()
        return SearchModseq(cursor.number(MAX_INT63))

    READERS: ClassVar[dict[str, Callable[[_Program, str, int], SearchKey]]] = {
        "NOT": _not,
        "OR": _or,
        "KEYWORD": _flag,
        "UNKEYWORD": _flag,
        "UID": _uid,
        **dict.fromkeys(_HEADERS, _address),
        "HEADER": _header,
        "BODY": _body,
        "TEXT": _body,
        **dict.fromkeys(_DATES, _date),
        "LARGER": _size,
        "SMALLER": _size,
        "MODSEQ": _modseq,
    }


_READERS = _Program.READERS
