"""Queue ids."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from angarium.mailqueue.ids import BLOCK, QueueIds, long_id, serial_number, short_id

NOW = st.floats(0, 4_000_000_000, allow_nan=False)
SERIAL = st.integers(0, 2**50)


@given(NOW, SERIAL)
@settings(max_examples=100)
def test_the_serial_number_reads_back_from_both_forms(now, serial):
    assert serial_number(short_id(now, serial)) == serial
    assert serial_number(long_id(now, serial)) == serial


@given(NOW, SERIAL)
@settings(max_examples=50)
def test_the_shapes_that_log_readers_match(now, serial):
    assert re.fullmatch(r"[0-9A-F]{6,}", short_id(now, serial))
    assert re.fullmatch(r"[0-9a-zA-Z]{12,}", long_id(now, serial))


def test_the_documented_shape_of_a_long_id():
    """postconf(5): the time in 6 letters, the microseconds in 4, z, the rest; Postfix wrote 4jYb9W5FYHzJ9X1."""
    assert long_id(1_795_507_871.23, 5).startswith("4jYb9W")
    assert long_id(1_795_507_871.23, 5)[10] == "z"


def test_later_long_ids_sort_later():
    ids = [long_id(now, 7) for now in (1.0, 1.000001, 2.0, 60.0, 1e9, 1.7e9)]
    assert ids == sorted(ids)


@pytest.mark.parametrize(
    "text", ["", "12345", "4f2a110c07", "4F2A1G", "4F2A1/", "x" * 200, "4jYb9W5FYH", "NOQUEUE", "A\n"]
)
def test_other_texts_are_no_ids(text):
    assert serial_number(text) is None


def test_a_block_lasts_and_is_then_replaced():
    blocks = iter((1, 7))
    ids = QueueIds(lambda: next(blocks), lambda: 0.0)
    serials = [serial_number(ids.allocate()) for _ in range(BLOCK + 2)]
    assert serials[:2] == [BLOCK, BLOCK + 1]
    assert serials[BLOCK:] == [7 * BLOCK, 7 * BLOCK + 1]


def test_a_block_that_cannot_be_had_costs_no_id():
    answers = iter((OSError("disk full"), 3))

    def take():
        answer = next(answers)
        if isinstance(answer, OSError):
            raise answer
        return answer

    ids = QueueIds(take, lambda: 0.0)
    with pytest.raises(OSError, match="disk full"):
        ids.allocate()
    assert serial_number(ids.allocate()) == 3 * BLOCK
