"""Untagged responses about messages that a command did not ask for: EXPUNGE, EXISTS, FETCH with flags."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from angarium.daemons.imapd.view import Difference, Flags, Snapshot
from angarium.protocols.imap import render

_CACHE_LIMIT = 10_000


class FlagWords:
    """Rendered flag lists, once for each set of flags. Bounded: a client that invents keywords only costs speed."""

    def __init__(self) -> None:
        self._known: dict[Flags, bytes] = {}

    def of(self, flags: Iterable[Flags]) -> list[bytes]:
        """The wire form of each."""
        known = self._known
        try:
            return [known[each] for each in flags]
        except KeyError:
            return [self.one(each) for each in flags]

    def one(self, flags: Flags) -> bytes:
        """The wire form of one set."""
        known = self._known
        words = known.get(flags)
        if words is None:
            if len(known) >= _CACHE_LIMIT:
                known.clear()
            words = known[flags] = render.flags(flags)
        return words


FLAG_WORDS = FlagWords()
"""Process-wide: the sets are values, and the same few occur in every mailbox."""


def render_difference(new: Snapshot, found: Difference, *, uid: bool, modseq: bool) -> bytes:
    """EXPUNGEs first, then EXISTS, then the flags that changed."""
    parts = [b"* %d EXPUNGE\r\n" % (at + 1 - before) for before, at in enumerate(found.vanished)]
    if found.exists >= 0:
        parts.append(b"* %d EXISTS\r\n" % found.exists)
    if found.changed:
        parts.append(render_states(new, found.changed, uid=uid, modseq=modseq))
    return b"".join(parts)


def render_states(
    snapshot: Snapshot, positions: Sequence[int], *, uid: bool, modseq: bool, flags: bool = True
) -> bytes:
    """A FETCH response with the flags (and, if asked, UID and MODSEQ) of each position."""
    columns: list[Iterable[object]] = [[at + 1 for at in positions]]
    items = []
    if uid:
        items.append(b"UID %d")
        columns.append([snapshot.uids[at] for at in positions])
    if flags:
        items.append(b"FLAGS %b")
        columns.append(FLAG_WORDS.of([snapshot.flags[at] for at in positions]))
    if modseq:
        items.append(b"MODSEQ (%d)")
        columns.append([snapshot.modseqs[at] for at in positions])
    template = b"* %d FETCH (" + b" ".join(items) + b")\r\n"
    return b"".join(map(template.__mod__, zip(*columns, strict=True)))
