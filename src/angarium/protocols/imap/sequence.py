"""Sequence sets (RFC 9051 section 9, ``sequence-set``), kept as ranges: ``1:4294967295`` costs two numbers.

The parser bounds the number of ranges by the length of the line; resolving against a mailbox clips every range to
what is there, so no input makes a set larger than the mailbox.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

STAR = 0
"""Stands for ``*`` in a range; 0 is no valid number of a message."""


@dataclass(frozen=True, slots=True)
class SequenceSet:
    """Ranges as the client wrote them, ``*`` as 0. ``saved`` is the ``$`` of RFC 5182, and then ``ranges`` is empty."""

    ranges: tuple[tuple[int, int], ...]
    saved: bool = False

    def numbers(self, count: int) -> list[tuple[int, int]]:
        """The set as message numbers of a mailbox of ``count`` messages: sorted, merged, clipped, inclusive."""
        return _merge(_bounded(self.ranges, count, count))

    def exceeds(self, count: int) -> bool:
        """Whether a number in it is larger than ``count`` (RFC 9051 section 9, note at ``seq-number``)."""
        return count == 0 or any(max(low, high) > count for low, high in self.ranges)

    def positions(self, uids: Sequence[int]) -> list[tuple[int, int]]:
        """The set as UIDs: positions in the sorted ``uids`` as half-open ranges, sorted and merged."""
        if not uids:
            return []
        found = []
        for low, high in _bounded(self.ranges, uids[-1], 0xFFFFFFFF):
            start, stop = bisect_left(uids, low), bisect_right(uids, high)
            if start < stop:
                found.append((start, stop - 1))
        return [(start, stop + 1) for start, stop in _merge(found)]

    def among(self, numbers: Iterable[int], largest: int) -> list[int]:
        """Those of ``numbers`` that are in the set when ``*`` means ``largest``; a step each, however many ranges."""
        ranges = _merge(_bounded(self.ranges, largest, 0xFFFFFFFF))
        starts = [low for low, _high in ranges]
        found = []
        for number in numbers:
            at = bisect_right(starts, number) - 1
            if at >= 0 and number <= ranges[at][1]:
                found.append(number)
        return found


def _bounded(ranges: Iterable[tuple[int, int]], star: int, limit: int) -> list[tuple[int, int]]:
    """Put ``star`` in place of ``*``, order each range, and cut it at ``limit``."""
    result = []
    for first, last in ranges:
        low, high = first or star, last or star
        if low > high:
            low, high = high, low
        if low <= limit and high >= 1:
            result.append((low, min(high, limit)))
    return result


def _merge(ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    if len(ranges) < 2:
        return ranges
    ranges.sort()
    merged = [ranges[0]]
    for low, high in ranges[1:]:
        last_low, last_high = merged[-1]
        if low <= last_high + 1:
            if high > last_high:
                merged[-1] = (last_low, high)
        else:
            merged.append((low, high))
    return merged


def compact(numbers: Iterable[int]) -> bytes:
    """Write sorted numbers as a set: ``[1, 2, 3, 7]`` is ``1:3,7``. Empty for none."""
    parts: list[bytes] = []
    start = previous = -1
    for number in numbers:
        if number == previous + 1 and start >= 0:
            previous = number
            continue
        if start >= 0:
            parts.append(b"%d" % start if start == previous else b"%d:%d" % (start, previous))
        start = previous = number
    if start >= 0:
        parts.append(b"%d" % start if start == previous else b"%d:%d" % (start, previous))
    return b",".join(parts)
