"""Damage in the database costs the messages that lie on it, and no others.

Where a page cannot be read, SQLite fails every statement that comes by, so nothing would be leased any more, or no
outcome recorded. The damaged tables are put aside then, as ``damaged_…`` (their pages stay in the file for whoever
wants to look), and new ones get all rows that can be read. What that leaves of a message decides:

- no row in ``message``: corrupt queue, as with damaged queue files in Postfix. Nobody knows the recipients any more,
  but its text is there (``content``), and so is who has it already (``outcome``);
- no ``outcome``: corrupt queue, when it was tried and has several recipients: some would get it again;
- no ``content``: whoever tries to deliver it finds out.

It is done in one transaction of the queue manager's, while everybody waits: a second for 100,000 messages, and as long
as it takes to read what they hold. What is read comes by another connection, for SQLite writes nothing in a transaction
that has seen damage. Fails with what SQLite raises when the damage is elsewhere too: then nothing has changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from angarium.mailqueue.ids import serial_number, short_id
from angarium.mailqueue.schema import MESSAGE_COLUMNS, message_table
from angarium.runtime.sqlite import Connection, ConstraintError, CorruptError

_UNREADABLE = (CorruptError, UnicodeDecodeError)
_TABLES = {
    "message": (MESSAGE_COLUMNS, 500),
    "outcome": ("id, number, done, dsn, reason", 500),
    "content": ("id, file, prefix, body", 16),
}
"""The columns of each, and how many messages' rows are read at a time."""


def salvage(connection: Connection, reader: Connection, names: Iterable[str], now: float) -> list[str]:
    """Make new tables of what can be read; the ids of the messages that go to the corrupt queue.

    Args:
        connection: in the transaction that does it, and has done nothing before: it would be lost.
        reader: another one, that reads the same.
        names: of the files in ``content/``: one whose row is lost gets another, or it would be taken for an orphan.
        now: seconds since the epoch.
    """
    known: set[int] = set()
    damaged = {"message"}  # or one of its indexes
    for table in _TABLES:
        whole, found = _keys(reader, table)
        known |= found
        if not whole:
            damaged.add(table)
    keys = sorted(known)
    lost = {table: _unreadable(reader, table, keys) for table in _TABLES}
    for table in _TABLES:
        if lost[table] or table in damaged:
            lost[table] += _rebuilt(connection, reader, table, sorted(known.difference(lost[table])))
    files = {serial_number(name): name for name in names}
    connection.executemany(
        "INSERT INTO content (id, file, prefix) VALUES (?, ?, x'')",
        [(key, files[key]) for key in lost["content"] if key in files],
    )
    deleted = {int(row[0]) for row in reader.execute("SELECT id FROM deleted")}
    nameless = [key for key in lost["message"] if key not in deleted]
    return [_put_aside(connection, key, now) for key in nameless] + _put_away(connection, lost["outcome"])


def _keys(reader: Connection, table: str) -> tuple[bool, set[int]]:
    """Whether all keys of a table can be read, and those that can be from one of its ends or the other."""
    found: set[int] = set()
    for order in ("", " DESC"):
        try:
            for row in reader.execute(f"SELECT id FROM {table} ORDER BY id{order}"):  # noqa: S608 - names of ours
                found.add(int(row[0]))
        except CorruptError:
            continue
        return True, found
    return False, found


def _unreadable(reader: Connection, table: str, keys: Sequence[int]) -> list[int]:
    """Of these messages, those whose rows cannot be read."""
    lost: list[int] = []
    for some, found in _read(reader, table, keys):
        if found is None:
            lost += some
    return lost


def _read(
    reader: Connection, table: str, keys: Sequence[int]
) -> Iterator[tuple[Sequence[int], list[tuple[Any, ...]] | None]]:
    """The rows of these messages, some messages at a time; None for one whose rows cannot be read."""
    columns, together = _TABLES[table]
    todo = [keys[at : at + together] for at in range(0, len(keys), together)]
    todo.reverse()
    while todo:
        some = todo.pop()
        try:
            rows: list[tuple[Any, ...]] = reader.execute(
                f"SELECT {columns} FROM {table} WHERE id BETWEEN ? AND ?",  # noqa: S608 - names of ours
                (some[0], some[-1]),
            ).fetchall()
        except _UNREADABLE:
            half = len(some) // 2
            if half:
                todo += [some[half:], some[:half]]
            else:
                yield some, None
        else:
            yield some, rows


def _rebuilt(connection: Connection, reader: Connection, table: str, keys: Sequence[int]) -> list[int]:
    """Put a table aside, and copy the rows of these messages to a new one; whose rows are not such as it takes."""
    statements = [str(row[0]) for row in connection.execute("SELECT sql FROM sqlite_schema WHERE name = ?", (table,))]
    names = {str(row[0]) for row in connection.execute("SELECT name FROM sqlite_schema")}
    number = next(each for each in range(len(names) + 1) if f"damaged_{table}_{each}" not in names)
    connection.execute(f"ALTER TABLE {table} RENAME TO damaged_{table}_{number}")
    connection.execute(message_table(f"_{number}") if table == "message" else statements[0])
    columns = _TABLES[table][0]
    insert = f"INSERT INTO {table} ({columns}) VALUES ({', '.join('?' * len(columns.split(',')))})"  # noqa: S608 - ours
    lost: list[int] = []
    for some, found in _read(reader, table, keys):
        if found is None:  # its neighbours could be read, so it is one that is damaged itself
            lost += some
            continue
        for row in found:
            try:
                connection.execute(insert, row)
            except ConstraintError:
                lost.append(int(row[0]))
    return lost


def _put_aside(connection: Connection, key: int, now: float) -> str:
    """A row in the corrupt queue for a message of which there is the content alone; its id."""
    queue_id, size = short_id(0.0, key), 0
    for file, length in connection.execute(
        "SELECT file, length(prefix) + coalesce(length(body), 0) FROM content WHERE id = ?", (key,)
    ):
        size = int(length)
        if isinstance(file, str) and serial_number(file) == key:  # a file has its message's id as its name
            queue_id = file
    connection.execute(
        "INSERT INTO message (id, queue_id, state, next_attempt, queued, size, recipients, envelope)"
        " VALUES (?, ?, 'corrupt', ?, ?, ?, 1, x'')",
        (key, queue_id, now, now, size),
    )
    return queue_id


def _put_away(connection: Connection, keys: Sequence[int]) -> list[str]:
    """To the corrupt queue what has several recipients, some of whom may have it already; the ids."""
    away = "UPDATE message SET state = 'corrupt' WHERE id = ? AND recipients > 1 AND attempts > 0 RETURNING queue_id"
    return [str(row[0]) for key in keys for row in connection.execute(away, (key,))]
