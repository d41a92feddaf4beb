from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from angarium.protocols.imap.sequence import SequenceSet, compact


@pytest.mark.parametrize(
    ("ranges", "expected"),
    [
        (((1, 3),), [(1, 3)]),
        (((3, 1),), [(1, 3)]),
        (((0, 0),), [(9, 9)]),
        (((5, 0),), [(5, 9)]),
        (((12, 0),), [(9, 9)]),
        (((7, 7), (1, 2), (3, 4)), [(1, 4), (7, 7)]),
        (((4, 0xFFFFFFFF),), [(4, 9)]),
    ],
)
def test_numbers(ranges, expected):
    assert SequenceSet(ranges).numbers(9) == expected


def test_exceeds():
    assert SequenceSet(((1, 10),)).exceeds(9)
    assert not SequenceSet(((1, 0),)).exceeds(9)
    assert SequenceSet(((0, 0),)).exceeds(0)


@pytest.mark.parametrize(
    ("ranges", "expected"),
    [
        (((6, 0),), [(2, 3)]),
        (((1, 4),), [(0, 2)]),
        (((100, 0),), [(2, 3)]),
        (((3, 3),), []),
        (((2, 2), (5, 5)), [(0, 1), (2, 3)]),
    ],
)
def test_positions_of_uids(ranges, expected):
    assert SequenceSet(ranges).positions([2, 4, 5]) == expected


@given(st.sets(st.integers(1, 300)), st.lists(st.tuples(st.integers(0, 310), st.integers(0, 310)), max_size=8))
def test_positions_and_among_are_what_the_ranges_say(uids, ranges):
    uids = sorted(uids)
    numbers = SequenceSet(tuple(ranges))
    found = [uids[at] for start, stop in numbers.positions(uids) for at in range(start, stop)]
    largest = uids[-1] if uids else 0
    ordered = [sorted((low or largest, high or largest)) for low, high in numbers.ranges]
    expected = [uid for uid in uids if any(low <= uid <= high for low, high in ordered)]
    assert found == expected
    assert numbers.among(uids, largest) == expected


@given(st.sets(st.integers(1, 500)))
def test_compact_names_each_once(numbers):
    text = compact(sorted(numbers))
    named = []
    for part in text.split(b",") if text else []:
        low, _, high = part.partition(b":")
        named += range(int(low), int(high or low) + 1)
    assert named == sorted(numbers)
