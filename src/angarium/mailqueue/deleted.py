"""Messages that the administrator has deleted and may have back: functions that are arrows of ``docs/queue-states.md``.

A deleted message has left the table ``message`` for the table ``deleted`` with its whole row; its content and outcomes
stay where they are. So it is gone for everybody who looks into ``message``, and whole for who wants it back.

As in ``rows``, the functions take a connection inside a transaction and do no other I/O. Fails with what SQLite raises;
a row that cannot be read is skipped by ``listing``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from angarium.mailqueue import rows
from angarium.mailqueue.ids import serial_number
from angarium.mailqueue.interface import QueuedMessage, QueueName
from angarium.mailqueue.schema import MESSAGE_COLUMNS
from angarium.runtime.sqlite import Connection

_ROW = MESSAGE_COLUMNS


@dataclass(frozen=True, slots=True)
class DeletedMessage:
    """A deleted message.

    Attributes:
        message: as it was when it was deleted.
        deleted: seconds since the epoch when that was.
        until: seconds since the epoch; then it is removed for good.
    """

    message: QueuedMessage
    deleted: float
    until: float


def put(connection: Connection, queue_id: str, queues: Sequence[QueueName], now: float, until: float) -> bool:
    """Any of ``queues`` -> deleted; False when it is not there."""
    found = rows.find(connection, queue_id)
    if found is None or QueueName(found[1]) not in queues:
        return False
    connection.execute(
        f"INSERT INTO deleted ({_ROW}, deleted, until) SELECT {_ROW}, ?, ? FROM message WHERE id = ?",  # noqa: S608 - ours
        (now, until, found[0]),
    )
    connection.execute("DELETE FROM message WHERE id = ?", (found[0],))
    return True


def restore(connection: Connection, queue_id: str) -> QueueName | None:
    """Deleted -> where it was, or hold; which that is. None when it is not there, or all of it has been delivered."""
    found = _find(connection, queue_id)
    if found is None:
        return None
    key, state, recipients = found
    delivered = connection.execute("SELECT count(*) FROM outcome WHERE id = ? AND done", (key,)).fetchone()
    if delivered is not None and delivered[0] >= recipients:
        return None
    connection.execute(f"INSERT INTO message ({_ROW}) SELECT {_ROW} FROM deleted WHERE id = ?", (key,))  # noqa: S608 - ours
    connection.execute("DELETE FROM deleted WHERE id = ?", (key,))
    if state == "active":
        state = "hold"
        connection.execute("UPDATE message SET state = 'hold' WHERE id = ?", (key,))
    return QueueName(state)


def forget(connection: Connection, queue_id: str) -> rows.Removed | None:
    """Deleted -> removed; None when it is not there."""
    found = _find(connection, queue_id)
    return None if found is None else _remove(connection, found[0])


def overdue(connection: Connection, now: float) -> bool:
    """Whether ``purge`` would find something."""
    return connection.execute("SELECT 1 FROM deleted WHERE until <= ? LIMIT 1", (now,)).fetchone() is not None


def purge(connection: Connection, now: float, limit: int) -> list[rows.Removed]:
    """Deleted, and its time is over -> removed, for up to ``limit`` messages."""
    keys = connection.execute("SELECT id FROM deleted WHERE until <= ? LIMIT ?", (now, limit)).fetchall()
    return [_remove(connection, int(key)) for (key,) in keys]  # type: ignore[arg-type] # the primary key


def listing(connection: Connection, page: int = 500) -> Iterator[DeletedMessage]:
    """All deleted messages, page by page, oldest id first."""
    last = -1
    while True:
        found = connection.execute(
            f"SELECT {rows.COLUMNS}, deleted, until FROM deleted WHERE id > ? ORDER BY id LIMIT ?",  # noqa: S608 - ours
            (last, page),
        ).fetchall()
        for row in found:
            last = int(row[0])  # type: ignore[arg-type] # the primary key
            try:
                message = rows.message(connection, row[:-2])
            except rows.DAMAGE:
                continue  # it would be put aside as corrupt if it were undeleted
            yield DeletedMessage(message, float(row[-2]), float(row[-1]))  # type: ignore[arg-type] # REAL columns
        if len(found) < page:
            return


def _find(connection: Connection, queue_id: str) -> tuple[int, str, int] | None:
    """(row, state, number of recipients)."""
    key = serial_number(queue_id)
    if key is None:
        return None
    row: tuple[int, str, int] | None = connection.execute(
        "SELECT id, state, recipients FROM deleted WHERE id = ? AND queue_id = ?", (key, queue_id)
    ).fetchone()
    return row


def _remove(connection: Connection, key: int) -> rows.Removed:
    connection.execute("DELETE FROM deleted WHERE id = ?", (key,))
    return rows.remove(connection, key)
