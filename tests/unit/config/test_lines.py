"""Logical lines: continuation, comments, strays."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from angarium.config.lines import decode, logical_lines


def lines(text):
    return [tuple(line) for line in logical_lines(text).lines]


def test_joins_continuations_over_comments_and_empty_lines():
    text = "a = 1\n  2\n# comment\n\n   # indented comment\n\t3\nb = 4\n"
    assert lines(text) == [("a = 1  2\t3", 1), ("b = 4", 7)]


def test_reports_a_continuation_of_nothing():
    found = logical_lines("# c\n   stray\n   more\na = 1\n")
    assert [tuple(line) for line in found.stray] == [("   stray   more", 2)]
    assert [tuple(line) for line in found.lines] == [("a = 1", 4)]


def test_a_nul_ends_the_line():
    assert lines("a = b\0c\nd = e") == [("a = b", 1), ("d = e", 2)]


@settings(deadline=None)
@given(st.binary(max_size=400))
def test_any_bytes_are_lines(data):
    found = logical_lines(decode(data))
    for line in found.lines:
        assert line.text or b"\0" in data
        assert not line.text[:1].isspace()
        assert 1 <= line.line <= data.count(b"\n") + 1


@settings(deadline=None)
@given(st.text(alphabet="ab=# \t\n\r\0", max_size=60), st.text(alphabet="ab=# \t\n", max_size=60))
def test_what_follows_a_line_that_starts_anew_does_not_change_what_was_before(first, second):
    whole = logical_lines(first + "\nx=1\n" + second).lines
    alone = logical_lines(first).lines
    assert whole[: len(alone)] == alone
