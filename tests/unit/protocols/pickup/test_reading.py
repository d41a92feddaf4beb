"""Standard input of sendmail(1): whole, in any pieces, and against a plain description of what becomes of it."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from angarium.protocols.pickup.reading import LONGEST, InputReader

PIECES = [b"a", b"b\n", b"\n", b"\r", b"\r\n", b".", b"From x\n", b">From y\n", b"From ", b"\0", b"\xff", b". \n"]
TEXT = st.lists(st.sampled_from(PIECES), max_size=12).map(b"".join)


def read(text: bytes, cuts: list[int] | None = None, *, dots: bool = True, line_endings: str = "always") -> bytes:
    reader = InputReader(dots=dots, line_endings=line_endings)
    places = [0, *sorted(cuts or []), len(text)]
    out = b"".join(reader.feed(text[start:stop]) for start, stop in itertools.pairwise(places))
    return out + reader.finish()


def described(text: bytes, *, dots: bool) -> bytes:
    """What becomes of it, line by line."""
    lines = text.replace(b"\r\n", b"\n").split(b"\n")
    if lines[-1] == b"":
        lines.pop()
    while lines and lines[0].lstrip(b">").startswith(b"From "):
        lines.pop(0)
    if dots and b"." in lines:
        lines = lines[: lines.index(b".")]
    return b"".join(line + b"\r\n" for line in lines)


@settings(max_examples=100)
@given(TEXT, st.booleans())
def test_it_is_what_is_described(text: bytes, dots: bool) -> None:
    assert read(text, dots=dots) == described(text, dots=dots)


@settings(max_examples=100)
@given(TEXT, st.data(), st.sampled_from(["always", "strict", "never"]))
def test_pieces_do_not_matter(text: bytes, data: st.DataObject, line_endings: str) -> None:
    cuts = data.draw(st.lists(st.integers(0, len(text)), max_size=5))
    assert read(text, cuts, line_endings=line_endings) == read(text, line_endings=line_endings)


@settings(max_examples=50)
@given(TEXT, st.sampled_from(["always", "strict", "never"]))
def test_byte_by_byte(text: bytes, line_endings: str) -> None:
    assert read(text, list(range(len(text))), line_endings=line_endings) == read(text, line_endings=line_endings)


@settings(max_examples=50)
@given(TEXT)
def test_its_lines_end_in_crlf(text: bytes) -> None:
    out = read(text)
    assert b"\n" not in out.replace(b"\r\n", b"")
    assert out == b"" or out.endswith(b"\r\n")


def test_what_follows_a_lone_dot_is_not_taken() -> None:
    reader = InputReader(dots=True)
    assert reader.feed(b"a\n.\nb\n") == b"a\r\n"
    assert reader.ended
    assert reader.feed(b"c\n") == b""
    assert reader.finish() == b""


@pytest.mark.parametrize(
    ("line_endings", "text", "out"),
    [
        ("always", b"a\r\nb\n", b"a\r\nb\r\n"),
        ("strict", b"a\r\nb\n", b"a\r\nb\r\n"),
        ("strict", b"a\nb\r\n", b"a\r\nb \r\n"),
        ("never", b"a\r\nb\n", b"a \r\nb\r\n"),
        ("never", b".\r\nb\n", b". \r\nb\r\n"),
    ],
)
def test_line_endings(line_endings: str, text: bytes, out: bytes) -> None:
    assert read(text, line_endings=line_endings) == out


def test_a_line_without_end_is_not_held_back_for_ever() -> None:
    reader = InputReader(dots=True)
    size = sum(len(reader.feed(b"x" * 4096)) for _ in range(2 * LONGEST // 4096))
    assert size >= LONGEST
    assert size + len(reader.finish()) == 2 * LONGEST + 2
