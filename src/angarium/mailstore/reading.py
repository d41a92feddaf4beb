"""What reads an account's database.

The functions take a connection on which nothing is being written, and run on the event loop's thread. Each row is a
moment in which another thread may take the interpreter, so none of this belongs on a thread beside a busy loop: ten
thousand rows that take 4 ms take a second there. Lists of numbers come as one string.
"""

# ruff: noqa: S608 - the statements are put together from this package's own names; values are always bound.

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache, partial
from typing import Any

from angarium.mailstore import vanished
from angarium.mailstore.interface import (
    Changes,
    Column,
    Mailbox,
    MailboxStatus,
    MessageState,
    NoSuchMailboxError,
    TextWhere,
)
from angarium.mailstore.rows import all_rows, maybe_row, one_row
from angarium.mailstore.schema import COMMON_FIELDS, SOUGHT_FIELDS, column
from angarium.mailstore.schema import sought as sought_column
from angarium.mailstore.uidset import reading_condition
from angarium.protocols.mime.date import date_time
from angarium.protocols.mime.header import fields, select, unfold
from angarium.protocols.mime.text import fold
from angarium.protocols.mime.words import decode_words
from angarium.runtime.sqlite import Connection

_MAX_ORDERS = 200
_SHORT_FLAGS = 500
_NEVER = float("nan")

# Where each column is kept: the table that is joined by the body's id (none: the message's own row), and the column.
SOURCES: dict[Column, tuple[str, str]] = {
    Column.ENVELOPE: ("body", "body.envelope"),
    Column.BODY: ("structure", "structure.body"),
    Column.BODYSTRUCTURE: ("structure", "structure.bodystructure"),
    Column.INTERNALDATE: ("body", "body.stamp"),
    Column.SIZE: ("body", "body.size"),
    Column.HEADER: ("content", "content.header"),
    Column.SAVEDATE: ("", "message.saved"),
    Column.EMAILID: ("", "message.body"),
}
# What MessageState(...) does, without a frame of Python for each of ten thousand.
_NEW_STATE = partial(tuple.__new__, MessageState)
_SHAPES: dict[Column, Callable[[int], bytes]] = {
    Column.SAVEDATE: lambda seconds: date_time(float(seconds), 0),
    Column.EMAILID: lambda body: b"M%d" % body,
}
_SHAPED = frozenset(_SHAPES)


def integers(text: str | None) -> list[int]:
    """The numbers of a ``group_concat``."""
    return list(map(int, text.split(","))) if text else []


def flag_set(names: str) -> frozenset[str]:
    """The one shared set of these flags; of very many, one of its own."""
    return _short_flag_set(names) if len(names) <= _SHORT_FLAGS else frozenset(names.split())


@lru_cache(maxsize=8192)
def _short_flag_set(names: str) -> frozenset[str]:
    return frozenset(names.split())


def flag_sets(connection: Connection) -> dict[int, frozenset[str]]:
    """All combinations of flags of the account by id."""
    return {identity: flag_set(names) for identity, names in connection.execute("SELECT id, names FROM flagset")}


_MAILBOX = "SELECT id, name, uidvalidity, special_use, name IN (SELECT name FROM subscription), selectable FROM mailbox"


def _mailbox(row: tuple[Any, ...]) -> Mailbox:
    identity, name, uidvalidity, special_use, subscribed, selectable = row
    return Mailbox(identity, name, uidvalidity, special_use, bool(subscribed), bool(selectable))


def mailboxes(connection: Connection) -> list[Mailbox]:
    """All mailboxes, INBOX first."""
    rows = connection.execute(f"{_MAILBOX} ORDER BY name <> 'INBOX', name").fetchall()
    return [_mailbox(row) for row in rows]


def mailbox(connection: Connection, name: str) -> Mailbox:
    """One mailbox. Raises NoSuchMailboxError."""
    row = maybe_row(connection, f"{_MAILBOX} WHERE name = ?", (name,))
    if row is None:
        raise NoSuchMailboxError(name)
    return _mailbox(row)


def status(connection: Connection, identity: int) -> MailboxStatus:
    """The counters of a mailbox. Raises NoSuchMailboxError."""
    row = maybe_row(
        connection,
        "SELECT messages, uidnext, uidvalidity, unseen, deleted, bytes, highestmodseq, CASE"
        " WHEN firstrecent >= uidnext THEN 0 WHEN firstrecent <= 1 THEN messages"
        " ELSE (SELECT count(*) FROM message WHERE mailbox = mailbox.id AND uid >= firstrecent) END, firstrecent"
        " FROM mailbox WHERE id = ?",
        (identity,),
    )
    if row is None:
        raise NoSuchMailboxError(str(identity))
    return MailboxStatus(*row)


def deleted_size(connection: Connection, identity: int) -> int:
    r"""Bytes of the mailbox's messages flagged \Deleted."""
    [size] = one_row(
        connection,
        "SELECT coalesce(sum(b.size), 0) FROM message m JOIN flagset f ON f.id = m.flags AND f.deleted"
        " JOIN body b ON b.id = m.body WHERE m.mailbox = ?",
        (identity,),
    )
    return int(size)


def states(connection: Connection, identity: int, since: int = 0) -> list[MessageState]:
    """The states of the messages that changed after a modseq, by UID; all for 0."""
    try:
        return _states(connection, identity, since)
    except KeyError:
        return _states(connection, identity, since)  # a combination of flags went between its two statements


def _states(connection: Connection, identity: int, since: int) -> list[MessageState]:
    newer = "" if since <= 0 else " AND modseq > ?"
    bindings = (identity,) if since <= 0 else (identity, since)
    row = one_row(
        connection,
        "SELECT group_concat(uid), group_concat(modseq), group_concat(flags) FROM"
        f" (SELECT uid, modseq, flags FROM message WHERE mailbox = ?{newer} ORDER BY uid)",
        bindings,
    )
    if row[0] is None:
        return []
    known = flag_sets(connection)
    flags = map(known.__getitem__, map(int, row[2].split(",")))
    return list(map(_NEW_STATE, zip(integers(row[0]), integers(row[1]), flags, strict=True)))


def changes(connection: Connection, identity: int, since: int) -> Changes:
    """What happened after ``since``. Raises NoSuchMailboxError when the mailbox is gone."""
    row = maybe_row(connection, "SELECT highestmodseq FROM mailbox WHERE id = ?", (identity,))
    if row is None:
        raise NoSuchMailboxError(str(identity))
    if row[0] <= since:
        return Changes((), (), row[0])
    gone = vanished.since(connection, identity, since)
    return Changes(states(connection, identity, max(since, 1)), gone, row[0])


def columns(
    connection: Connection, identity: int, uids: Sequence[int], wanted: Sequence[Column]
) -> list[tuple[object, ...]]:
    """``(uid, value …)`` of each message."""
    where, bindings, only = reading_condition(uids)
    sources = [SOURCES[one] for one in wanted]
    joins = "".join(
        f" CROSS JOIN {table} ON {table}.id = message.body"
        for table in dict.fromkeys(table for table, _expression in sources if table)
    )
    expressions = "".join(f", {expression}" for _table, expression in sources)
    rows = all_rows(
        connection,
        f"SELECT uid{expressions} FROM message{joins} WHERE mailbox = ? AND {where} ORDER BY uid",
        (identity, *bindings),
    )
    if only is not None:
        rows = [row for row in rows if row[0] in only]
    return rows if _SHAPED.isdisjoint(wanted) else [_shaped(row, wanted) for row in rows]


def _shaped(row: tuple[Any, ...], wanted: Sequence[Column]) -> tuple[object, ...]:
    """The row with the columns that are kept as numbers in wire form."""
    shaped = [_SHAPES[one](value) if one in _SHAPED else value for one, value in zip(wanted, row[1:], strict=True)]
    return (row[0], *shaped)


def header_fields(
    connection: Connection, identity: int, uids: Sequence[int], names: Sequence[str]
) -> list[tuple[int, bytes]]:
    """The named header fields of each message, as they stand."""
    lower = list(dict.fromkeys(name.lower() for name in names))
    if not lower or any(name not in COMMON_FIELDS for name in lower):
        return _header_fields_apart(connection, identity, uids, lower)
    expression = ordered_fields(connection, lower)
    if expression is None:
        return _header_fields_apart(connection, identity, uids, lower)
    where, bindings, only = reading_condition(uids)
    rows = all_rows(
        connection,
        f"SELECT uid, CAST({expression} AS BLOB), field.ordering FROM message"
        " CROSS JOIN field ON field.id = message.body"
        f" WHERE mailbox = ? AND {where} ORDER BY uid",
        (identity, *bindings),
    )
    if any(not row[2] for row in rows):
        return _header_fields_apart(connection, identity, uids, lower)
    return [(uid, value) for uid, value, _ordering in rows if only is None or uid in only]


def ordered_fields(connection: Connection, names: Sequence[str]) -> str | None:
    """An SQL expression for these fields in each message's own order; None when there are too many orders."""
    orders: dict[tuple[str, ...], list[int]] = {}
    for identity, stand in connection.execute("SELECT id, names FROM ordering"):
        present = tuple(name for name in stand.split(" ") if name in names)
        orders.setdefault(present, []).append(identity)
    if len(orders) > _MAX_ORDERS:
        return None
    cases = [
        f"WHEN field.ordering IN ({','.join(map(str, ids))}) THEN {_joined(order)}" for order, ids in orders.items()
    ]
    if len(cases) == 1:
        return _joined(next(iter(orders)))
    return f"CASE {' '.join(cases)} ELSE x'' END" if cases else "x''"


def _joined(order: Iterable[str]) -> str:
    return " || ".join(f"coalesce(field.{column(name)}, x'')" for name in order) or "x''"


def _header_fields_apart(
    connection: Connection, identity: int, uids: Sequence[int], names: Sequence[str]
) -> list[tuple[int, bytes]]:
    """From the header blocks, one by one: for fields without a column and irregular headers."""
    wanted = [name.encode("ascii", "replace") for name in names]
    return [(uid, select(block, wanted)) for uid, block in _headers(connection, identity, uids)]


def _headers(connection: Connection, identity: int, uids: Sequence[int]) -> Iterator[tuple[int, bytes]]:
    where, bindings, only = reading_condition(uids)
    for uid, block in connection.execute(
        "SELECT uid, content.header FROM message CROSS JOIN content ON content.id = message.body"
        f" WHERE mailbox = ? AND {where} ORDER BY uid",
        (identity, *bindings),
    ):
        if only is None or uid in only:
            yield uid, block


def contents(
    connection: Connection, identity: int, uids: Sequence[int]
) -> list[tuple[int, bytes, bytes | None, str | None, int]]:
    """``(uid, header block, rest or None, file or None, where the rest begins in it)`` of each message."""
    where, bindings, only = reading_condition(uids)
    rows: list[tuple[int, bytes, bytes | None, str | None, int]] = list(
        connection.execute(
            "SELECT uid, content.header, content.rest, content.file, content.skip FROM message"
            " CROSS JOIN content ON content.id = message.body"
            f" WHERE mailbox = ? AND {where} ORDER BY uid",
            (identity, *bindings),
        )
    )
    return rows if only is None else [row for row in rows if row[0] in only]


def parts(connection: Connection, identity: int, uid: int) -> str:
    """The packed part table. Raises KeyError."""
    row = maybe_row(
        connection,
        "SELECT structure.parts FROM message CROSS JOIN structure ON structure.id = message.body"
        " WHERE mailbox = ? AND uid = ?",
        (identity, uid),
    )
    if row is None:
        raise KeyError(uid)
    return str(row[0])


def search_text(connection: Connection, identity: int, needle: str, where: TextWhere) -> set[int]:
    """UIDs whose folded text contains the needle."""
    sought = fold(needle)
    test = "instr(text.body, ?)" if where is TextWhere.BODY else "(instr(text.body, ?) OR instr(text.header, ?))"
    bindings = (identity, sought) if where is TextWhere.BODY else (identity, sought, sought)
    row = one_row(
        connection,
        f"SELECT group_concat(uid) FROM message CROSS JOIN text ON text.id = message.body WHERE mailbox = ? AND {test}",
        bindings,
    )
    return set(integers(row[0]))


def search_header(connection: Connection, identity: int, name: str, needle: str) -> set[int]:
    """UIDs with a header field of that name that contains the needle."""
    lower = name.lower()
    sought = fold(needle)
    if lower in SOUGHT_FIELDS:
        value = f"field.{sought_column(lower)}"
        if b" " in sought:  # a line may be folded at a TAB, which is as good as a blank
            value = f"CAST(replace({value}, char(9), ' ') AS BLOB)"
        test = f"{value} IS NOT NULL" if not sought else f"instr({value}, ?)"
        row = one_row(
            connection,
            "SELECT group_concat(uid) FROM message CROSS JOIN field ON field.id = message.body"
            f" WHERE mailbox = ? AND {test}",
            (identity, sought) if sought else (identity,),
        )
        return set(integers(row[0]))
    raw = lower.encode("utf-8", "replace")
    return {
        uid
        for uid, block in _headers_with(connection, identity, raw, sought)
        if any(
            sought in fold(decode_words(unfold(value)).replace("\t", " "))
            for found, value, _s, _e in fields(block)
            if found == raw
        )
    }


def _headers_with(connection: Connection, identity: int, name: bytes, needle: bytes) -> Iterator[tuple[int, bytes]]:
    """The header blocks that may have a field of that name with the needle: sifted by SQLite, to be looked at closely.

    A needle of plain characters without blanks stands in the block as it is, unless the field has encoded words.
    """
    test, bindings = "instr(lower(CAST(content.header AS TEXT)), ?)", [name]
    if needle.isascii() and needle.isalnum():
        test += " AND (instr(lower(CAST(content.header AS TEXT)), ?) OR instr(content.header, CAST('=?' AS BLOB)))"
        bindings.append(needle)
    yield from connection.execute(
        "SELECT uid, content.header FROM message CROSS JOIN content ON content.id = message.body"
        f" WHERE mailbox = ? AND {test}",
        (identity, *[binding.decode("utf-8", "replace") for binding in bindings]),
    )


def search_dates(connection: Connection, identity: int) -> list[tuple[int, float, int, float, int]]:
    """``(uid, internaldate, zone, Date header or nan, size)`` of each message."""
    rows = all_rows(
        connection,
        "SELECT uid, internaldate, zone, sent, size FROM message CROSS JOIN body ON body.id = message.body"
        " WHERE mailbox = ? ORDER BY uid",
        (identity,),
    )
    return [(uid, date, zone, _NEVER if sent is None else sent, size) for uid, date, zone, sent, size in rows]
