"""Framing of the octets that an SMTP server receives: lines, dot-stuffed messages, chunks.

``LineFramer`` cuts lines of bounded length (postconf(5) ``line_length_limit``). ``DataDecoder`` undoes dot-stuffing
(RFC 5321 section 4.5.2) and finds the end of a message. Both are resumable at any octet and hold a bounded number of
octets back.

``DataDecoder`` works on whole reads with searches that run in C, for messages whose line ends are clean. At the first
CR or LF that stands alone it goes on line by line, with the same result. Lines end as smtpd(8) has them: at each LF,
with the CR before it (or all of them, where ``BareNewline`` is lenient), and go out with CR LF; any other CR becomes a
blank. Which dot ends the message is the choice of ``BareNewline`` too.
"""

from __future__ import annotations

from angarium.protocols.smtp.types import BareNewline

_END = b"\r\n.\r\n"
_HELD_LINE = 4096  # of a line without an end, the line-by-line decoder holds back no more than this


class LineFramer:
    """Cuts lines out of what has been received."""

    __slots__ = ("_buffer", "_limit", "_position")

    def __init__(self, limit: int = 2048) -> None:
        self._limit = limit
        self._buffer = b""
        self._position = 0

    def add(self, data: bytes) -> None:
        """Take octets in."""
        self._buffer = self._buffer[self._position :] + data if self._position < len(self._buffer) else data
        self._position = 0

    @property
    def pending(self) -> int:
        """Octets that have been received and not been consumed."""
        return len(self._buffer) - self._position

    def peek(self, limit: int) -> bytes:
        """Up to ``limit`` octets of what has been received and not been consumed."""
        return self._buffer[self._position : self._position + limit]

    def take(self, limit: int | None = None) -> bytes:
        """Consume up to ``limit`` octets, or all, that are no lines."""
        start = self._position
        if limit is None or limit >= len(self._buffer) - start:
            taken = self._buffer[start:] if start else self._buffer
            self._buffer = b""
            self._position = 0
            return taken
        self._position = start + limit
        return self._buffer[start : self._position]

    def next_line(self, limit: int = 0) -> tuple[bytes, bool, bool] | None:
        """The next line without its end, whether it was truncated, and whether its LF stood without CR.

        None when no line is complete. Of a line over the limit (of this line, or of all), the excess is dropped as it
        comes in.
        """
        limit = limit or self._limit
        start = self._position
        end = self._buffer.find(b"\n", start)
        if end < 0:
            if len(self._buffer) - start > limit + 1:
                # One octet beyond the limit stays: it marks the line as truncated, however long it grows.
                self._buffer = self._buffer[start : start + limit + 1]
                self._position = 0
            return None
        line = self._buffer[start:end]
        self._position = end + 1
        bare = not line.endswith(b"\r")
        if not bare:
            line = line.rstrip(b"\r")
        if len(line) > limit:
            return line[:limit], True, False  # the CR may have been cut off
        return line, False, bare


class DataDecoder:
    """Decodes the octets after DATA's 354, for one message.

    After ``finished`` is True, ``rest`` holds the octets behind the final dot's line.
    """

    __slots__ = ("_held", "_line_start", "_lines", "_mode", "_previous_bare", "bare_newline", "finished", "rest")

    def __init__(self, mode: BareNewline = BareNewline.NORMALIZE) -> None:
        self._mode = mode
        # What is held back begins with the CR LF that opened the line: so a dot after it is at a line's start.
        self._held = b"\r\n"
        self._lines = False
        self._line_start = True
        self._previous_bare = False
        self.bare_newline = False
        self.finished = False
        self.rest = b""

    @property
    def held(self) -> int:
        """Octets of the message that are held back."""
        return len(self._held) - (2 if self._line_start and not self._lines else 0)

    def feed(self, data: bytes) -> bytes:
        """Take octets in; the decoded octets that are certain by now. Nothing may be fed after the end."""
        if self._lines:
            return self._feed_lines(data)
        buffer = self._held + data
        end = buffer.find(_END)
        if end >= 0:
            area = buffer[: end + 2]
        else:
            keep = _held_suffix(buffer)
            area = buffer[:-keep] if keep else buffer
        if not _is_clean(area):
            return self._go_by_lines(buffer)
        if end >= 0:
            self.finished = True
            self.rest = buffer[end + 5 :]
            self._held = b""
        else:
            self._held = buffer[len(area) :]
        if b"\r\n." in area:
            area = area.replace(b"\r\n.", b"\r\n")
        # The first CR LF of a message was never part of it: it is dropped once, by _line_start.
        if self._line_start and area:
            self._line_start = False
            return area[2:]
        return area

    def _go_by_lines(self, buffer: bytes) -> bytes:
        """Switch to decoding by lines. ``buffer`` starts in the middle of a line, or with the CR LF before one."""
        self._lines = True
        self._held = b""
        virtual = self._line_start
        self._line_start = False
        decoded = self._feed_lines(buffer)
        return decoded[2:] if virtual else decoded

    def _feed_lines(self, data: bytes) -> bytes:
        buffer = self._held + data
        out: list[bytes] = []
        position = 0
        strict_end = self._mode not in _LENIENT
        while (end := buffer.find(b"\n", position)) >= 0:
            line, bare = _cut_end(buffer[position:end], self._mode)
            position = end + 1
            self.bare_newline = self.bare_newline or bare
            at_start, self._line_start = self._line_start, True
            previous_bare, self._previous_bare = self._previous_bare, bare
            if at_start and line.startswith(b"."):
                line = line[1:]
                if not line:
                    if strict_end and (bare or previous_bare):
                        continue
                    self.finished = True
                    self.rest = buffer[position:]
                    self._held = b""
                    return b"".join(out)
            out.append(line.replace(b"\r", b" ") + b"\r\n")
        held = buffer[position:]
        if len(held) > _HELD_LINE:
            piece = held.rstrip(b"\r") or held
            held = held[len(piece) :]
            if self._line_start and piece.startswith(b"."):
                piece = piece[1:]
            self._line_start = False
            out.append(piece.replace(b"\r", b" "))
        self._held = held
        return b"".join(out)


class NewlineDecoder:
    """Gives the lines of a message that came in chunks (RFC 3030) CR LF ends; there is no dot-stuffing there."""

    __slots__ = ("_carriage_returns", "_in_line", "_mode", "bare_newline")

    def __init__(self, mode: BareNewline = BareNewline.NORMALIZE) -> None:
        self._mode = mode
        self._carriage_returns = 0
        self._in_line = False
        self.bare_newline = False

    def feed(self, data: bytes) -> bytes:
        """Take octets in; the decoded octets that are certain by now."""
        if self._carriage_returns:
            data = b"\r" * self._carriage_returns + data
            self._carriage_returns = 0
        if data.endswith(b"\r"):
            whole = data.rstrip(b"\r")
            self._carriage_returns = min(len(data) - len(whole), _HELD_LINE)
            data = data[: len(data) - self._carriage_returns]
        if not data:
            return b""
        self._in_line = not data.endswith(b"\n")
        if _is_clean(data):
            return data
        out = []
        *lines, last = data.split(b"\n")
        for raw in lines:
            line, bare = _cut_end(raw, self._mode)
            self.bare_newline = self.bare_newline or bare
            out.append(line.replace(b"\r", b" ") + b"\r\n")
        out.append(last.replace(b"\r", b" "))
        return b"".join(out)

    def finish(self) -> bytes:
        """The message is over: the line end that its last line lacks."""
        lacking = self._in_line or self._carriage_returns > 0
        blanks = b" " * self._carriage_returns
        self._in_line = False
        self._carriage_returns = 0
        return blanks + b"\r\n" if lacking else b""


_LENIENT = (BareNewline.NO, BareNewline.NOTE)


def _is_clean(data: bytes) -> bool:
    """Each CR and each LF is part of a CR LF. ``data`` does not end between the two."""
    pairs = data.count(b"\r\n")
    return data.count(b"\n") == pairs and data.count(b"\r") == pairs


def _cut_end(line: bytes, mode: BareNewline) -> tuple[bytes, bool]:
    """A line, found by its LF, without the CR that belongs to its end, and whether there was none."""
    if not line.endswith(b"\r"):
        return line, True
    return (line.rstrip(b"\r") if mode in _LENIENT else line[:-1]), False


def _held_suffix(buffer: bytes) -> int:
    """How many octets at the end of ``buffer`` may be the beginning of the end mark."""
    for length in (4, 3, 2, 1):
        if buffer.endswith(_END[:length]):
            return length
    return 0
