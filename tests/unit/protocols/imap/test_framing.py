"""Lines and literals: whole, byte by byte, with trailing data, and against the bounds."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from angarium.protocols.imap.framing import (
    CommandFramer,
    Flood,
    Line,
    LiteralAhead,
    LiteralData,
    OverlongLine,
)


def frames(framer, *, hold=True):
    """All frames there are; literals are held, streamed or (None) refused."""
    found = []
    while (frame := framer.next_frame()) is not None:
        found.append(frame)
        if isinstance(frame, LiteralAhead):
            if hold is None:
                framer.refuse()
            elif hold:
                framer.hold()
            else:
                framer.stream()
    return found


def feed(chunks, *, hold=True, limit=1000):
    framer = CommandFramer(limit)
    found = []
    for chunk in chunks:
        framer.receive(chunk)
        found += frames(framer, hold=hold)
    return found, framer


@pytest.mark.parametrize("end", [b"\r\n", b"\n"])
def test_a_line(end):
    assert feed([b"a NOOP" + end])[0] == [Line((b"a NOOP",))]


def test_a_held_literal_is_a_segment():
    found, _ = feed([b"a LOGIN {3}\r\nbob {2+}\r\npw\r\n"])
    assert found == [
        LiteralAhead((b"a LOGIN ",), 3, True, False),
        LiteralAhead((b"a LOGIN ", b"bob", b" "), 2, False, False),
        Line((b"a LOGIN ", b"bob", b" ", b"pw", b"")),
    ]


def test_a_streamed_literal_comes_in_pieces():
    found, _ = feed([b"a APPEND x {5}\r\n", b"he", b"llo\r\n"], hold=False)
    assert found[1:] == [LiteralData(b"he", False), LiteralData(b"llo", True), Line((b"",))]


def test_an_empty_streamed_literal_ends_at_once():
    assert feed([b"a APPEND x {0}\r\n\r\n"], hold=False)[0][1:] == [LiteralData(b"", True), Line((b"",))]


def test_a_refused_synchronising_literal_is_not_waited_for():
    found, _ = feed([b"a X {5}\r\nb NOOP\r\n"], hold=None)
    assert found[1:] == [Line((b"b NOOP",))]


def test_a_refused_literal_that_comes_anyway_is_skipped_with_its_command():
    found, _ = feed([b"a X {5+}\r\nhello {3+}\r\nabc rest\r\nb NOOP\r\n"], hold=None)
    assert found[1:] == [Line((b"b NOOP",))]


def test_literal8():
    assert feed([b"a X ~{1+}\r\n\0\r\n"])[0][0] == LiteralAhead((b"a X ",), 1, False, True)


@pytest.mark.parametrize("text", [b"a X {5}x", b"a X {}", b"a X {-1}", b"a X {5++}", b"a X {999999999999999999999}"])
def test_what_is_no_literal_is_text(text):
    assert feed([text + b"\r\n"])[0] == [Line((text,))]


def test_an_overlong_line_costs_itself():
    found, framer = feed([b"tag ", b"x" * 990, b"y" * 50, b"\r\nb NOOP\r\n"])
    assert found == [OverlongLine((b"tag " + b"x" * 990 + b"y" * 50)[:64]), Line((b"b NOOP",))]
    assert framer.buffered == 0


def test_an_overlong_line_takes_its_literal_along():
    found, _ = feed([b"t " + b"x" * 1000 + b" {4+}\r\nb NO rest\r\nc NOOP\r\n"])
    assert [type(frame) for frame in found] == [OverlongLine, Line]
    assert found[1] == Line((b"c NOOP",))


def test_text_around_literals_counts_together():
    found, _ = feed([b"a " + b"x" * 600 + b"{1+}\r\nz" + b"y" * 600 + b"\r\nb NOOP\r\n"])
    assert [type(frame) for frame in found] == [LiteralAhead, OverlongLine, Line]


def test_a_flood_is_told_and_holds_little():
    framer = CommandFramer(1000)
    seen = []
    for _ in range(40):
        framer.receive(b"x" * 1000)
        seen += frames(framer)
        assert framer.buffered <= 2000
    assert Flood() in seen


def test_input_before_tls_is_dropped():
    framer = CommandFramer(1000)
    framer.receive(b"a STARTTLS\r\nb LOGIN x y\r\n")
    assert framer.next_frame() == Line((b"a STARTTLS",))
    assert framer.take_rest() == b"b LOGIN x y\r\n"
    assert framer.next_frame() is None


def joined(found):
    """Frames with the pieces of streamed literals put together."""
    result = []
    for frame in found:
        if isinstance(frame, Flood):
            continue  # how soon it is told depends on the pieces
        if isinstance(frame, LiteralData) and result and isinstance(result[-1], bytearray):
            result[-1] += frame.data
        elif isinstance(frame, LiteralData):
            result.append(bytearray(frame.data))
        else:
            result.append(frame)
    return result


PIECES = st.lists(
    st.one_of(
        st.binary(max_size=40),
        st.sampled_from(
            [b"\r\n", b"\n", b"{3}\r\n", b"{2+}\r\n", b"~{1+}\r\n", b"{0}\r\n", b"a ", b"x" * 60, b"{70+}\r\n"]
        ),
    ),
    max_size=30,
)


@settings(max_examples=100, deadline=None)
@given(PIECES, st.sampled_from([True, False, None]))
def test_the_same_frames_whatever_the_pieces(pieces, hold):
    whole = b"".join(pieces)
    at_once, first = feed([whole], hold=hold, limit=100)
    bytewise, second = feed([whole[at : at + 1] for at in range(len(whole))], hold=hold, limit=100)
    assert joined(at_once) == joined(bytewise)
    assert first.in_command == second.in_command
