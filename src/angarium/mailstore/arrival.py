"""The arrival of a message in an account: the one writing function that is asked for thousands of times a second.

Each statement that the writer's thread runs gives the interpreter away and waits to get it back; beside a busy event
loop that costs more than the statement. So all that has to be known before a message is stored comes in one row.

Runs inside a transaction of the account's writer, and like ``writing`` neither begins nor ends one.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from angarium.mailstore import quota
from angarium.mailstore.derived import Derived
from angarium.mailstore.interface import Appended, NoSuchMailboxError
from angarium.mailstore.rows import one_row
from angarium.mailstore.writing import flag_id, insert_derived, spelt
from angarium.model.quota import Excess, QuotaPlan, Usage
from angarium.runtime.sqlite import Connection


class Ready(Struct, frozen=True):
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
    exempt: bool = False


_COUNT = """
UPDATE mailbox SET uidnext = ?, highestmodseq = ?, messages = messages + 1, unseen = unseen + ?,
    deleted = deleted + ?, bytes = bytes + ? WHERE id = ?
"""
_ASK = """
SELECT m.id, m.uidvalidity, m.uidnext, m.highestmodseq + 1,
    d.mailbox, d.uidvalidity, d.uid, d.modseq,
    (SELECT id FROM flagset WHERE names = ?3), (SELECT id FROM ordering WHERE names = ?4), {held}
FROM (SELECT 1) LEFT JOIN mailbox m ON m.name = ?1 AND m.selectable LEFT JOIN delivery d ON d.key = ?2 {usage}
"""
_ASK_ALONE = _ASK.format(held="NULL", usage="")
_ASK_HELD = _ASK.format(
    held="m.special_use, u.bytes, u.messages",
    usage="JOIN (SELECT sum(bytes) AS bytes, sum(messages) AS messages FROM mailbox) u",
)
"""With what the account holds, for those with a quota; one that has no mailbox at all takes no message."""


class Tally:
    """What an account that has a quota holds: before the messages, and with those that are stored."""

    __slots__ = ("after", "before")

    def __init__(self) -> None:
        self.before: Usage | None = None
        self.after = Usage(0, 0)


def append(
    connection: Connection, ready: Sequence[Ready], plan: QuotaPlan, now: float, tally: Tally | None = None
) -> list[Appended]:
    """Store the messages, all or none. Raises NoSuchMailboxError and OverQuotaError."""
    if plan.counts and tally is None:
        tally = Tally()
    return [_append(connection, one, plan, now, tally) for one in ready]


def _append(connection: Connection, ready: Ready, plan: QuotaPlan, now: float, tally: Tally | None) -> Appended:
    derived = ready.derived
    flags = spelt(connection, ready.flags)
    (
        mailbox, uidvalidity, uid, modseq, old_mailbox, old_uidvalidity, old_uid, old_modseq,
        flagset, ordering, *held,
    ) = one_row(
        connection,
        _ASK_ALONE if tally is None else _ASK_HELD,
        (ready.mailbox, ready.key, " ".join(sorted(flags)), derived.ordering),
    )  # fmt: skip
    if old_mailbox is not None:
        return Appended(old_mailbox, old_uidvalidity, old_uid, old_modseq, duplicate=True)
    if mailbox is None:
        raise NoSuchMailboxError(ready.mailbox)
    if plan.mail and derived.size > plan.mail and not ready.exempt:
        raise quota.refusal(Excess.MAIL)
    if tally is not None:
        _count(connection, ready, plan, tally, *held)
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


def _count(
    connection: Connection, ready: Ready, plan: QuotaPlan, tally: Tally, special_use: str, size: int, messages: int
) -> None:
    """Count a message that is about to be stored. Raises OverQuotaError."""
    held = quota.usage(connection, plan) if plan.ignores else Usage(size, messages)
    if tally.before is None:
        tally.before = held
    tally.after = held
    if not plan.is_counted(ready.mailbox, special_use):
        return
    size = ready.derived.size
    if plan.limit and not ready.exempt:
        limit = plan.limit_in(ready.mailbox, special_use)
        excess = plan.excess(limit, held, size, delivery=bool(ready.key))
        if excess is not None:
            raise quota.refusal(excess)
    tally.after = Usage(held.bytes + size, held.messages + 1)
