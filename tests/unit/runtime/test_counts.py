"""Counts that processes share."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from angarium.runtime import counts
from angarium.runtime.counts import SharedCounts


def columns(shared, number):
    return [shared.column(shared.reserve()) for _ in range(number)]


def test_columns_see_each_other():
    first, second, third = columns(SharedCounts(3), 3)
    first.add("a", 1)
    first.add("a", 1)
    second.add("a", 1)
    second.add("b", 5)
    assert (first.others("a"), second.others("a"), third.others("a")) == (1, 2, 3)
    assert (first.others("b"), second.others("b")) == (5, 0)
    first.add("a", -1)
    assert third.others("a") == 2


@pytest.mark.parametrize("advice", [counts._REMOVE, -1])
def test_a_process_that_ends_gives_back_what_it_counted(advice, monkeypatch):
    monkeypatch.setattr(counts, "_REMOVE", advice)
    shared = SharedCounts(2)
    first, second = columns(shared, 2)
    first.add("a", 7)
    first.add("a", 7, 100)
    second.add("a", 3)
    shared.release(0)
    assert (second.others("a"), second.others("a", 100)) == (0, 0)
    assert shared.reserve() == 0
    assert shared.column(0).others("a") == 3


def test_there_are_so_many_columns():
    shared = SharedCounts(2)
    assert [shared.reserve() for _ in range(3)] == [0, 1, None]
    shared.release(1)
    assert shared.reserve() == 1


def test_a_rate_does_not_disturb_a_number():
    first, second = columns(SharedCounts(2), 2)
    first.add("a", 5)
    first.add("a", 1, 100)  # the same cells, were they in one table
    first.add("a", 1)
    assert (second.others("a"), second.others("a", 100)) == (6, 1)


def test_windows_of_time():
    first, second = columns(SharedCounts(2), 2)
    first.add("a", 4, 100)
    assert second.others("a", 100) == 4
    assert second.others("a", 101) == 0
    first.add("a", 1, 101)
    assert second.others("a", 101) == 1
    assert second.others("a", 100) == 0


def test_a_count_does_not_go_below_nought():
    first, second = columns(SharedCounts(2), 2)
    first.add("a", -3)
    first.add("a", 1)
    assert second.others("a") == 1


def test_across_a_fork():
    shared = SharedCounts(2)
    ours, theirs = columns(shared, 2)
    pid = os.fork()
    if pid == 0:
        theirs.add(("smtp", "192.0.2.1"), 2)
        os._exit(0)
    os.waitpid(pid, 0)
    assert ours.others(("smtp", "192.0.2.1")) == 2


@given(st.lists(st.tuples(st.integers(0, 300), st.integers(0, 1)), max_size=200))
def test_others_is_never_too_little(events):
    pair = columns(SharedCounts(2), 2)
    exact = {}
    for key, column in events:
        pair[column].add(key, 1)
        exact[key, column] = exact.get((key, column), 0) + 1
    for (key, column), number in exact.items():
        assert pair[1 - column].others(key) >= number
