"""Lines whole, byte by byte and too long; dot-stuffing whole and in pieces; TOP's cut."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from angarium.protocols.pop3.framing import LineReader, Stuffer, header_end, stuff, top


def _lines(reader: LineReader, limit: int = 10) -> list[bytes | bool]:
    found: list[bytes | bool] = []
    while (line := reader.next_line(limit)) is not None:
        found.append(line)
    return found


def test_lines_whole_and_byte_by_byte() -> None:
    data = b"NOOP\r\nSTAT\nX\r\r\n\r\nrest"
    wanted = [b"NOOP", b"STAT", b"X\r", b""]
    whole = LineReader()
    whole.feed(data)
    assert _lines(whole) == wanted
    assert whole.held == 4
    apart = LineReader()
    found = []
    for position in range(len(data)):
        apart.feed(data[position : position + 1])
        found += _lines(apart)
    assert found == wanted


def test_a_long_line_costs_one_answer_and_no_memory() -> None:
    reader = LineReader()
    for _ in range(1000):
        reader.feed(b"x" * 1000)
        assert _lines(reader) == []
        assert reader.held == 0
    reader.feed(b"x\r\nNOOP\r\n")
    assert _lines(reader) == [False, b"NOOP"]
    reader.feed(b"12345678901\r\n1234567890\nok\r\n")
    assert _lines(reader) == [False, b"1234567890", b"ok"]


def test_clear_forgets() -> None:
    reader = LineReader()
    reader.feed(b"x" * 100)
    assert _lines(reader) == []
    reader.clear()
    reader.feed(b"NOOP\r\n")
    assert _lines(reader) == [b"NOOP"]


@pytest.mark.parametrize(
    ("message", "body"),
    [
        (b"", b""),
        (b".", b"..\r\n"),
        (b"a\r\n", b"a\r\n"),
        (b"a", b"a\r\n"),
        (b".\r\n.\r\n..\r\n", b"..\r\n..\r\n...\r\n"),
        (b"a\n.b\n", b"a\n..b\n\r\n"),
        (b"a\r", b"a\r\n"),
        (b"a\rb\n.\r\n", b"a\rb\n..\r\n"),
        (b"\r\n", b"\r\n"),
    ],
)
def test_stuffing(message: bytes, body: bytes) -> None:
    assert stuff(message) == body


_PIECES = st.lists(st.binary(max_size=3) | st.text("\r\n.x", max_size=4).map(str.encode), max_size=8)


@settings(max_examples=200)
@given(_PIECES)
@example([b"\r\n", b".x"])
@example([b"\r", b"\n", b"."])
@example([b"\n", b"."])
@example([b"", b"."])
def test_stuffing_in_pieces_is_stuffing_whole(pieces: list[bytes]) -> None:
    stuffer = Stuffer()
    out = b"".join([stuffer.feed(piece) for piece in pieces]) + stuffer.finish()
    whole = stuff(b"".join(pieces))
    assert out == whole
    assert b"\n.\n" not in whole.replace(b"\r\n", b"\n")
    assert whole == b"" or whole.endswith(b"\r\n")


@settings(max_examples=100)
@given(st.lists(st.binary(max_size=10).filter(lambda line: b"\n" not in line and b"\r" not in line), max_size=6))
def test_a_client_gets_back_what_was_stuffed(lines: list[bytes]) -> None:
    message = b"".join([line + b"\r\n" for line in lines])
    reply = stuff(message) + b".\r\n"
    received = b""
    for line in reply.split(b"\r\n"):
        if line == b".":
            break
        received += line.removeprefix(b".") + b"\r\n" if line.startswith(b".") else line + b"\r\n"
    assert received == message


@pytest.mark.parametrize(
    ("message", "end"),
    [(b"", 0), (b"\r\nx", 2), (b"\nx", 1), (b"A: b\r\n\r\nx", 8), (b"A: b\n\nx\r\n\r\n", 6), (b"A: b\r\n", 6)],
)
def test_the_end_of_the_header(message: bytes, end: int) -> None:
    assert header_end(message) == end


def test_top_cuts_after_lines_of_the_body() -> None:
    message = b"A: b\r\n\r\none\r\ntwo\r\nthree"
    assert top(message, 8, 0) == b"A: b\r\n\r\n"
    assert top(message, 8, 2) == b"A: b\r\n\r\none\r\ntwo\r\n"
    assert top(message, 8, 9) == message
