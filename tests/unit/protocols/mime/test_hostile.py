"""Hostile fields and texts: what they cost grows with their size and no faster, and is bounded.

The times are a hundred times what it takes; each of these inputs took minutes, or seconds, before it was bounded.
"""

import time
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from angarium.mailstore.derived import Analysis
from angarium.protocols.mime.address import parse_addresses
from angarium.protocols.mime.envelope import AddressRoom, envelope
from angarium.protocols.mime.text import fold, fold_to
from angarium.protocols.mime.types import MAX_ADDRESS_TEXT, MAX_ENCLOSED_ADDRESS_TEXT

MEGABYTE = 1_000_000
PATIENCE = 2.5
"""Seconds of this process's time."""

UNITS = (
    '"', '""', '"a" ', '"\\" ', "(", "()", "(a) ", "a(b)", "\\", ",", "<", "<,", "a:", "x:y;", ":;", ";", "@", ".",
    "a.", " .", " .()", "a ", "a<b@c>,", "[", "<@a", "=", "a=", ";a=b", ";a*=b", "=?utf-8?q?a?= ", "=?", "\xff",
)  # fmt: skip


def analysed(message):
    begun = time.process_time()
    derived = Analysis(message).with_prefix(b"Return-Path: <>\r\n")
    assert time.process_time() - begun < PATIENCE
    return derived


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("start", [b"To: a", b'To: "x" <', b"Content-Type: text/plain", b"Content-Disposition: x"])
def test_a_field_of_a_megabyte(start, unit):
    unit = unit.encode("latin-1")
    analysed(start + unit * (MEGABYTE // len(unit)) + b"\r\n\r\nbody\r\n")


@pytest.mark.parametrize("name", [b"To", b"Subject", b"Content-Disposition"])
def test_a_long_field_and_many_short_ones(name):
    field = name + b": x"
    analysed(field + b" " * 900_000 + b"\r\n" + (field + b"\r\n") * 4000 + b"\r\nbody\r\n")


def test_ten_thousand_enclosed_messages_with_addresses():
    """The envelopes of all together are bounded; each message is there nevertheless."""
    part = b"--b\r\n\r\nTo: " + b'",' * 500 + b"\r\n\r\n"
    derived = analysed(b"Content-Type: multipart/digest; boundary=b\r\n\r\n" + part * 9000)
    assert derived.bodystructure.count(b'"message" "rfc822"') == 5000  # MAX_PARTS, two for each


@pytest.mark.parametrize("marks", ["\u0301\u0323", "\u0301" * 1000 + "\u0323" * 1000, "\u05b0\u0591\u0345"])
@pytest.mark.parametrize("start", [b"Subject: ", b"Content-Type: text/plain; charset=utf-8\r\n\r\n"])
def test_a_letter_with_half_a_million_marks(start, marks):
    """Unicode's normalisation sorts marks by insertion: this took minutes, in which the whole process stood still."""
    analysed(start + ("a" + marks * (MEGABYTE // 2 // len(marks.encode()))).encode() + b"\r\n")


def test_a_character_that_becomes_eighteen():
    text = "\ufdfa" * 300_000
    assert len(fold_to(text, 1000)) == 1000
    assert len(analysed(b"Subject: %b\r\n\r\nx" % text.encode()).sought[0] or b"") <= 1024 * 1024


@given(st.text(alphabet="aé\u0301\u0323\u0345😀-中 ", max_size=60))
@settings(max_examples=100)
def test_folding_is_normalisation_for_what_people_write(text):
    expected = unicodedata.normalize("NFKD", text.casefold()).encode()
    marks = max((len(run) for run in "".join(" " if char in "aé😀-中 " else char for char in text).split()), default=0)
    if marks <= 9:  # the Greek iota below (U+0345) becomes a letter; others are at most tripled
        assert fold(text) == expected
    assert fold_to(text, 10_000) == fold(text)


def test_long_runs_without_letters_stay_as_they_are():
    assert fold("😀" * 100 + "─" * 100 + "é") == ("😀" * 100 + "─" * 100 + "e\u0301").encode()


def test_addresses_beyond_the_bound_are_left_out():
    one = b"someone@example.com,"
    shown = envelope([(b"to", one * 20_000), (b"cc", b"other@example.com")])
    assert shown.count(b'"someone"') == 8192  # MAX_ADDRESSES, which comes first here
    long = b'"%b" <someone@example.com>,' % (b"x" * 100)
    shown = envelope([(b"from", b"first@example.com"), (b"to", long * 5000), (b"cc", b"other@example.com")])
    assert shown.count(b'"first"') == 3  # From, Sender, Reply-To
    count = shown.count(b'"someone"')
    assert (count - 1) * len(long) < MAX_ADDRESS_TEXT <= (count + 1) * len(long)
    assert b'"%b" NIL "someone" "example.com") (' % (b"x" * 100) not in shown[-10:]
    assert shown.endswith(b"NIL NIL NIL NIL)")  # no room for Cc


def test_the_room_is_cut_behind_an_address():
    room = AddressRoom(25)
    assert room.take(b"a@example.com,b@example.com,c@example.com") == b"a@example.com"
    room.spend(b"a@example.com", b"")
    assert room.left == 0  # what comes behind the cut does not come before it by another field
    room = AddressRoom(25)
    room.spend(b"a@example.com", b'(NIL NIL "a" "example.com")')
    assert room.take(b"d@example.com") == b""


def test_many_fields_of_commas_do_not_become_many_addresses():
    """Three bytes of such a field become forty of ENVELOPE."""
    fields = [(b"to", b'",' * 300)] * 1000
    assert len(envelope(fields)) < 3 * MAX_ADDRESS_TEXT


def test_the_bounds_fit_together():
    assert MAX_ENCLOSED_ADDRESS_TEXT >= MAX_ADDRESS_TEXT


def test_dots_and_words_of_a_phrase():
    assert [one.name for one in parse_addresses(b"J . R . R .  Tolkien <j@example.com>")] == [b"J. R. R. Tolkien"]
    assert [one.name for one in parse_addresses(b'J.R. "R." (x) Tolkien . . <j@example.com>')] == [b"J.R. R. Tolkien.."]
    assert [one.mailbox for one in parse_addresses(b"<a . b. c .d@example.com>")] == [b"a.b.c.d"]
