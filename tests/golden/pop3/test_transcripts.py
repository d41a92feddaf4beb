"""Transcripts, replayed line by line, and with everything that the client says sent at once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.fakes.mailstore import FakeMailStore
from tests.fakes.pop3_server import Wire

TRANSCRIPTS = sorted(Path(__file__).parent.glob("*.txt"))


def _store() -> FakeMailStore:
    store = FakeMailStore()
    first, second = b"Subject: first\r\n\r\n", b"Subject: second\r\n\r\n"
    store.account("mrose@example.test").deliver(first + b"a" * 100 + b"\r\n", second + b"b" * 179 + b"\r\n")
    return store


@pytest.fixture
def wire() -> Iterator[Wire]:
    wire = Wire(_store())
    yield wire
    wire.close()


def _turns(path: Path) -> list[tuple[str, str]]:
    """What the client says (nothing, at first) and what it is told."""
    turns = [("", "")]
    for line in path.read_text(encoding="ascii").splitlines():
        if line.startswith("C:"):
            turns.append((line[3:], ""))
        elif line.startswith("S:"):
            turns[-1] = (turns[-1][0], turns[-1][1] + line[3:] + "\n")
    return turns


def _shown(answer: bytes) -> str:
    return "".join(line.rstrip() + "\n" for line in answer.decode("ascii").split("\r\n")[:-1])


@pytest.mark.parametrize("path", TRANSCRIPTS, ids=lambda path: path.stem)
def test_line_by_line(wire: Wire, path: Path) -> None:
    (_, greeting), *turns = _turns(path)
    assert _shown(wire.greeting) == greeting
    for said, told in turns:
        assert _shown(wire(f"{said}\r\n".encode())) == told, said
    assert wire.transport.closed


@pytest.mark.parametrize("path", TRANSCRIPTS, ids=lambda path: path.stem)
def test_pipelined(wire: Wire, path: Path) -> None:
    _, *turns = _turns(path)
    said = "".join(f"{line}\r\n" for line, _ in turns).encode()
    assert _shown(wire(said)) == "".join(told for _, told in turns)


@pytest.mark.parametrize("path", TRANSCRIPTS, ids=lambda path: path.stem)
def test_byte_by_byte(wire: Wire, path: Path) -> None:
    _, *turns = _turns(path)
    answer = b"".join(wire(bytes([byte])) for line, _ in turns for byte in f"{line}\r\n".encode())
    assert _shown(answer) == "".join(told for _, told in turns)
