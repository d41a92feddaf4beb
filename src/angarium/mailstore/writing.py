r"""What changes an account's database: functions that run inside a transaction of the account's writer.

Each takes the writer's connection, does its work with few statements whatever the number of messages, keeps the
counters of mailbox and account in step, and returns what the caller announces after the commit. None begins or ends a
transaction. They raise the errors of ``interface``; the writer then rolls back what they did.
"""

# ruff: noqa: S608 - the statements are put together from this package's own names; values are always bound.

from __future__ import annotations

from collections.abc import Sequence

from angarium.mailstore import quota, vanished
from angarium.mailstore.derived import Derived
from angarium.mailstore.interface import (
    Copied,
    FlagOperation,
    MessageState,
    NoSuchMailboxError,
)
from angarium.mailstore.reading import flag_set, integers
from angarium.mailstore.rows import all_rows, maybe_row, one_row
from angarium.mailstore.schema import COMMON_FIELDS, SOUGHT_FIELDS
from angarium.mailstore.uidset import condition
from angarium.model.quota import QuotaPlan
from angarium.runtime.sqlite import Connection

_INSERT_FIELD = f"INSERT INTO field VALUES (?, ?{', ?' * (len(SOUGHT_FIELDS) + len(COMMON_FIELDS))})"
PURGE_AT_ONCE = 200
_FLAG_SETS_KEPT = 200
"""Dead bodies that one transaction removes."""


def target(connection: Connection, name: str) -> tuple[int, int, int, int]:
    """``(id, uidvalidity, uidnext, highestmodseq)`` of a selectable mailbox. Raises NoSuchMailboxError."""
    row = maybe_row(
        connection, "SELECT id, uidvalidity, uidnext, highestmodseq FROM mailbox WHERE name = ? AND selectable", (name,)
    )
    if row is None:
        raise NoSuchMailboxError(name)
    identity, uidvalidity, uidnext, highest = row
    return identity, uidvalidity, uidnext, highest


def advance(connection: Connection, mailbox: int) -> int:
    """The modseq for one change of the mailbox. Raises NoSuchMailboxError."""
    row = maybe_row(
        connection,
        "UPDATE mailbox SET highestmodseq = highestmodseq + 1 WHERE id = ? AND selectable RETURNING highestmodseq",
        (mailbox,),
    )
    if row is None:
        raise NoSuchMailboxError(str(mailbox))
    return int(row[0])


def spelt(connection: Connection, flags: frozenset[str]) -> frozenset[str]:
    """The flags with each keyword as it was spelt when the account saw it first (RFC 9051 section 2.3.2)."""
    keywords = [flag for flag in flags if not flag.startswith("\\")]
    if not keywords:
        return flags
    known = {flag for flag in flags if flag.startswith("\\")}
    for keyword in keywords:
        folded = keyword.casefold()
        connection.execute("INSERT INTO keyword VALUES (?, ?) ON CONFLICT DO NOTHING", (folded, keyword))
        known.add(one_row(connection, "SELECT spelling FROM keyword WHERE folded = ?", (folded,))[0])
    return frozenset(known)


def flag_id(connection: Connection, flags: frozenset[str]) -> int:
    """The id of a combination of flags; a new one is entered."""
    names = " ".join(sorted(flags))
    row = maybe_row(connection, "SELECT id FROM flagset WHERE names = ?", (names,))
    if row is None:
        connection.execute(
            "INSERT INTO flagset (names, seen, deleted) VALUES (?, ?, ?)",
            (names, "\\Seen" in flags, "\\Deleted" in flags),
        )
        return connection.last_insert_rowid()
    return int(row[0])


def _ordering_id(connection: Connection, names: str) -> int:
    """The id of an order of header fields; 0 for an irregular header."""
    if not names:
        return 0
    row = maybe_row(connection, "SELECT id FROM ordering WHERE names = ?", (names,))
    if row is None:
        connection.execute("INSERT INTO ordering (names) VALUES (?)", (names,))
        return connection.last_insert_rowid()
    return int(row[0])


def _name_and_use(connection: Connection, mailbox: int) -> tuple[str, str]:
    """What quota rules know a mailbox by."""
    name, special_use = one_row(connection, "SELECT name, special_use FROM mailbox WHERE id = ?", (mailbox,))
    return name, special_use


def insert_derived(connection: Connection, body: int, derived: Derived, ordering: int | None = None) -> None:
    """Enter what is derived from a body, apart from the row of the message list; ``ordering`` if it is known."""
    execute = connection.execute
    execute("INSERT INTO structure VALUES (?, ?, ?, ?)", (body, derived.body, derived.bodystructure, derived.parts))
    if ordering is None:
        ordering = _ordering_id(connection, derived.ordering)
    execute(_INSERT_FIELD, (body, ordering, *derived.sought, *derived.common))
    execute("INSERT INTO text VALUES (?, ?, ?)", (body, derived.body_text, derived.header_text))


def claim_recent(connection: Connection, mailbox: int, below: int) -> int:
    """Messages below that UID are recent no more; the first that was. Raises NoSuchMailboxError."""
    row = maybe_row(connection, "SELECT firstrecent FROM mailbox WHERE id = ?", (mailbox,))
    if row is None:
        raise NoSuchMailboxError(str(mailbox))
    if row[0] < below:
        connection.execute("UPDATE mailbox SET firstrecent = min(?, uidnext) WHERE id = ?", (below, mailbox))
    return int(row[0])


def prune_deliveries(connection: Connection, before: float) -> None:
    """Forget the delivery keys from before that time."""
    connection.execute("DELETE FROM delivery WHERE delivered < ?", (before,))


def store_flags(
    connection: Connection,
    mailbox: int,
    uids: Sequence[int],
    operation: FlagOperation,
    flags: frozenset[str],
    unchanged_since: int,
) -> tuple[list[MessageState], list[int], int]:
    """Change flags; the new states, the UIDs kept from it, and the mailbox's modseq (0: nothing changed)."""
    flags = spelt(connection, flags)
    where, bindings = condition(uids)
    scope = f"mailbox = ? AND {where}"
    bound: tuple[object, ...] = (mailbox, *bindings)
    kept: list[int] = []
    if unchanged_since >= 0:
        row = one_row(
            connection, f"SELECT group_concat(uid) FROM message WHERE {scope} AND modseq > ?", (*bound, unchanged_since)
        )
        kept = integers(row[0])
        scope += " AND modseq <= ?"
        bound = (*bound, unchanged_since)
    present = all_rows(
        connection,
        f"SELECT f.id, f.names, count(*) FROM message m JOIN flagset f ON f.id = m.flags WHERE {scope} GROUP BY f.id",
        bound,
    )
    shared: dict[int, frozenset[str]] = {}
    change: dict[int, int] = {}
    unseen = deleted = 0
    for identity, names, count in present:
        old = flag_set(names)
        new = _apply(old, operation, flags)
        if new == old:
            continue
        change[identity] = flag_id(connection, new)
        shared[change[identity]] = flag_set(" ".join(sorted(new)))
        unseen += count * (("\\Seen" in old) - ("\\Seen" in new))
        deleted += count * (("\\Deleted" in new) - ("\\Deleted" in old))
    if not change:
        return [], kept, 0
    modseq = advance(connection, mailbox)
    cases = " ".join(f"WHEN {old} THEN {new}" for old, new in change.items())
    changing = ",".join(map(str, change))
    connection.execute(
        f"UPDATE message SET modseq = ?, flags = CASE flags {cases} END WHERE {scope} AND flags IN ({changing})",
        (modseq, *bound),
    )
    if unseen or deleted:
        connection.execute(
            "UPDATE mailbox SET unseen = unseen + ?, deleted = deleted + ? WHERE id = ?", (unseen, deleted, mailbox)
        )
    row = one_row(
        connection,
        "SELECT group_concat(uid), group_concat(flags) FROM"
        " (SELECT uid, flags FROM message WHERE mailbox = ? AND modseq = ? ORDER BY uid)",
        (mailbox, modseq),
    )
    _forget_flag_sets(connection, max(change.values()))
    states = [
        MessageState(uid, modseq, shared[one]) for uid, one in zip(integers(row[0]), integers(row[1]), strict=True)
    ]
    return states, kept, modseq


def _forget_flag_sets(connection: Connection, newest: int) -> None:
    """Now and then remove the combinations that no message has: a client can make any number of them.

    The newest stays, so that no id is given a second time.
    """
    if newest % _FLAG_SETS_KEPT == 0:
        connection.execute(
            "DELETE FROM flagset WHERE id < (SELECT max(id) FROM flagset) AND id NOT IN (SELECT flags FROM message)"
        )


def _apply(old: frozenset[str], operation: FlagOperation, flags: frozenset[str]) -> frozenset[str]:
    if operation is FlagOperation.ADD:
        return old | flags
    if operation is FlagOperation.REMOVE:
        return old - flags
    return flags


_COUNT = (
    "SELECT count(*), coalesce(sum(b.size), 0), coalesce(sum(NOT f.seen), 0), coalesce(sum(f.deleted), 0),"
    " group_concat(m.uid) FROM message m JOIN body b ON b.id = m.body JOIN flagset f ON f.id = m.flags"
)


def copy(
    connection: Connection, mailbox: int, uids: Sequence[int], name: str, plan: QuotaPlan, now: float
) -> tuple[Copied, int, int]:
    """Copy messages; COPYUID, the target mailbox and its modseq (0: nothing copied). Raises OverQuotaError."""
    identity, uidvalidity, uidnext, highest = target(connection, name)
    where, bindings = condition(uids, "m.uid")
    count, size, unseen, deleted, found = one_row(
        connection, f"{_COUNT} WHERE m.mailbox = ? AND {where}", (mailbox, *bindings)
    )
    if not count:
        return Copied(uidvalidity, ()), identity, 0
    if plan.limit:
        quota.require_room(connection, plan, _name_and_use(connection, identity), size, count)
    modseq = highest + 1
    connection.execute(
        "INSERT INTO shared SELECT m.body, count(*) FROM message m"
        f" WHERE m.mailbox = ? AND {where} GROUP BY m.body"
        " ON CONFLICT (body) DO UPDATE SET copies = copies + excluded.copies",
        (mailbox, *bindings),
    )
    _transfer(connection, mailbox, where, bindings, (identity, uidnext, modseq, int(now)))
    _account_for(connection, identity, modseq, (count, size, unseen, deleted))
    return Copied(uidvalidity, _pairs(found, uidnext)), identity, modseq


def move(
    connection: Connection, mailbox: int, uids: Sequence[int], name: str, plan: QuotaPlan, now: float
) -> tuple[Copied, int, int, int]:
    """Move messages; COPYUID, the target mailbox, its modseq, and the source's (0: nothing moved).

    Raises:
        OverQuotaError: what did not count comes to count.
    """
    identity, uidvalidity, uidnext, highest = target(connection, name)
    where, bindings = condition(uids, "m.uid")
    count, size, unseen, deleted, found = one_row(
        connection, f"{_COUNT} WHERE m.mailbox = ? AND {where}", (mailbox, *bindings)
    )
    if not count:
        return Copied(uidvalidity, ()), identity, 0, 0
    if plan.ignores and not plan.is_counted(*_name_and_use(connection, mailbox)):
        quota.require_room(connection, plan, _name_and_use(connection, identity), size, count)
    modseq = highest + 1
    moved = integers(found)
    _transfer(connection, mailbox, where, bindings, (identity, uidnext, modseq, int(now)))
    _account_for(connection, identity, modseq, (count, size, unseen, deleted))
    source_modseq = _vanish(connection, mailbox, moved)
    _account_for(connection, mailbox, source_modseq, (-count, -size, -unseen, -deleted), uids=0)
    return Copied(uidvalidity, _pairs(found, uidnext)), identity, modseq, source_modseq


def _transfer(
    connection: Connection, mailbox: int, where: str, bindings: tuple[object, ...], to: tuple[int, int, int, int]
) -> None:
    identity, uidnext, modseq, now = to
    connection.execute(
        "INSERT INTO message SELECT ?, ? + row_number() OVER (ORDER BY m.uid) - 1, ?, m.flags, m.body, ?"
        f" FROM message m WHERE m.mailbox = ? AND {where} ORDER BY m.uid",
        (identity, uidnext, modseq, now, mailbox, *bindings),
    )


def _account_for(
    connection: Connection, mailbox: int, modseq: int, change: tuple[int, int, int, int], uids: int | None = None
) -> None:
    count, size, unseen, deleted = change
    connection.execute(
        "UPDATE mailbox SET uidnext = uidnext + ?, highestmodseq = max(highestmodseq, ?), messages = messages + ?,"
        " bytes = bytes + ?, unseen = unseen + ?, deleted = deleted + ? WHERE id = ?",
        (count if uids is None else uids, modseq, count, size, unseen, deleted, mailbox),
    )


def _pairs(found: str, uidnext: int) -> list[tuple[int, int]]:
    uids = sorted(integers(found))
    return list(zip(uids, range(uidnext, uidnext + len(uids)), strict=True))


def _vanish(connection: Connection, mailbox: int, uids: Sequence[int]) -> int:
    """Take the rows out of the mailbox and remember that they vanished; the modseq of that."""
    modseq = advance(connection, mailbox)
    where, bindings = condition(uids)
    connection.execute(f"DELETE FROM message WHERE mailbox = ? AND {where}", (mailbox, *bindings))
    vanished.remember(connection, mailbox, modseq, uids)
    return modseq


def remove(connection: Connection, mailbox: int, uids: Sequence[int] | None, *, flagged: bool) -> tuple[list[int], int]:
    r"""Remove messages (all for None), with ``flagged`` only those that are \Deleted; their UIDs, and the modseq."""
    where, bindings = ("1", ()) if uids is None else condition(uids, "m.uid")
    if flagged:
        where += " AND f.deleted"
    count, size, unseen, deleted, found = one_row(
        connection, f"{_COUNT} WHERE m.mailbox = ? AND {where}", (mailbox, *bindings)
    )
    if not count:
        return [], 0
    removed = sorted(integers(found))
    release(connection, mailbox, removed)
    modseq = _vanish(connection, mailbox, removed)
    _account_for(connection, mailbox, modseq, (-count, -size, -unseen, -deleted), uids=0)
    return removed, modseq


def release(connection: Connection, mailbox: int, uids: Sequence[int] | None) -> None:
    """Take one reference off the bodies of these messages (all for None); those without another are dead."""
    where, bindings = ("1", ()) if uids is None else condition(uids)
    if one_row(connection, "SELECT EXISTS (SELECT 1 FROM shared)")[0]:
        _release_shared(connection, mailbox, where, bindings)
        return
    connection.execute(
        f"INSERT INTO dead SELECT body FROM message WHERE mailbox = ? AND {where} ORDER BY body", (mailbox, *bindings)
    )


def _release_shared(connection: Connection, mailbox: int, where: str, bindings: tuple[object, ...]) -> None:
    """The general case: a body may have copies elsewhere, and also among these messages."""
    connection.execute("CREATE TEMP TABLE IF NOT EXISTS released (body INTEGER PRIMARY KEY, copies INTEGER NOT NULL)")
    connection.execute("DELETE FROM temp.released")
    connection.execute(
        f"INSERT INTO temp.released SELECT body, count(*) FROM message WHERE mailbox = ? AND {where} GROUP BY body",
        (mailbox, *bindings),
    )
    connection.execute(
        "INSERT INTO dead SELECT r.body FROM temp.released r LEFT JOIN shared s ON s.body = r.body"
        " WHERE r.copies > coalesce(s.copies, 0)"
    )
    connection.execute(
        "UPDATE shared SET copies = shared.copies - r.copies FROM temp.released r WHERE r.body = shared.body"
    )
    connection.execute("DELETE FROM shared WHERE copies <= 0")


def purge(connection: Connection) -> tuple[list[str], bool]:
    """Remove some of the dead bodies; the files that may be unlinked after the commit, and whether there are more."""
    dead = [row[0] for row in connection.execute("SELECT body FROM dead ORDER BY body LIMIT ?", (PURGE_AT_ONCE,))]
    if not dead:
        return [], False
    where, bindings = condition(dead, "id")
    files = [
        row[0] for row in connection.execute(f"SELECT file FROM content WHERE {where} AND file IS NOT NULL", bindings)
    ]
    for table in ("content", "structure", "field", "text", "body"):
        connection.execute(f"DELETE FROM {table} WHERE {where}", bindings)
    where, bindings = condition(dead, "body")
    connection.execute(f"DELETE FROM dead WHERE {where}", bindings)
    return files, len(dead) == PURGE_AT_ONCE
