"""Counts that processes share."""

from __future__ import annotations

import os

from hypothesis import given
from hypothesis import strategies as st

from angarium.runtime.counts import SharedCounts


def test_columns_see_each_other():
    shared = SharedCounts(3)
    first, second, third = (shared.column(number) for number in range(3))
    first.add("a", 1)
    first.add("a", 1)
    second.add("a", 1)
    second.add("b", 5)
    assert (first.others("a"), second.others("a"), third.others("a")) == (1, 2, 3)
    assert (first.others("b"), second.others("b")) == (5, 0)
    first.add("a", -1)
    assert third.others("a") == 2


def test_a_new_process_in_a_column_starts_from_nought():
    shared = SharedCounts(2)
    first, second = shared.column(0), shared.column(1)
    first.add("a", 7)
    second.add("a", 3)
    again = shared.column(0)
    assert second.others("a") == 0
    assert again.others("a") == 3


def test_windows_of_time():
    shared = SharedCounts(2)
    first, second = shared.column(0), shared.column(1)
    first.add("a", 4, 100)
    assert second.others("a", 100) == 4
    assert second.others("a", 101) == 0
    first.add("a", 1, 101)
    assert second.others("a", 101) == 1
    assert second.others("a", 100) == 0


def test_a_count_does_not_go_below_nought():
    shared = SharedCounts(2)
    first, second = shared.column(0), shared.column(1)
    first.add("a", -3)
    first.add("a", 1)
    assert second.others("a") == 1


def test_across_a_fork():
    shared = SharedCounts(2)
    ours = shared.column(0)
    pid = os.fork()
    if pid == 0:
        shared.column(1).add(("smtp", "192.0.2.1"), 2)
        os._exit(0)
    os.waitpid(pid, 0)
    assert ours.others(("smtp", "192.0.2.1")) == 2


@given(st.lists(st.tuples(st.integers(0, 300), st.integers(0, 1)), max_size=200))
def test_others_is_never_too_little(events):
    shared = SharedCounts(2)
    columns = [shared.column(0), shared.column(1)]
    exact = {}
    for key, column in events:
        columns[column].add(key, 1)
        exact[key, column] = exact.get((key, column), 0) + 1
    for (key, column), number in exact.items():
        assert columns[1 - column].others(key) >= number
