r"""Finds lines and literals in the client's bytes: bounded, resumable, before anything is parsed.

A command is a line, or several pieces of lines with literals between them (RFC 9051 section 2.2). The framer stops at
each literal and asks its owner, for what a literal may cost depends on the command and on who the client is:

* ``hold()``: the literal becomes a part of the command, in memory;
* ``stream()``: it is handed on in pieces as it comes;
* ``refuse()``: a client that waits for our ``+`` will not send it, so the command is over; one that does not wait
  (RFC 7888) sends it anyway, and it is skipped together with what the command has left.

Guarantees: never more than ``line_limit`` bytes of text of one command are held, beside the literals that the owner
chose to hold and what one ``receive`` brought. After a bad command the next one starts at the right byte.

A line may end in LF alone. An over-long one is skipped to its end, with the literals it announces, and reported then.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass

_LITERAL = re.compile(rb"(~?)\{([0-9]{1,20})(\+?)\}$")
_START = 64
"""As much of an over-long command is told: enough for its tag."""
_TAIL = 32
"""As many bytes at a line's end can announce a literal."""


@dataclass(frozen=True, slots=True)
class Line:
    """A whole command, without its CRLF: text at even places, literals at odd ones."""

    segments: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class LiteralAhead:
    """A literal is announced; the owner answers with ``hold``, ``stream`` or ``refuse``.

    ``segments`` is the command up to here; a literal8 (RFC 3516) keeps no mark beyond ``binary``.
    """

    segments: tuple[bytes, ...]
    size: int
    synchronising: bool
    binary: bool


@dataclass(frozen=True, slots=True)
class LiteralData:
    """A piece of a literal that is streamed; ``last`` with its final one (which can be empty)."""

    data: bytes
    last: bool


@dataclass(frozen=True, slots=True)
class OverlongLine:
    """A command was longer than allowed, and has been skipped; ``start`` is how it began."""

    start: bytes


@dataclass(frozen=True, slots=True)
class Flood:
    """The client sends without an end to the line: there is nothing to wait for."""


Frame = Line | LiteralAhead | LiteralData | OverlongLine | Flood


class _Mode(enum.Enum):
    LINE = "line"
    ASKED = "asked"
    HOLD = "hold"
    STREAM = "stream"
    SKIP = "skip"
    SKIP_LINE = "skip line"


class CommandFramer:
    """The framer of one connection. ``line_limit`` in bytes; text beyond sixteen times of it is a flood."""

    __slots__ = (
        "_ahead",
        "_buffer",
        "_held",
        "_limit",
        "_mode",
        "_overlong",
        "_remaining",
        "_scanned",
        "_segments",
        "_skipped",
    )

    def __init__(self, line_limit: int) -> None:
        self._limit = line_limit
        self._buffer = bytearray()
        self._scanned = 0
        self._segments: list[bytes] = []
        self._held = 0
        self._mode = _Mode.LINE
        self._remaining = 0
        self._ahead: LiteralAhead | None = None
        self._overlong: bytes | None = None
        self._skipped = 0

    @property
    def buffered(self) -> int:
        """Bytes received that no frame has taken yet."""
        return len(self._buffer)

    @property
    def in_command(self) -> bool:
        """Whether a command has begun and is not complete."""
        return self._mode is not _Mode.LINE or bool(self._segments) or bool(self._buffer)

    def receive(self, data: bytes) -> None:
        """Take what the client sent."""
        self._buffer += data

    def take_rest(self) -> bytes:
        """Drop and return what is buffered: nothing that came before TLS may count (RFC 9051 section 11.1)."""
        rest = bytes(self._buffer)
        self._buffer.clear()
        self._scanned = 0
        return rest

    def hold(self) -> None:
        """Take the literal ahead into the command."""
        ahead = self._answer()
        self._remaining = ahead.size
        self._mode = _Mode.HOLD

    def stream(self) -> None:
        """Hand the literal ahead on in pieces. The command's text up to here is forgotten."""
        ahead = self._answer()
        self._segments.clear()
        self._held = 0
        self._remaining = ahead.size
        self._mode = _Mode.STREAM

    def refuse(self) -> bool:
        """Do without the literal ahead; True when the client sends it anyway, so that it is skipped first."""
        ahead = self._answer()
        self._segments.clear()
        self._held = 0
        if ahead.synchronising:
            self._mode = _Mode.LINE
            return False
        self._skip(ahead.size)
        return True

    def skip_command(self) -> None:
        """Skip what is left of the command after a streamed literal, silently."""
        self._mode = _Mode.SKIP_LINE
        self._skipped = 0

    def next_frame(self) -> Frame | None:
        """The next frame; None when more bytes are needed, or an answer to ``LiteralAhead``."""
        while True:
            mode = self._mode
            if mode is _Mode.LINE:
                frame = self._next_line()
                if frame is not None or self._mode is _Mode.LINE:
                    return frame
            elif mode is _Mode.ASKED:
                return None
            elif mode is _Mode.HOLD:
                if len(self._buffer) < self._remaining:
                    return None
                self._segments.append(self._take(self._remaining))
                self._mode = _Mode.LINE
            elif mode is _Mode.STREAM:
                return self._next_piece()
            elif mode is _Mode.SKIP:
                size = min(len(self._buffer), self._remaining)
                self._drop(size)
                self._remaining -= size
                if self._remaining:
                    return None
                self._mode = _Mode.SKIP_LINE
            else:
                done, frame = self._skip_line()
                if frame is not None or not done:
                    return frame

    def _answer(self) -> LiteralAhead:
        ahead = self._ahead
        assert ahead is not None, "no literal is ahead"
        self._ahead = None
        return ahead

    def _skip(self, size: int) -> None:
        self._remaining = size
        self._mode = _Mode.SKIP
        self._skipped = 0

    def _take(self, size: int) -> bytes:
        data = bytes(memoryview(self._buffer)[:size])
        self._drop(size)
        return data

    def _drop(self, size: int) -> None:
        del self._buffer[:size]
        self._scanned = 0

    def _next_line(self) -> Frame | None:
        end = self._buffer.find(b"\n", self._scanned)
        if end < 0:
            self._scanned = len(self._buffer)
            if self._held + self._scanned > self._limit:
                self._start_overlong()
            return None
        if self._held + end > self._limit:
            self._start_overlong()
            return None
        text = self._take(end + 1)[:-1]
        if text.endswith(b"\r"):
            text = text[:-1]
        match = _LITERAL.search(text, max(0, len(text) - _TAIL)) if text.endswith(b"}") else None
        if match is None:
            segments = (*self._segments, text)
            self._segments.clear()
            self._held = 0
            return Line(segments)
        text = text[: match.start()]
        self._segments.append(text)
        self._held += len(text)
        self._mode = _Mode.ASKED
        self._ahead = LiteralAhead(tuple(self._segments), int(match[2]), not match[3], bool(match[1]))
        return self._ahead

    def _start_overlong(self) -> None:
        start = self._segments[0] if self._segments else bytes(self._buffer[:_START])
        self._overlong = start[:_START]
        self._segments.clear()
        self._held = 0
        self._scanned = 0
        self._mode = _Mode.SKIP_LINE
        self._skipped = 0

    def _skip_line(self) -> tuple[bool, Frame | None]:
        """Skip to the end of the line, and into the literal that it announces without waiting for us."""
        end = self._buffer.find(b"\n", self._scanned)
        if end < 0:
            excess = len(self._buffer) - _TAIL
            if excess > 0:
                self._skipped += excess
                self._drop(excess)
            self._scanned = len(self._buffer)
            if self._skipped <= 16 * self._limit:
                return False, None
            self._skipped = 0  # told once for each such stretch
            return False, Flood()
        tail = bytes(self._buffer[max(0, end - _TAIL) : end]).rstrip(b"\r")
        self._drop(end + 1)
        match = _LITERAL.search(tail)
        if match is not None and match[3]:
            self._skip(int(match[2]))
            return True, None
        self._mode = _Mode.LINE
        overlong, self._overlong = self._overlong, None
        return True, (OverlongLine(overlong) if overlong is not None else None)

    def _next_piece(self) -> Frame | None:
        size = min(len(self._buffer), self._remaining)
        if not size and self._remaining:
            return None
        self._remaining -= size
        last = not self._remaining
        if last:
            self._mode = _Mode.LINE
        return LiteralData(self._take(size), last)
