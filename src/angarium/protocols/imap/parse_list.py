"""LIST with its options (RFC 5258, RFC 6154, RFC 5819), LSUB, and the items of STATUS."""

from __future__ import annotations

from angarium.protocols.imap.cursor import Cursor
from angarium.protocols.imap.errors import ImapSyntaxError
from angarium.protocols.imap.types import Command, List

STATUS_ITEMS = frozenset(
    {"MESSAGES", "RECENT", "UIDNEXT", "UIDVALIDITY", "UNSEEN", "DELETED", "SIZE", "HIGHESTMODSEQ", "DELETED-STORAGE"}
)
_SELECTION = frozenset({"SUBSCRIBED", "REMOTE", "RECURSIVEMATCH", "SPECIAL-USE"})
_BASE = frozenset({"SUBSCRIBED", "SPECIAL-USE"})
_RETURNS = frozenset({"SUBSCRIBED", "CHILDREN", "SPECIAL-USE", "STATUS"})
_MAX_PATTERNS = 100


def parse_list(cursor: Cursor, tag: bytes, verb: str, utf8: bool) -> Command:
    """The arguments of LIST, in the old and in the extended form."""
    cursor.space()
    selection: frozenset[str] = frozenset()
    extended = cursor.peek() == 0x28
    if extended:
        selection = frozenset(_options(cursor, _SELECTION))
        if "RECURSIVEMATCH" in selection and not selection & _BASE:
            msg = "RECURSIVEMATCH needs another selection option"
            raise ImapSyntaxError(msg)
        cursor.space()
    reference = cursor.mailbox(utf8=utf8)
    cursor.space()
    patterns: list[str] = []
    if cursor.accept(b"("):
        extended = True
        while not cursor.accept(b")"):
            if patterns:
                cursor.space()
            patterns.append(cursor.pattern(utf8=utf8))
            if len(patterns) > _MAX_PATTERNS:
                msg = "Too many patterns"
                raise ImapSyntaxError(msg)
    else:
        patterns.append(cursor.pattern(utf8=utf8))
    returns: frozenset[str] = frozenset()
    status: tuple[str, ...] = ()
    if not cursor.at_end():
        extended = True
        cursor.space()
        if cursor.keyword() != "RETURN":
            msg = "RETURN expected"
            raise ImapSyntaxError(msg)
        cursor.space()
        returns, status = _returns(cursor)
    return List(tag, verb, reference, tuple(patterns), selection, returns, status, extended)


def parse_lsub(cursor: Cursor, tag: bytes, verb: str, utf8: bool) -> Command:
    """The arguments of LSUB (RFC 3501 section 6.3.9)."""
    cursor.space()
    reference = cursor.mailbox(utf8=utf8)
    cursor.space()
    return List(tag, verb, reference, (cursor.pattern(utf8=utf8),))


def status_items(cursor: Cursor) -> tuple[str, ...]:
    """STATUS items in parentheses, at least one."""
    cursor.expect(b"(")
    items: list[str] = []
    while True:
        item = cursor.keyword()
        if item not in STATUS_ITEMS:
            msg = "Unknown STATUS item"
            raise ImapSyntaxError(msg)
        items.append(item)
        if cursor.accept(b")"):
            return tuple(dict.fromkeys(items))
        cursor.space()


def _options(cursor: Cursor, known: frozenset[str]) -> list[str]:
    cursor.expect(b"(")
    options: list[str] = []
    while not cursor.accept(b")"):
        if options:
            cursor.space()
        option = cursor.keyword()
        if option not in known:
            msg = "Unknown LIST option"
            raise ImapSyntaxError(msg)
        options.append(option)
    return options


def _returns(cursor: Cursor) -> tuple[frozenset[str], tuple[str, ...]]:
    cursor.expect(b"(")
    options: set[str] = set()
    status: tuple[str, ...] = ()
    while not cursor.accept(b")"):
        if options:
            cursor.space()
        option = cursor.keyword()
        if option not in _RETURNS:
            msg = "Unknown LIST option"
            raise ImapSyntaxError(msg)
        options.add(option)
        if option == "STATUS":
            cursor.space()
            status = status_items(cursor)
    return frozenset(options - {"STATUS"}), status
