"""What one transaction does to the rows of the queue: each function is one arrow of ``docs/queue-states.md``.

The functions take a connection inside a transaction and do no other I/O. They know nothing of threads, processes or
clocks: ``sqlite`` (the server's side) and ``control`` (the commands' side) call them.

Fails with what SQLite raises; a row that cannot be read is put into the corrupt queue by ``lease`` and skipped by
``listing``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from angarium.mailqueue.ids import serial_number
from angarium.mailqueue.interface import Attempt, NewMessage, PendingRecipient, QueuedMessage, QueueName
from angarium.mailqueue.schema import EXPANSION_REPORTED, FORCED_EXPIRE, REQUEUE, WARNED
from angarium.model.delivery import QueuedRecipient, Status
from angarium.model.envelope import Envelope
from angarium.runtime.sqlite import Connection

# Text as octets: it may be damaged, which must concern its row alone and not the whole answer.
COLUMNS = (
    "id, CAST(queue_id AS BLOB), CAST(state AS BLOB), next_attempt, queued, attempts, size, flags, envelope, recipients"
)

_RECIPIENTS = 9

DAMAGE = (msgspec.MsgspecError, ValueError, TypeError, AttributeError)
"""What comes of reading a row that does not hold what it should."""

READ_AHEAD = 4 * 1024 * 1024
"""Bytes of content that one lease reads in passing."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Envelope).decode


@dataclass(frozen=True, slots=True)
class NewRow:
    """A message made ready for the database outside the transaction: encoding costs no lock time."""

    key: int
    queue_id: str
    hold: bool
    size: int
    recipients: int
    envelope: bytes
    prefix: bytes
    body: bytes | None
    file: str | None

    @classmethod
    def of(cls, message: NewMessage, file: str | None = None) -> NewRow:
        """Encode ``message``; its body is inline unless ``file`` names where it is.

        Raises:
            ValueError: the queue id is not one of ours, or an address is not Unicode text.
        """
        key = serial_number(message.queue_id)
        if key is None or not message.envelope.recipients:
            msg = f"{message.queue_id}: not a queue id, or no recipients"
            raise ValueError(msg)
        body = message.content.read() if file is None else None
        return cls(
            key,
            message.queue_id,
            message.hold,
            len(message.prefix) + message.content.size,
            len(message.envelope.recipients),
            _encode(message.envelope),
            message.prefix,
            body,
            file,
        )


@dataclass(frozen=True, slots=True)
class Removed:
    """A message is gone; ``file`` is its content file, to be unlinked after the commit."""

    file: str | None


@dataclass(frozen=True, slots=True)
class Waits:
    """A message waits to be leased at once: it is to be requeued."""


@dataclass(frozen=True, slots=True)
class Leased:
    """What ``lease`` took, what it had to put aside (queue id, cause), and small contents, read in passing."""

    messages: list[QueuedMessage]
    corrupt: list[tuple[str, str]]
    contents: dict[str, tuple[bytes, bytes]]


def take_block(connection: Connection) -> int:
    """Reserve a block of serial numbers."""
    for (following,) in connection.execute("UPDATE number SET next = next + 1 RETURNING next"):
        return int(following) - 1
    msg = "the queue has lost its number"
    raise ValueError(msg)


def insert(connection: Connection, row: NewRow, now: float) -> None:
    """Nothing -> incoming, or hold."""
    connection.execute(
        "INSERT INTO message (id, queue_id, state, next_attempt, queued, size, recipients, envelope)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (row.key, row.queue_id, "hold" if row.hold else "incoming", now, now, row.size, row.recipients, row.envelope),
    )
    connection.execute(
        "INSERT INTO content (id, file, prefix, body) VALUES (?, ?, ?, ?)", (row.key, row.file, row.prefix, row.body)
    )


def lease(
    connection: Connection, limit: int, now: float, owner: int, *, recipients: int, incoming: bool, deferred: bool
) -> Leased:
    """Incoming, or deferred and due -> active, for ``owner``; oldest first, until they have so many recipients."""
    rows = _take(connection, "state = 'incoming'", limit, owner, recipients, ()) if incoming else []
    if deferred and len(rows) < limit:
        due = "state = 'deferred' AND next_attempt <= ?"
        left = recipients - sum(row[_RECIPIENTS] for row in rows)
        rows += _take(connection, due, limit - len(rows), owner, left, (now,))
    messages = []
    corrupt = []
    small = {}
    room = READ_AHEAD
    for row in rows:
        try:
            taken = message(connection, row)
            messages.append(taken)
            if taken.size <= room:
                room -= taken.size
                small[row[0]] = taken.queue_id
        except DAMAGE as error:
            connection.execute("UPDATE message SET state = 'corrupt' WHERE id = ?", (row[0],))
            corrupt.append((bytes(row[1] or b"?").decode("utf-8", "replace"), str(error)))
    return Leased(messages, corrupt, _contents(connection, small))


def _contents(connection: Connection, wanted: dict[int, str]) -> dict[str, tuple[bytes, bytes]]:
    """The prefix and body of each message in ``wanted`` (queue ids by key) whose body is inline."""
    keys = ", ".join(map(str, wanted))
    query = f"SELECT id, prefix, body FROM content WHERE id IN ({keys}) AND body IS NOT NULL"  # noqa: S608 - integers
    return {wanted[key]: (prefix, body) for key, prefix, body in connection.execute(query)}


def _take(
    connection: Connection, where: str, limit: int, owner: int, recipients: int, values: tuple[float, ...]
) -> list[Any]:
    """The oldest ones, up to the one that reaches the number of recipients."""
    oldest = f"SELECT id, recipients FROM message WHERE {where} ORDER BY next_attempt LIMIT ?"  # noqa: S608 - ours
    before = "sum(recipients) OVER (ROWS UNBOUNDED PRECEDING) - recipients"
    chosen = f"SELECT id FROM (SELECT id, {before} AS before FROM ({oldest})) WHERE before < ?"  # noqa: S608 - ours
    rows = connection.execute(
        f"UPDATE message SET state = 'active', owner = ?, attempts = attempts + 1"  # noqa: S608 - the same
        f" WHERE id IN ({chosen}) RETURNING {COLUMNS}",
        (owner, *values, limit, recipients),
    ).fetchall()
    rows.sort(key=_by_next_attempt)  # RETURNING promises no order
    return rows


def _by_next_attempt(row: tuple[Any, ...]) -> float:
    return float(row[3])


def message(connection: Connection, row: tuple[Any, ...]) -> QueuedMessage:
    """The value of a row. Raises what ``DAMAGE`` names for a damaged one."""
    key, octets, state_octets, next_attempt, queued, attempts, size, flags, encoded, _recipients = row
    queue_id = octets.decode()
    state = state_octets.decode()
    envelope = _decode(encoded)
    outcomes = {}
    # Before the first lease nothing can have been recorded.
    if attempts > 1 or (attempts == 1 and state != "active") or len(envelope.recipients) > 1:
        outcomes = {
            number: (done, dsn, reason)
            for number, done, dsn, reason in connection.execute(
                "SELECT number, done, dsn, reason FROM outcome WHERE id = ?", (key,)
            )
        }
    pending = []
    for number, recipient in enumerate(envelope.recipients):
        done, dsn, reason = outcomes.get(number, (0, "", ""))
        if not done:
            pending.append(PendingRecipient(QueuedRecipient(number, recipient), reason, dsn))
    return QueuedMessage(
        queue_id,
        QueueName(state),
        envelope,
        size,
        queued,
        next_attempt,
        attempts,
        tuple(pending),
        bool(flags & FORCED_EXPIRE),
        bool(flags & WARNED),
        bool(flags & EXPANSION_REPORTED),
        bool(flags & REQUEUE),
    )


def record(connection: Connection, attempt: Attempt, notices: Sequence[NewRow], now: float) -> Removed | Waits | None:
    """Active -> removed, deferred, incoming, or still active; the notices enter in the same transaction.

    None when the message stays where nobody has to look at once, or was gone before.
    """
    found = find(connection, attempt.queue_id)
    if found is None:
        _record_deleted(connection, attempt)
        return None
    key, state, recipients, flags = found
    for notice in notices:
        insert(connection, notice, now)
    if attempt.warned or attempt.expansion_reported:
        flags |= (WARNED if attempt.warned else 0) | (EXPANSION_REPORTED if attempt.expansion_reported else 0)
        connection.execute("UPDATE message SET flags = ? WHERE id = ?", (flags, key))
    done = {result.recipient.number for result in attempt.results if result.status is not Status.DEFERRED}
    if len(done) < recipients:
        connection.executemany(
            "INSERT INTO outcome (id, number, done, dsn, reason) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (id, number) DO UPDATE SET done = max(done, excluded.done), dsn = excluded.dsn,"
            " reason = excluded.reason",
            [
                (key, result.recipient.number, result.recipient.number in done, str(result.dsn), _storable(result.text))
                for result in attempt.results
            ],
        )
        if not attempt.final:
            return None  # whether all are done is counted once, at the end: a message may have 50,000 recipients
        counted = connection.execute("SELECT count(*) FROM outcome WHERE id = ? AND done", (key,)).fetchone()
        if counted is None or counted[0] < recipients:
            requeue = bool(flags & REQUEUE) and not attempt.requeue_failed
            _leave(connection, key, state, attempt, requeue=requeue)
            return Waits() if requeue else None
    return remove(connection, key)


def _record_deleted(connection: Connection, attempt: Attempt) -> None:
    """Deleted stays deleted, if it was deleted so that it can come back; who has got it does not get it again then."""
    key = serial_number(attempt.queue_id)
    here = "SELECT state FROM deleted WHERE id = ? AND queue_id = ?"
    if connection.execute(here, (key, attempt.queue_id)).fetchone() is None:
        return
    connection.executemany(
        "INSERT OR REPLACE INTO outcome (id, number, done, dsn, reason) VALUES (?, ?, 1, ?, ?)",
        [
            (key, result.recipient.number, str(result.dsn), _storable(result.text))
            for result in attempt.results
            if result.status is Status.SENT
        ],
    )
    if attempt.final:
        connection.execute(
            "UPDATE deleted SET state = 'deferred', next_attempt = ? WHERE id = ? AND state = 'active'",
            (attempt.next_attempt, key),
        )


def _storable(text: str) -> str:
    """``text`` as SQLite takes it: what a peer says may be no Unicode text, and must not keep us from recording it."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _leave(connection: Connection, key: int, state: str, attempt: Attempt, *, requeue: bool) -> None:
    """Where a message goes at the end of an attempt that left some recipients."""
    following = state
    if state == "active":
        following = "incoming" if requeue else "deferred"
    connection.execute(
        "UPDATE message SET state = ?, next_attempt = ? WHERE id = ?", (following, attempt.next_attempt, key)
    )


def replace(connection: Connection, queue_id: str, row: NewRow, now: float) -> Removed | None:
    """Active -> removed, and another -> incoming; None when it is not active any more."""
    found = find(connection, queue_id)
    if found is None or found[1] != "active":
        return None
    insert(connection, row, now)
    return remove(connection, found[0])


def find(connection: Connection, queue_id: str) -> tuple[int, str, int, int] | None:
    """(row, state, number of recipients, flags); None when it is not there."""
    key = serial_number(queue_id)
    if key is None:
        return None
    row: tuple[int, str, int, int] | None = connection.execute(
        "SELECT id, state, recipients, flags FROM message WHERE id = ? AND queue_id = ?", (key, queue_id)
    ).fetchone()
    return row


def remove(connection: Connection, key: int) -> Removed:
    """Any -> removed."""
    connection.execute("DELETE FROM message WHERE id = ?", (key,))
    connection.execute("DELETE FROM outcome WHERE id = ?", (key,))
    row = connection.execute("DELETE FROM content WHERE id = ? RETURNING file", (key,)).fetchone()
    return Removed(row[0] if row is not None else None)


def owners(connection: Connection) -> list[int]:
    """Who has leases."""
    return [int(row[0]) for row in connection.execute("SELECT DISTINCT owner FROM message WHERE state = 'active'")]


def give_back(connection: Connection, gone: Sequence[int]) -> int:
    """Active -> incoming, for all that these owners have leased."""
    total = 0
    for owner in gone:
        connection.execute("UPDATE message SET state = 'incoming' WHERE state = 'active' AND owner = ?", (owner,))
        total += connection.changes()
    return total


def quarantine(connection: Connection, queue_id: str) -> bool:
    """Any -> corrupt."""
    found = find(connection, queue_id)
    if found is None:
        return False
    connection.execute("UPDATE message SET state = 'corrupt' WHERE id = ?", (found[0],))
    return True


def delete(connection: Connection, queue_id: str, queues: Sequence[QueueName]) -> Removed | None:
    """Any of ``queues`` -> removed; None when it is not there."""
    found = find(connection, queue_id)
    if found is None or QueueName(found[1]) not in queues:
        return None
    return remove(connection, found[0])


def hold(connection: Connection, queue_id: str, queues: Sequence[QueueName]) -> bool:
    """Any of ``queues`` -> hold; False when it is not there."""
    found = find(connection, queue_id)
    if found is None or QueueName(found[1]) not in queues or found[1] == "hold":
        return False
    connection.execute("UPDATE message SET state = 'hold' WHERE id = ?", (found[0],))
    return True


def release(connection: Connection, queue_id: str, now: float) -> bool:
    """Hold -> deferred, due now; False when it is not on hold."""
    found = find(connection, queue_id)
    if found is None or found[1] != "hold":
        return False
    connection.execute("UPDATE message SET state = 'deferred', next_attempt = ? WHERE id = ?", (now, found[0]))
    return True


def requeue(connection: Connection, queue_id: str, queues: Sequence[QueueName], now: float) -> bool:
    """Any of ``queues`` -> incoming, flagged; an active one when its attempt is over. False when it is not there."""
    found = find(connection, queue_id)
    if found is None or QueueName(found[1]) not in queues:
        return False
    key, state, _recipients, flags = found
    connection.execute("UPDATE message SET flags = ? WHERE id = ?", (flags | REQUEUE, key))
    if state != "active":
        connection.execute("UPDATE message SET state = 'incoming', next_attempt = ? WHERE id = ?", (now, key))
    return True


def expire(connection: Connection, queue_id: str, queues: Sequence[QueueName], now: float) -> bool:
    """Flag for return to the sender at the next attempt, which is now unless the message is on hold."""
    found = find(connection, queue_id)
    if found is None or QueueName(found[1]) not in queues:
        return False
    connection.execute("UPDATE message SET flags = ? WHERE id = ?", (found[3] | FORCED_EXPIRE, found[0]))
    flush(connection, now, queue_id)
    return True


def bring_forward(connection: Connection, now: float, latest: float) -> int:
    """Deferred to a time after ``latest`` -> due now."""
    connection.execute(
        "UPDATE message SET next_attempt = ? WHERE state = 'deferred' AND next_attempt > ?", (now, latest)
    )
    return connection.changes()


def flush(connection: Connection, now: float, queue_id: str = "") -> int:
    """Deferred -> due now: all, or one message."""
    if not queue_id:
        connection.execute(
            "UPDATE message SET next_attempt = ?1 WHERE state = 'deferred' AND next_attempt > ?1", (now,)
        )
        return connection.changes()
    found = find(connection, queue_id)
    if found is None or found[1] != "deferred":
        return 0
    connection.execute("UPDATE message SET next_attempt = ? WHERE id = ?", (now, found[0]))
    return 1


def waiting_for(connection: Connection, site: str) -> list[str]:
    """The ids of deferred messages that wait for a recipient ``@site``. Reads all: not for a write transaction."""
    ending = "@" + site.lower()
    return [
        each.queue_id
        for each in listing(connection)
        if each.queue is QueueName.DEFERRED
        and any(item.queued.recipient.address.lower().endswith(ending) for item in each.pending)
    ]


def listing(connection: Connection, page: int = 500) -> Iterator[QueuedMessage]:
    """All messages but corrupt ones, page by page, so that no reader holds up the WAL for long."""
    last = -1
    while True:
        rows = connection.execute(
            f"SELECT {COLUMNS} FROM message WHERE id > ? ORDER BY id LIMIT ?",  # noqa: S608 - a constant of ours
            (last, page),
        ).fetchall()
        for row in rows:
            last = int(row[0])  # type: ignore[arg-type] # the primary key
            if row[2] != b"corrupt":
                try:
                    yield message(connection, row)
                except DAMAGE:
                    continue  # the queue manager will find it, log it and put it aside
        if len(rows) < page:
            return


def identifiers(connection: Connection, queues: Sequence[QueueName]) -> list[str]:
    """The queue ids of all messages in ``queues``, oldest first."""
    wanted = [queue.value for queue in queues]
    marks = ", ".join("?" * len(wanted))
    query = f"SELECT queue_id FROM message WHERE state IN ({marks}) ORDER BY id"  # noqa: S608 - question marks only
    return [str(row[0]) for row in connection.execute(query, wanted)]


def one(connection: Connection, queue_id: str) -> QueuedMessage | None:
    """One message, whatever its queue. Raises ValueError for a damaged one."""
    key = serial_number(queue_id)
    if key is None:
        return None
    row = connection.execute(
        f"SELECT {COLUMNS} FROM message WHERE id = ? AND queue_id = ?",  # noqa: S608 - a constant of ours
        (key, queue_id),
    ).fetchone()
    try:
        return None if row is None else message(connection, row)
    except DAMAGE as error:
        msg = f"damaged queue entry: {error}"
        raise ValueError(msg) from error


def content(connection: Connection, queue_id: str) -> tuple[bytes, bytes | None, str | None] | None:
    """(prefix, inline body, file); None when it is gone."""
    key = serial_number(queue_id)
    if key is None:
        return None
    row: tuple[bytes, bytes | None, str | None] | None = connection.execute(
        "SELECT prefix, body, file FROM content WHERE id = ?", (key,)
    ).fetchone()
    return row


def size(connection: Connection, queue_id: str) -> int | None:
    """How long a message is, prefix and content; None when there is none."""
    key = serial_number(queue_id)
    row = connection.execute("SELECT size FROM message WHERE id = ? AND queue_id = ?", (key, queue_id)).fetchone()
    return None if row is None else int(row[0])


def unnamed(connection: Connection, files: Sequence[str]) -> list[str]:
    """Those of the content files that no row names. A file has its message's queue id as its name."""
    return [
        file
        for file in files
        if connection.execute(
            "SELECT 1 FROM content WHERE id = ? AND file = ?", (serial_number(file) or 0, file)
        ).fetchone()
        is None
    ]


def next_due(connection: Connection) -> float | None:
    """When the next deferred message is due."""
    row = connection.execute("SELECT min(next_attempt) FROM message WHERE state = 'deferred'").fetchone()
    return None if row is None or row[0] is None else float(row[0])
