"""Patterns of LIST and LSUB."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from angarium.protocols.imap.pattern import Pattern


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        ("*", "a/b", True),
        ("%", "a/b", False),
        ("%", "a", True),
        ("a/%", "a/b", True),
        ("a*c", "a/b/c", True),
        ("%/c", "a/b/c", False),
        ("%/%/c", "a/b/c", True),
        ("", "a", False),
        ("a%b*", "ab", True),
        ("IN*", "INBOX", True),
        ("a**%%b", "a/x/b", True),
        ("*a*a*a*a*a*a*a*a*a*b", "a" * 200, False),  # and it does not take for ever
    ],
)
def test_patterns(pattern, name, expected):
    assert Pattern(pattern).matches(name) is expected


@given(st.text(alphabet="ab/*%", max_size=8), st.text(alphabet="ab/", max_size=8))
@settings(max_examples=300)
def test_it_is_the_regular_expression(pattern, name):
    expression = "".join({"*": ".*", "%": "[^/]*"}.get(char, re.escape(char)) for char in pattern)
    assert Pattern(pattern).matches(name) is (re.fullmatch(expression, name) is not None)


@pytest.mark.parametrize("text", ["%*" * 30_000, "%" * 60_000, "*a" * 30_000, "*a%b" * 250, "a*" * 999 + "b"])
def test_hostile_patterns(text):
    """Sixty thousand wildcards took minutes for a single name."""
    begun = time.process_time()
    pattern = Pattern(text)
    for _ in range(100):
        pattern.matches("a/level/" * 5)
    assert time.process_time() - begun < 1.0


def test_more_characters_than_a_name_can_have():
    assert not Pattern("*" + "a" * 1001).matches("a" * 1001)
    assert Pattern("*" + "a" * 1000).matches("a" * 1000)
