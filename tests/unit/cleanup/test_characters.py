import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.cleanup.test_checks import ChunkedContent

from angarium.cleanup.characters import UnwantedCharacters, characters, has_stray, without_stray
from angarium.model.content import MemoryContent


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", b""),
        (r"\0", b"\0"),
        (r"\0\1\177", b"\0\1\x7f"),
        (r"\a\b\f\t\v\\x", b"\x07\x08\t\x0b\x0c\\x"),
        (r"\n\r", b""),
        (r"\1011", b"1A"),
        (r"\q]", b"]q"),
        ("é", "é".encode()),
    ],
)
def test_escapes(text, named):
    assert characters(text) == bytes(sorted(named))


@pytest.mark.parametrize("size", [1, 4, 100])
def test_the_line_and_the_rest(size):
    content = ChunkedContent(b"one\r\ntw\0o\r\nthr\0ee\r\n", size)
    unwanted = UnwantedCharacters(r"\0")
    line = unwanted.first_line(content)
    assert line == b"tw\0o" if size == 100 else line.startswith(b"tw\0")
    assert b"".join(unwanted.stripped(content)) == b"one\r\ntwo\r\nthree\r\n"
    assert unwanted.first_line(MemoryContent(b"fine\r\n")) is None
    assert UnwantedCharacters("").first_line(content) is None


@settings(max_examples=100)
@given(st.lists(st.sampled_from([b"a", b"\r", b"\n", b"\r\n"]), max_size=12).map(b"".join), st.integers(1, 4))
def test_half_line_breaks_become_blanks_wherever_the_pieces_end(data, width):
    class Pieces(MemoryContent):
        def chunks(self, start=0, stop=None):
            text = self.read(start, stop)
            return iter([text[at : at + width] for at in range(0, len(text), width)])

    content = Pieces(data)
    *lines, last = data.split(b"\r\n")
    parts = [*(line.rstrip(b"\r") for line in lines), last]
    expected = b"\r\n".join(part.replace(b"\r", b" ").replace(b"\n", b" ") for part in parts)
    assert has_stray(content) == (expected != data)
    assert b"".join(without_stray(content)) == expected
