"""Untagged responses about messages that a command did not ask for: EXPUNGE, EXISTS, FETCH with flags."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

from angarium.daemons.imapd.view import Difference, Flags, Ranges, Snapshot, recent_count, recent_spans
from angarium.protocols.imap import render
from angarium.protocols.imap.sequence import compact

_CACHE_LIMIT = 10_000
_SHORT = 500
"""Bytes of a flag list that is kept rendered."""


class FlagWords:
    """Rendered flag lists, once for each set of flags. Bounded: a client that invents keywords only costs speed.

    Args:
        more: flags that stand in every list beside those of the set.
    """

    def __init__(self, more: Flags = frozenset()) -> None:
        self._more = more
        self._known: dict[Flags, bytes] = {}

    def of(self, flags: Sequence[Flags]) -> list[bytes]:
        """The wire form of each."""
        try:
            return list(map(self._known.__getitem__, flags))
        except KeyError:
            words = {each: self.one(each) for each in set(flags)}
            return list(map(words.__getitem__, flags))

    def one(self, flags: Flags) -> bytes:
        """The wire form of one set."""
        known = self._known
        words = known.get(flags)
        if words is None:
            if len(known) >= _CACHE_LIMIT:
                known.clear()
            words = render.flags(flags | self._more)
            if len(words) <= _SHORT:
                known[flags] = words
        return words


FLAG_WORDS = FlagWords()
"""Process-wide: the sets are values, and the same few occur in every mailbox."""
_RECENT_WORDS = FlagWords(frozenset({"\\Recent"}))


@dataclass(frozen=True, slots=True)
class Dialect:
    """What a client has enabled.

    Attributes:
        uid: FETCH responses tell the UID.
        modseq: and the modseq (RFC 7162 section 3.1).
        vanished: VANISHED instead of EXPUNGE (section 3.2.10).
        recent: the UIDs that are recent in the session (RFC 3501 section 2.3.2).
    """

    uid: bool = False
    modseq: bool = False
    vanished: bool = False
    recent: Ranges = ()


def render_difference(old: Snapshot, found: Difference, new: Snapshot, dialect: Dialect) -> bytes:
    """What has vanished first, then EXISTS and RECENT, then the flags that changed."""
    parts: list[bytes] = []
    if found.vanished and dialect.vanished:
        parts.append(b"* VANISHED %b\r\n" % compact(old.uids[at] for at in found.vanished))
    else:
        parts.extend(b"* %d EXPUNGE\r\n" % (at + 1 - before) for before, at in enumerate(found.vanished))
    if found.exists >= 0:
        parts.append(b"* %d EXISTS\r\n" % found.exists)
    if dialect.recent and (found.vanished or found.exists >= 0):
        count = recent_count(new, dialect.recent)
        if count != recent_count(old, dialect.recent):  # Dovecot says so of an EXPUNGE too
            parts.append(b"* %d RECENT\r\n" % count)
    if found.changed:
        parts.append(render_states(new, found.changed, uid=dialect.uid, modseq=dialect.modseq, recent=dialect.recent))
    return b"".join(parts)


def flag_words(snapshot: Snapshot, positions: Sequence[int], recent: Ranges) -> list[bytes]:
    r"""The flag list of each position (ascending), with \Recent where it belongs."""
    run = isinstance(positions, range) and positions.step == 1
    flags = (
        snapshot.flags[positions[0] : positions[-1] + 1]
        if run and positions
        else [snapshot.flags[at] for at in positions]
    )
    words = FLAG_WORDS.of(flags)
    for span in recent_spans(snapshot, recent) if recent else ():
        low, high = bisect_left(positions, span.start), bisect_left(positions, span.stop)
        words[low:high] = _RECENT_WORDS.of(flags[low:high])
    return words


def repeated(template: bytes, count: int, columns: Sequence[Iterable[object]]) -> bytes:
    """The template once for each of ``count`` rows; one ``%`` for all of them costs less than one for each."""
    return template * count % tuple(chain.from_iterable(zip(*columns, strict=True)))


def numbers(positions: Sequence[int]) -> Sequence[int]:
    """The message numbers of positions."""
    if isinstance(positions, range) and positions.step == 1:
        return range(positions.start + 1, positions.stop + 1)
    return [at + 1 for at in positions]


def render_states(
    snapshot: Snapshot, positions: Sequence[int], *, uid: bool, modseq: bool, recent: Ranges, flags: bool = True
) -> bytes:
    """A FETCH response with the flags (and, if asked, UID and MODSEQ) of each position."""
    columns: list[Iterable[object]] = [numbers(positions)]
    items = []
    if uid:
        items.append(b"UID %d")
        columns.append([snapshot.uids[at] for at in positions])
    if flags:
        items.append(b"FLAGS %b")
        columns.append(flag_words(snapshot, positions, recent))
    if modseq:
        items.append(b"MODSEQ (%d)")
        columns.append([snapshot.modseqs[at] for at in positions])
    template = b"* %d FETCH (" + b" ".join(items) + b")\r\n"
    return repeated(template, len(positions), columns)
