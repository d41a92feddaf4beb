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
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from angarium.mailstore.interface import Changes, MessageState
from angarium.protocols.imap.sequence import SequenceSet

Flags = frozenset[str]
Ranges = tuple[tuple[int, int], ...]
"""Half-open ranges of UIDs, ascending."""

_BLOCK = 1024
"""Messages that are compared as one block of memory."""
_FEW = 64
"""Up to so many vanished messages are cut out one by one; more are cheaper all at once."""


class Snapshot:
    """A mailbox at one moment: parallel columns by message number.

    Attributes:
        uids: ascending, 4 bytes each.
        modseqs: 8 bytes each.
        flags: shared sets.
        highestmodseq: changes after this one are not in it.
    """

    __slots__ = ("_keywords", "_kinds", "flags", "highestmodseq", "modseqs", "uids")

    def __init__(self, uids: array[int], modseqs: array[int], flags: list[Flags], highestmodseq: int) -> None:
        self.uids = uids
        self.modseqs = modseqs
        self.flags = flags
        self.highestmodseq = highestmodseq
        self._keywords: Flags | None = None
        self._kinds: frozenset[Flags] | None = None

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
            self._keywords = frozenset(name for flags in self.kinds for name in flags if not name.startswith("\\"))
        return self._keywords

    @property
    def kinds(self) -> frozenset[Flags]:
        """The combinations of flags that occur."""
        if self._kinds is None:
            self._kinds = frozenset(self.flags)
        return self._kinds

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
        if len(gone) <= _FEW:
            result = self._copy(self.highestmodseq)
            for at in sorted(gone, reverse=True):
                del result.uids[at], result.modseqs[at], result.flags[at]
            return result
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
    """From ``old`` to ``new``. Equal stretches are compared as blocks of memory, so a few changes cost little."""
    if old is new:
        return NO_DIFFERENCE
    count = len(old)
    # UIDs only grow: what is in both is all of ``new`` up to the last UID of ``old``.
    kept = bisect_right(new.uids, old.uids[-1]) if count else 0
    found = _aligned(old, new, kept) if 0 <= count - kept <= _FEW else None
    vanished, changed = found if found is not None else _looked_up(old, new)
    survivors = count - len(vanished)
    return Difference(vanished, changed, len(new) if len(new) != survivors else -1)


def _aligned(old: Snapshot, new: Snapshot, kept: int) -> tuple[list[int], list[int]] | None:
    """Vanished and changed positions when few have vanished; None when the columns cannot be aligned so."""
    vanished: list[int] = []
    changed: list[int] = []
    here = there = 0
    for _gap in range(len(old) - kept + 1):
        length = _common(old.uids, here, new.uids, there, kept - there)
        for start in range(0, length, _BLOCK):
            stop = min(start + _BLOCK, length)
            before, now = old.modseqs[here + start : here + stop], new.modseqs[there + start : there + stop]
            if before != now:
                pairs = enumerate(zip(before, now, strict=True), there + start)
                changed.extend(at for at, (one, other) in pairs if one != other)
        here += length
        there += length
        if here < len(old):
            vanished.append(here)
            here += 1
    return (vanished, changed) if there == kept and here == len(old) else None


def _common(left: array[int], at: int, right: array[int], other: int, limit: int) -> int:
    """How many entries are equal from those places on, at most ``limit``."""
    low, high = 0, min(limit, len(left) - at)
    while low < high:
        middle = (low + high + 1) // 2
        if left[at + low : at + middle] == right[other + low : other + middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _looked_up(old: Snapshot, new: Snapshot) -> tuple[list[int], list[int]]:
    """Vanished and changed positions, whatever the two have in common."""
    places = dict(zip(new.uids, range(len(new)), strict=True))
    vanished, changed = [], []
    for at, uid in enumerate(old.uids):
        place = places.get(uid, -1)
        if place < 0:
            vanished.append(at)
        elif old.modseqs[at] != new.modseqs[place]:
            changed.append(place)
    return vanished, changed


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
    r"""A session's place in a mailbox.

    Attributes:
        snapshot: what the client has been told.
        recent: the UIDs that are \Recent in this session (RFC 3501 section 2.3.2), whether there or expunged.
        saved: UIDs of the last ``SEARCH RETURN (SAVE)`` (RFC 5182).
        complete: the modseq up to which the client has been told everything, what vanished included.
    """

    __slots__ = ("_held_back", "complete", "recent", "saved", "snapshot")

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self._held_back: tuple[Snapshot, Snapshot] | None = None  # the newest, and what was shown in its place
        self.complete = snapshot.highestmodseq
        self.saved: Sequence[int] = ()
        self.recent: Ranges = ()

    def advance(self, latest: Snapshot, *, expunge: bool) -> tuple[Snapshot, Difference]:
        """Go on to ``latest``; the snapshot that is shown now, and the difference to tell.

        With ``expunge`` False vanished messages stay, to be told another time.
        """
        held = self._held_back
        if not expunge and held is not None and held[0] is latest and held[1] is self.snapshot:
            return self.snapshot, NO_DIFFERENCE  # a client that fetches one by one does not pay for it each time
        target = latest if expunge or latest is self.snapshot else keeping_vanished(self.snapshot, latest)
        found = difference(self.snapshot, target)
        if target is latest:
            self.reach(latest)
        else:
            self.snapshot = target
            self._held_back = (latest, target)
        return target, found

    def reach(self, latest: Snapshot) -> None:
        """The client has been told all that ``latest`` has."""
        self.snapshot = latest
        self.complete = latest.highestmodseq
        self._held_back = None

    def add_recent(self, low: int, high: int) -> None:
        r"""UIDs from ``low`` up to ``high`` are \Recent here; above all that were."""
        if low >= high:
            return
        if self.recent and self.recent[-1][1] >= low:
            low = self.recent[-1][0]
            self.recent = self.recent[:-1]
        self.recent = (*self.recent, (low, high))

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


def recent_spans(snapshot: Snapshot, recent: Ranges) -> list[range]:
    r"""The positions of what is \Recent."""
    uids = snapshot.uids
    return [range(bisect_left(uids, low), bisect_left(uids, high)) for low, high in recent]


def recent_count(snapshot: Snapshot, recent: Ranges) -> int:
    r"""How many messages are \Recent."""
    return sum(map(len, recent_spans(snapshot, recent)))


def _runs(positions: list[int]) -> list[tuple[int, int]]:
    runs: list[tuple[int, int]] = []
    for at in sorted(positions):
        if runs and runs[-1][1] == at:
            runs[-1] = (runs[-1][0], at + 1)
        else:
            runs.append((at, at + 1))
    return runs
