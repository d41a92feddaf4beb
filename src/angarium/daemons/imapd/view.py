"""What a session believes of its selected mailbox: message numbers, UIDs, flags. No I/O; the clock is not needed.

A ``Snapshot`` is a state of a mailbox, never changed after it is built, so that all sessions that know the same state
share one object: a thousand idling sessions of one mailbox cost one. A ``View`` is a session's place: the snapshot
that its client has been told of. What the client has still to hear is the difference between its snapshot and the
newest one (``difference``), computed from the states alone: a lost wake-up costs nothing, many changes become one.

When EXPUNGE may be shown (RFC 9051 section 7.5.1): not while no command is in progress, except in IDLE (RFC 2177),
and not during FETCH, STORE and SEARCH. The caller says; while it may not, vanished messages keep their numbers.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from angarium.mailstore.interface import Changes, MessageState
from angarium.protocols.imap.sequence import SequenceSet

Flags = frozenset[str]


class Snapshot:
    """A mailbox at one moment: parallel columns by message number.

    Attributes:
        uids: ascending, 4 bytes each.
        modseqs: 8 bytes each.
        flags: shared sets.
        highestmodseq: changes after this one are not in it.
    """

    __slots__ = ("_keywords", "flags", "highestmodseq", "modseqs", "uids")

    def __init__(self, uids: array[int], modseqs: array[int], flags: list[Flags], highestmodseq: int) -> None:
        self.uids = uids
        self.modseqs = modseqs
        self.flags = flags
        self.highestmodseq = highestmodseq
        self._keywords: Flags | None = None

    @classmethod
    def build(cls, states: Sequence[MessageState], highestmodseq: int) -> Snapshot:
        """From all states of a mailbox, by UID."""
        return cls(
            array("I", [state.uid for state in states]),
            array("Q", [state.modseq for state in states]),
            [state.flags for state in states],
            highestmodseq,
        )

    @property
    def keywords(self) -> Flags:
        """Keywords (flags without a backslash) that occur."""
        if self._keywords is None:
            self._keywords = frozenset(name for flags in set(self.flags) for name in flags if not name.startswith("\\"))
        return self._keywords

    def __len__(self) -> int:
        return len(self.uids)

    def position(self, uid: int) -> int:
        """Where a UID is; -1 when it is not there."""
        at = bisect_left(self.uids, uid)
        return at if at < len(self.uids) and self.uids[at] == uid else -1

    def with_states(self, states: Sequence[MessageState], highestmodseq: int) -> Snapshot:
        """With the flags and modseqs of ``states``, and those messages appended that are new."""
        if not states:
            return self if highestmodseq == self.highestmodseq else self._copy(highestmodseq)
        result = self._copy(highestmodseq)
        uids, modseqs, flags = result.uids, result.modseqs, result.flags
        if len(states) == len(uids) and states[0].uid == uids[0] and all(map(_same_uid, states, uids)):
            result.modseqs = array("Q", [state.modseq for state in states])
            result.flags = [state.flags for state in states]
            return result
        last = uids[-1] if uids else 0
        places = dict(zip(uids, range(len(uids)), strict=True)) if len(states) > 500 else None
        fresh = []
        for state in states:
            if state.uid > last:
                fresh.append(state)
                continue
            at = places.get(state.uid, -1) if places is not None else self.position(state.uid)
            if at >= 0:
                modseqs[at] = state.modseq
                flags[at] = state.flags
        fresh.sort(key=lambda state: state.uid)
        uids.extend(state.uid for state in fresh)
        modseqs.extend(state.modseq for state in fresh)
        flags.extend(state.flags for state in fresh)
        return result

    def without(self, vanished: Iterable[int]) -> Snapshot:
        """Without those UIDs."""
        gone = {at for at in map(self.position, vanished) if at >= 0}
        if not gone:
            return self
        keep = [at for at in range(len(self.uids)) if at not in gone]
        uids, modseqs, flags = self.uids, self.modseqs, self.flags
        return Snapshot(
            array("I", [uids[at] for at in keep]),
            array("Q", [modseqs[at] for at in keep]),
            [flags[at] for at in keep],
            self.highestmodseq,
        )

    def after(self, changes: Changes) -> Snapshot:
        """The state after ``changes``; itself when they are none."""
        highest = max(changes.highestmodseq, self.highestmodseq)
        base = self.without(changes.vanished) if changes.vanished else self
        return base.with_states(changes.states, highest)

    def _copy(self, highestmodseq: int) -> Snapshot:
        return Snapshot(self.uids[:], self.modseqs[:], self.flags[:], highestmodseq)


def _same_uid(state: MessageState, uid: int) -> bool:
    return state.uid == uid


@dataclass(frozen=True, slots=True)
class Difference:
    """What a client that knows one snapshot has to hear to know another.

    Attributes:
        vanished: positions in the old snapshot, ascending.
        changed: positions in the new snapshot of messages that are in both and whose modseq differs.
        exists: the new number of messages, or -1 when EXPUNGEs alone lead there.
    """

    vanished: Sequence[int]
    changed: Sequence[int]
    exists: int

    @property
    def empty(self) -> bool:
        """Nothing to say."""
        return not self.vanished and not self.changed and self.exists < 0


NO_DIFFERENCE = Difference((), (), -1)


def difference(old: Snapshot, new: Snapshot) -> Difference:
    """From ``old`` to ``new``. Equal columns are compared as blocks of memory."""
    if old is new:
        return NO_DIFFERENCE
    count = len(old)
    prefix = new.uids if len(new) == count else new.uids[:count]
    if old.uids == prefix:
        changed: Sequence[int] = ()
        if old.modseqs != new.modseqs[:count]:
            pairs = zip(old.modseqs, new.modseqs, strict=False)
            changed = [at for at, (before, now) in enumerate(pairs) if before != now]
        return Difference((), changed, len(new) if len(new) != count else -1)
    places = dict(zip(new.uids, range(len(new)), strict=True))
    vanished, changes = [], []
    for at, uid in enumerate(old.uids):
        place = places.get(uid, -1)
        if place < 0:
            vanished.append(at)
        elif old.modseqs[at] != new.modseqs[place]:
            changes.append(place)
    survivors = count - len(vanished)
    return Difference(vanished, changes, len(new) if len(new) != survivors else -1)


def keeping_vanished(old: Snapshot, new: Snapshot) -> Snapshot:
    """``new``, with the messages that have vanished since ``old`` still in their places."""
    gone = list(difference(old, new).vanished)
    if not gone:
        return new
    rows = list(zip(new.uids, new.modseqs, new.flags, strict=True))
    rows.extend((old.uids[at], old.modseqs[at], old.flags[at]) for at in gone)
    rows.sort(key=lambda row: row[0])
    return Snapshot(
        array("I", [row[0] for row in rows]),
        array("Q", [row[1] for row in rows]),
        [row[2] for row in rows],
        new.highestmodseq,
    )


class View:
    """A session's place in a mailbox.

    Attributes:
        snapshot: what the client has been told.
        saved: UIDs of the last ``SEARCH RETURN (SAVE)`` (RFC 5182).
    """

    __slots__ = ("saved", "snapshot")

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.saved: Sequence[int] = ()

    def advance(self, latest: Snapshot, *, expunge: bool) -> tuple[Snapshot, Difference]:
        """Go on to ``latest``; the snapshot that is shown now, and the difference to tell.

        With ``expunge`` False vanished messages stay, to be told another time.
        """
        target = latest if expunge or latest is self.snapshot else keeping_vanished(self.snapshot, latest)
        found = difference(self.snapshot, target)
        self.snapshot = target
        return target, found

    def ranges(self, numbers: SequenceSet, *, uid: bool) -> list[tuple[int, int]]:
        """The half-open ranges of positions that a sequence set names; unknown UIDs are no error.

        Raises:
            IndexError: a message number that does not exist.
        """
        uids = self.snapshot.uids
        if numbers.saved:
            return _runs([at for at in map(self.snapshot.position, self.saved) if at >= 0])
        if uid:
            return numbers.positions(uids)
        if numbers.exceeds(len(uids)):
            msg = "no such message"
            raise IndexError(msg)
        return [(low - 1, high) for low, high in numbers.numbers(len(uids))]

    def positions(self, numbers: SequenceSet, *, uid: bool) -> Sequence[int]:
        """The same, as positions in order. Raises IndexError too."""
        ranges = self.ranges(numbers, uid=uid)
        if len(ranges) == 1:
            return range(*ranges[0])
        return [at for start, stop in ranges for at in range(start, stop)]

    def uids_at(self, positions: Sequence[int]) -> list[int]:
        """The UIDs of positions."""
        uids = self.snapshot.uids
        if isinstance(positions, range) and positions.step == 1:
            return uids[positions.start : positions.stop].tolist()
        return [uids[at] for at in positions]


def _runs(positions: list[int]) -> list[tuple[int, int]]:
    runs: list[tuple[int, int]] = []
    for at in sorted(positions):
        if runs and runs[-1][1] == at:
            runs[-1] = (runs[-1][0], at + 1)
        else:
            runs.append((at, at + 1))
    return runs
