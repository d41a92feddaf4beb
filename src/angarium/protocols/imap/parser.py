"""From a framed command to its value (RFC 9051 section 9, with the grammar of RFC 4466 for the extensions).

``parse_head`` reads the tag and the verb, ``parse_arguments`` the rest; between the two the session looks into the
table of states. FETCH, SEARCH and LIST have modules of their own.

Raises ``ImapSyntaxError`` for whatever the grammar does not allow, and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from angarium.protocols.imap.cursor import MAX_INT63, Cursor
from angarium.protocols.imap.errors import ImapSyntaxError
from angarium.protocols.imap.parse_fetch import parse_fetch
from angarium.protocols.imap.parse_list import parse_list, parse_lsub, status_items
from angarium.protocols.imap.parse_search import parse_search
from angarium.protocols.imap.sequence import STAR
from angarium.protocols.imap.types import (
    Append,
    AppendMessage,
    Authenticate,
    Command,
    Copy,
    Create,
    Enable,
    Id,
    Login,
    MailboxCommand,
    QuotaCommand,
    Rename,
    Resync,
    Select,
    Simple,
    Status,
    Store,
    StoreOperation,
    UidExpunge,
)

_UID_FORMS = frozenset({"EXPUNGE", "SEARCH", "FETCH", "STORE", "COPY", "MOVE"})
_MAX_ID_FIELDS = 30
"""RFC 2971 section 3.3."""


def parse_tag(cursor: Cursor) -> bytes:
    """The tag. ``+`` may not occur in it."""
    return cursor.tag()


def parse_verb(cursor: Cursor) -> str:
    """The space and the verb in upper case; ``UID FETCH`` and its like are one verb."""
    cursor.only_space()
    verb = cursor.keyword()
    if verb == "UID":
        cursor.only_space()
        second = cursor.keyword()
        if second not in _UID_FORMS:
            msg = "Unknown UID command"
            raise ImapSyntaxError(msg)
        return "UID " + second
    return verb


def parse_arguments(cursor: Cursor, tag: bytes, verb: str, *, utf8: bool) -> Command:
    """The arguments of a command of the table of states, and nothing behind them."""
    command = _PARSERS[verb](cursor, tag, verb, utf8)
    cursor.end()
    return command


def parse_append(segments: Sequence[bytes], size: int, *, utf8: bool) -> tuple[Append, AppendMessage]:
    """The beginning of an APPEND, up to the announcement of its first message."""
    cursor = Cursor(segments)
    tag, verb = parse_tag(cursor), parse_verb(cursor)
    cursor.space()
    command = Append(tag, verb, cursor.mailbox(utf8=utf8))
    message = parse_append_message(cursor, size)
    return command, message


def parse_append_message(cursor: Cursor, size: int) -> AppendMessage:
    """``SP [flags SP] [date-time SP]`` before a literal; with UTF8=ACCEPT also ``UTF8 (`` (RFC 6855 section 4)."""
    cursor.space()
    flags: frozenset[str] = frozenset()
    moment, zone = None, 0
    if cursor.peek() == 0x28:
        flags = cursor.flag_list()
        cursor.space()
    if cursor.peek() == 0x22:
        moment, zone = cursor.date_time()
        cursor.space()
    utf8 = cursor.accept(b"UTF8 (")
    cursor.end()
    return AppendMessage(flags, moment, zone, size, utf8)


def _simple(_cursor: Cursor, tag: bytes, verb: str, _utf8: bool) -> Command:
    return Simple(tag, verb)


def _login(cursor: Cursor, tag: bytes, verb: str, _utf8: bool) -> Command:
    cursor.space()
    user = cursor.astring()
    cursor.space()
    return Login(tag, verb, user, cursor.astring())


def _authenticate(cursor: Cursor, tag: bytes, verb: str, _utf8: bool) -> Command:
    cursor.space()
    mechanism = cursor.atom().decode("ascii").upper()
    initial = None
    if not cursor.at_end():
        cursor.space()
        initial = cursor.rest()
    return Authenticate(tag, verb, mechanism, initial)


def _enable(cursor: Cursor, tag: bytes, verb: str, _utf8: bool) -> Command:
    names: list[str] = []
    while not names or not cursor.at_end():
        cursor.space()
        names.append(cursor.atom().decode("ascii").upper())
    return Enable(tag, verb, tuple(names))


def _id(cursor: Cursor, tag: bytes, verb: str, _utf8: bool) -> Command:
    cursor.space()
    if not cursor.accept(b"("):
        if cursor.nstring() is not None:
            msg = "Parameter list expected"
            raise ImapSyntaxError(msg)
        return Id(tag, verb, ())
    fields: list[tuple[bytes, bytes | None]] = []
    while not cursor.accept(b")"):
        if fields:
            cursor.space()
        name = cursor.string()
        cursor.space()
        fields.append((name, cursor.nstring()))
        if len(fields) > _MAX_ID_FIELDS:
            msg = "Too many ID fields"
            raise ImapSyntaxError(msg)
    return Id(tag, verb, tuple(fields))


def _select(cursor: Cursor, tag: bytes, verb: str, utf8: bool) -> Command:
    cursor.space()
    mailbox = cursor.mailbox(utf8=utf8)
    condstore, resync = False, None
    if not cursor.at_end():
        cursor.space()
        cursor.expect(b"(")
        first = True
        while not cursor.accept(b")"):
            if not first:
                cursor.space()
            first = False
            parameter = cursor.keyword()
            if parameter == "QRESYNC":
                resync = _resync(cursor)
            elif parameter != "CONDSTORE":
                msg = "Unknown parameter"
                raise ImapSyntaxError(msg)
            condstore = True
    return Select(tag, verb, mailbox, verb == "EXAMINE", condstore, resync)


def _resync(cursor: Cursor) -> Resync:
    """``(uidvalidity modseq [known-uids] [(numbers uids)])`` (RFC 7162 section 7)."""
    cursor.space()
    cursor.expect(b"(")
    uidvalidity = cursor.number()
    cursor.space()
    modseq = cursor.number(MAX_INT63)
    known = None
    if cursor.accept(b" "):
        if cursor.peek() != 0x28:
            known = cursor.sequence_set()
            if known.saved or any(STAR in pair for pair in known.ranges):
                msg = "Known UIDs are numbers"
                raise ImapSyntaxError(msg)
        if known is None or cursor.accept(b" "):
            cursor.expect(b"(")
            cursor.sequence_set()
            cursor.space()
            cursor.sequence_set()
            cursor.expect(b")")
    cursor.expect(b")")
    return Resync(uidvalidity, modseq, known)


def _create(cursor: Cursor, tag: bytes, verb: str, utf8: bool) -> Command:
    cursor.space()
    mailbox = cursor.mailbox(utf8=utf8)
    uses: list[str] = []
    if not cursor.at_end():
        cursor.space()
        cursor.expect(b"(")
        if cursor.keyword() != "USE":
            msg = "Unknown parameter"
            raise ImapSyntaxError(msg)
        cursor.space()
        cursor.expect(b"(")
        while not cursor.accept(b")"):
            if uses:
                cursor.space()
            cursor.expect(b"\\")
            uses.append("\\" + cursor.atom().decode("ascii"))
        cursor.expect(b")")
    return Create(tag, verb, mailbox, tuple(uses))


def _mailbox(cursor: Cursor, tag: bytes, verb: str, utf8: bool) -> Command:
    cursor.space()
    return MailboxCommand(tag, verb, cursor.mailbox(utf8=utf8))


def _rename(cursor: Cursor, tag: bytes, verb: str, utf8: bool) -> Command:
    cursor.space()
    old = cursor.mailbox(utf8=utf8)
    cursor.space()
    return Rename(tag, verb, old, cursor.mailbox(utf8=utf8))


def _status(cursor: Cursor, tag: bytes, verb: str, utf8: bool) -> Command:
    cursor.space()
    mailbox = cursor.mailbox(utf8=utf8)
    cursor.space()
    return Status(tag, verb, mailbox, status_items(cursor))


def _append(_cursor: Cursor, _tag: bytes, _verb: str, _utf8: bool) -> Command:
    msg = "Message literal expected"
    raise ImapSyntaxError(msg)


def _store(cursor: Cursor, tag: bytes, verb: str, _utf8: bool) -> Command:
    cursor.space()
    numbers = cursor.sequence_set()
    cursor.space()
    unchanged_since = -1
    if cursor.accept(b"("):
        if cursor.keyword() != "UNCHANGEDSINCE":
            msg = "Unknown modifier"
            raise ImapSyntaxError(msg)
        cursor.space()
        unchanged_since = cursor.number(MAX_INT63)
        cursor.expect(b")")
        cursor.space()
    sign = "+" if cursor.accept(b"+") else "-" if cursor.accept(b"-") else ""
    item, dot, silent = cursor.keyword().partition(".")
    if item != "FLAGS" or (dot and silent != "SILENT"):
        msg = "FLAGS expected"
        raise ImapSyntaxError(msg)
    cursor.space()
    if cursor.peek() == 0x28:
        flags = cursor.flag_list()
    else:
        names = [cursor.flag()]
        while not cursor.at_end():
            cursor.space()
            names.append(cursor.flag())
        flags = frozenset(names)
    return Store(
        tag, verb, verb.startswith("UID"), numbers, StoreOperation(sign + "FLAGS"), bool(dot), flags, unchanged_since
    )


def _copy(cursor: Cursor, tag: bytes, verb: str, utf8: bool) -> Command:
    cursor.space()
    numbers = cursor.sequence_set()
    cursor.space()
    return Copy(tag, verb, verb.startswith("UID"), numbers, cursor.mailbox(utf8=utf8), verb.endswith("MOVE"))


def _uid_expunge(cursor: Cursor, tag: bytes, verb: str, _utf8: bool) -> Command:
    cursor.space()
    return UidExpunge(tag, verb, cursor.sequence_set())


def _quota(cursor: Cursor, tag: bytes, verb: str, _utf8: bool) -> Command:
    cursor.space()
    root = cursor.astring()
    if verb == "SETQUOTA":
        cursor.space()
        cursor.rest()
    return QuotaCommand(tag, verb, root)


_PARSERS: dict[str, Callable[[Cursor, bytes, str, bool], Command]] = {
    **dict.fromkeys(
        (["CAPABILITY", "NOOP", "LOGOUT", "STARTTLS", "CHECK", "CLOSE", "UNSELECT", "EXPUNGE", "IDLE", "NAMESPACE"]),
        _simple,
    ),
    **dict.fromkeys(("DELETE", "SUBSCRIBE", "UNSUBSCRIBE", "GETQUOTAROOT"), _mailbox),
    **dict.fromkeys(("SELECT", "EXAMINE"), _select),
    **dict.fromkeys(("FETCH", "UID FETCH"), parse_fetch),
    **dict.fromkeys(("SEARCH", "UID SEARCH"), parse_search),
    **dict.fromkeys(("STORE", "UID STORE"), _store),
    **dict.fromkeys(("COPY", "MOVE", "UID COPY", "UID MOVE"), _copy),
    **dict.fromkeys(("GETQUOTA", "SETQUOTA"), _quota),
    "ID": _id,
    "LOGIN": _login,
    "AUTHENTICATE": _authenticate,
    "ENABLE": _enable,
    "CREATE": _create,
    "RENAME": _rename,
    "LIST": parse_list,
    "LSUB": parse_lsub,
    "STATUS": _status,
    "APPEND": _append,
    "UID EXPUNGE": _uid_expunge,
}
