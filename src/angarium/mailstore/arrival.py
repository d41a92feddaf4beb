"""The arrival of a message in an account: the one writing function that is asked for thousands of times a second.

Each statement that the writer's thread runs gives the interpreter away and waits to get it back; beside a busy event
loop that costs more than the statement. So all that has to be known before a message is stored comes in one row.

Runs inside a transaction of the account's writer, and like ``writing`` neither begins nor ends one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from angarium.mailstore.derived import Derived
from angarium.mailstore.interface import Appended, NoSuchMailboxError, OverQuotaError
from angarium.mailstore.rows import one_row
from angarium.mailstore.writing import Limits, flag_id, insert_derived, spelt
from angarium.runtime.sqlite import Connection


@dataclass(frozen=True, slots=True)
class Ready:
    """A message that is ready to be stored.

    Attributes:
        rest: what follows the header block; None when the message is in ``file``.
        file: the file's name in the account's directory of bodies; already on stable storage.
        skip: where in the file the rest begins.
    """

    mailbox: str
    derived: Derived
    rest: bytes | None
    file: str | None
    skip: int
    flags: frozenset[str]
    internaldate: float
    zone: int
    stamp: bytes
    key: str


_COUNT = """
UPDATE mailbox SET uidnext = ?, highestmodseq = ?, messages = messages + 1, unseen = unseen + ?,
    deleted = deleted + ?, bytes = bytes + ? WHERE id = ?
"""
_ASK = """
SELECT m.id, m.uidvalidity, m.uidnext, m.highestmodseq + 1,
    d.mailbox, d.uidvalidity, d.uid, d.modseq,
    (SELECT id FROM flagset WHERE names = ?3), (SELECT id FROM ordering WHERE names = ?4),
    CASE WHEN ?5 THEN (SELECT total(bytes) FROM mailbox) END,
    CASE WHEN ?5 THEN (SELECT total(messages) FROM mailbox) END
FROM (SELECT 1) LEFT JOIN mailbox m ON m.name = ?1 AND m.selectable LEFT JOIN delivery d ON d.key = ?2
"""


def append(connection: Connection, ready: Sequence[Ready], limits: Limits, now: float) -> list[Appended]:
    """Store the messages, all or none. Raises NoSuchMailboxError and OverQuotaError."""
    return [_append(connection, one, limits, now) for one in ready]


def _append(connection: Connection, ready: Ready, limits: Limits, now: float) -> Appended:
    derived = ready.derived
    flags = spelt(connection, ready.flags)
    limited = bool(limits.bytes or limits.messages)
    (
        mailbox, uidvalidity, uid, modseq, old_mailbox, old_uidvalidity, old_uid, old_modseq,
        flagset, ordering, held, messages,
    ) = one_row(
        connection, _ASK, (ready.mailbox, ready.key, " ".join(sorted(flags)), derived.ordering, limited)
    )  # fmt: skip
    if old_mailbox is not None:
        return Appended(old_mailbox, old_uidvalidity, old_uid, old_modseq, duplicate=True)
    if mailbox is None:
        raise NoSuchMailboxError(ready.mailbox)
    if limited and limits.exceeded(held + derived.size, messages + 1):
        raise OverQuotaError("Quota exceeded (mailbox for user is full)")
    execute = connection.execute
    execute(_COUNT, (uid + 1, modseq, "\\Seen" not in flags, "\\Deleted" in flags, derived.size, mailbox))
    execute(
        "INSERT INTO body (size, internaldate, zone, sent, stamp, envelope) VALUES (?, ?, ?, ?, ?, ?)",
        (derived.size, ready.internaldate, ready.zone, derived.sent, ready.stamp, derived.envelope),
    )
    body = connection.last_insert_rowid()
    execute("INSERT INTO content VALUES (?, ?, ?, ?, ?)", (body, derived.header, ready.rest, ready.file, ready.skip))
    insert_derived(connection, body, derived, ordering)
    flagset = flag_id(connection, flags) if flagset is None else flagset
    execute("INSERT INTO message VALUES (?, ?, ?, ?, ?, ?)", (mailbox, uid, modseq, flagset, body, int(now)))
    if ready.key:
        execute(
            "INSERT INTO delivery (key, mailbox, uidvalidity, uid, modseq, delivered) VALUES (?, ?, ?, ?, ?, ?)",
            (ready.key, mailbox, uidvalidity, uid, modseq, now),
        )
    return Appended(mailbox, uidvalidity, uid, modseq)
