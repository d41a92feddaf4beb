from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from angarium.protocols.smtp.framing import DataDecoder, LineFramer, NewlineDecoder
from angarium.protocols.smtp.types import BareNewline

LENIENT = (BareNewline.NO, BareNewline.NOTE)


def decode(pieces: list[bytes], mode: BareNewline = BareNewline.NORMALIZE) -> tuple[bytes, bytes, bool, bool]:
    decoder = DataDecoder(mode)
    out = b""
    rest = b""
    for piece in pieces:
        if decoder.finished:
            rest += piece
            continue
        out += decoder.feed(piece)
        if decoder.finished:
            rest = decoder.rest
    return out, rest, decoder.finished, decoder.bare_newline


def reference(data: bytes, mode: BareNewline, *, dots: bool = True) -> tuple[bytes, bytes, bool]:
    """A plain reading of the rules, line by line; what is left of an unfinished message is not compared."""
    out = b""
    previous_bare = False
    while (end := data.find(b"\n")) >= 0:
        line, data = data[:end], data[end + 1 :]
        bare = not line.endswith(b"\r")
        line = line.rstrip(b"\r") if mode in LENIENT else line.removesuffix(b"\r")
        if dots and line.startswith(b"."):
            line = line[1:]
            if not line:
                if mode in LENIENT or not (bare or previous_bare):
                    return out, data, True
                previous_bare = bare
                continue
        previous_bare = bare
        out += line.replace(b"\r", b" ") + b"\r\n"
    return out, data, False


@pytest.mark.parametrize(
    ("wire", "content"),
    [
        (b".\r\n", b""),
        (b"a\r\n.\r\n", b"a\r\n"),
        (b"\r\n.\r\n", b"\r\n"),
        (b"..\r\n.\r\n", b".\r\n"),
        (b"a\r\n..b\r\n.c\r\n...\r\n.\r\n", b"a\r\n.b\r\nc\r\n..\r\n"),
        (b"a\nb\r\n.\r\n", b"a\r\nb\r\n"),
        (b"a\r\r\nb\r\n.\r\n", b"a \r\nb\r\n"),
        (b"a\rb\r\n.\r\n", b"a b\r\n"),
        (b"a\r\n.\r\r\nb\r\n.\r\n", b"a\r\n \r\nb\r\n"),
    ],
)
def test_whole_and_byte_by_byte_and_with_trailing_data(wire: bytes, content: bytes) -> None:
    for trailing in (b"", b"QUIT\r\n", b".\r\n"):
        data = wire + trailing
        assert decode([data])[:3] == (content, trailing, True)
        assert decode([bytes([octet]) for octet in data])[:3] == (content, trailing, True)


@pytest.mark.parametrize("smuggled", [b"\n.\n", b"\n.\r\n", b"\r\n.\n"])
def test_only_the_standard_end_ends_a_message(smuggled: bytes) -> None:
    wire = b"a" + smuggled + b"MAIL FROM:<x>\r\n.\r\n"
    content, rest, finished, bare = decode([wire])
    assert (finished, rest, bare) == (True, b"", True)
    assert b"MAIL FROM:<x>\r\n" in content
    assert decode([wire], BareNewline.NO)[1] == b"MAIL FROM:<x>\r\n.\r\n"


WIRE = st.lists(
    st.sampled_from([b".", b"..", b"a", b"\r\n", b"\n", b"\r", b"\r\n.\r\n", b"text", b"\r\n."]), max_size=30
).map(b"".join)


@settings(max_examples=100)
@given(WIRE, st.lists(st.integers(0, 60), max_size=5), st.sampled_from(list(BareNewline)))
def test_any_cut_gives_what_the_rules_say(data: bytes, cuts: list[int], mode: BareNewline) -> None:
    edges = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    pieces = [data[start:end] for start, end in pairwise(edges)]
    out, rest, finished, _ = decode(pieces, mode)
    expected, expected_rest, expected_end = reference(data, mode)
    expected_rest = expected_rest if expected_end else b""
    assert finished == expected_end
    if finished:
        assert (out, rest) == (expected, expected_rest)
    else:
        # The decoder may be ahead by a line without its end, or hold back a line end that may open the end mark.
        assert out.startswith(expected) or (expected.startswith(out) and len(expected) - len(out) <= 2)


@settings(max_examples=100)
@given(WIRE, st.lists(st.integers(0, 60), max_size=5), st.sampled_from(list(BareNewline)))
def test_chunks_have_the_same_lines_without_dots(data: bytes, cuts: list[int], mode: BareNewline) -> None:
    edges = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    decoder = NewlineDecoder(mode)
    out = b"".join(decoder.feed(data[start:end]) for start, end in pairwise(edges)) + decoder.finish()
    expected, rest, _ = reference(data, mode, dots=False)
    assert out == expected + (rest.replace(b"\r", b" ") + b"\r\n" if rest else b"")


def test_memory_stays_bounded_without_line_ends() -> None:
    decoder = DataDecoder()
    decoder.feed(b"a\nb")  # from here on line by line
    for _ in range(100):
        decoder.feed(b"x" * 5000)
    assert len(decoder._held) < 10_000


class TestLineFramer:
    def test_lines_with_their_ends(self) -> None:
        framer = LineFramer(10)
        framer.add(b"NOOP\r\nQUIT\nRS")
        assert framer.next_line() == (b"NOOP", False, False)
        assert framer.next_line() == (b"QUIT", False, True)
        assert framer.next_line() is None
        assert framer.pending == 2
        framer.add(b"ET\r\r\n")
        assert framer.next_line() == (b"RSET", False, False)
        assert framer.pending == 0

    @pytest.mark.parametrize("step", [1, 3, 1000])
    def test_a_line_over_the_limit_is_truncated_and_costs_one_line(self, step: int) -> None:
        framer = LineFramer(10)
        lines = []
        data = b"A" * 500 + b"\r\nNOOP\r\n"
        for at in range(0, len(data), step):
            framer.add(data[at : at + step])
            while (line := framer.next_line()) is not None:
                lines.append(line)
            assert framer.pending <= max(11, step)
        assert lines == [(b"A" * 10, True, False), (b"NOOP", False, False)]
