"""What has been expunged from a mailbox, as ranges of UIDs with the modseq at which that was (RFC 7162, QRESYNC).

Bound: ``KEEP`` ranges, and one for each gap between the messages that are there. When there are more, the older half
becomes one: ranges with nothing left between them are joined, and all of them get the modseq of the youngest. Who asks
from before it hears of UIDs that he may know to be gone, never of one that is there, and misses none (section 3.2.10.1
leaves the server free to tell too many); HIGHESTMODSEQ goes back as far as before, and nobody has to begin anew.

These functions run inside a transaction of the account's writer, or on its reader.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import chain

from angarium.mailstore.rows import all_rows, one_row
from angarium.runtime.sqlite import Connection

KEEP = 4096
"""Ranges of a mailbox, beyond one for each of its messages, above which the older ones are joined."""

_MOST = 2**63 - 1


def remember(connection: Connection, mailbox: int, modseq: int, uids: Sequence[int]) -> None:
    """These UIDs, whose rows are gone already, vanished at ``modseq``."""
    found = joined((uid, uid) for uid in sorted(uids))
    connection.executemany(
        "INSERT INTO vanished VALUES (?, ?, ?, ?)", [(mailbox, modseq, first, last) for first, last in found]
    )
    count, messages = one_row(
        connection,
        "UPDATE mailbox SET gaps = gaps + ? WHERE id = ? RETURNING gaps, messages",
        (len(found), mailbox),
    )
    if count > KEEP + messages:
        _compact(connection, mailbox)


def since(connection: Connection, mailbox: int, modseq: int) -> list[int]:
    """The UIDs that vanished after ``modseq``, ascending."""
    rows = all_rows(
        connection,
        "SELECT first, last FROM vanished WHERE mailbox = ? AND modseq > ? ORDER BY first",
        (mailbox, modseq),
    )
    return list(chain.from_iterable(range(first, last + 1) for first, last in joined(rows)))


def joined(
    ranges: Iterable[tuple[int, int]], present: Sequence[int] = (), *, sparse: bool = False
) -> list[tuple[int, int]]:
    """Ranges in ascending order with those made one that touch; with ``sparse`` also those with nobody between them.

    Args:
        ranges: ordered by their first UID.
        present: the UIDs that are there, ascending.
        sparse: join over UIDs that are not there.
    """
    found: list[tuple[int, int]] = []
    for first, last in ranges:
        if found:
            before = found[-1]
            at = bisect_left(present, before[1]) if sparse else 0
            if first <= before[1] + 1 or (sparse and (at == len(present) or present[at] > first)):
                found[-1] = (before[0], max(before[1], last))
                continue
        found.append((first, last))
    return found


def _compact(connection: Connection, mailbox: int) -> None:
    """Make the older ranges as few as can be."""
    young = all_rows(
        connection,
        "SELECT modseq FROM vanished WHERE mailbox = ? ORDER BY modseq DESC LIMIT 1 OFFSET ?",
        (mailbox, KEEP // 2),
    )
    until = young[0][0] if young else _MOST
    old = all_rows(
        connection,
        "SELECT first, last FROM vanished WHERE mailbox = ? AND modseq <= ? ORDER BY first",
        (mailbox, until),
    )
    text = one_row(
        connection,
        "SELECT group_concat(uid) FROM"
        " (SELECT uid FROM message WHERE mailbox = ? AND uid BETWEEN ? AND ? ORDER BY uid)",
        (mailbox, old[0][0], old[-1][0]),
    )[0]
    few = joined(old, list(map(int, text.split(","))) if text else (), sparse=True)
    connection.execute("DELETE FROM vanished WHERE mailbox = ? AND modseq <= ?", (mailbox, until))
    connection.executemany(
        "INSERT INTO vanished VALUES (?, ?, ?, ?)", [(mailbox, until, first, last) for first, last in few]
    )
    connection.execute(
        "UPDATE mailbox SET gaps = (SELECT count(*) FROM vanished WHERE mailbox = ?) WHERE id = ?", (mailbox, mailbox)
    )
