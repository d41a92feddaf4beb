"""Nothing raises, and strangers do not relay, whatever comes: a short run of the fuzz target."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

TARGET = runpy.run_path(str(Path(__file__).parents[2] / "fuzz" / "fuzz_policy.py"))

SIGNS = 'ab@%!.-+[]":={}; \n\r\0é'
NAMES = ("..", "local.test", "vbox.test", "other.test", "192.0.2.1", "IPv6:", "mail.example.test", "inet:h:1")
WORDS = st.sampled_from([*SIGNS, *NAMES])


@settings(max_examples=100, deadline=None)
@given(st.lists(WORDS, max_size=30).map("".join))
def test_words(text):
    TARGET["one_input"](text.encode("utf-8"))


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=100))
def test_octets(data):
    TARGET["one_input"](data)


@pytest.mark.parametrize("text", ["\n\r\r", "s\nu\r@other.test", "<>\npostmaster@@\n[", "\n%other.test@local.test"])
def test_what_was_found(text):
    TARGET["one_input"](text.encode("utf-8"))
