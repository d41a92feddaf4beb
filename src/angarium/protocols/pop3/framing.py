"""Lines in, dot-stuffed messages out: bounded and resumable.

``LineReader`` yields lines without their line end (CRLF; a bare LF is taken too, as clients by hand send it). A line
over the bound is dropped as it arrives, up to its end, and reported once, so that it costs one command and no memory.

``stuff`` makes a message the body of a multi-line reply (RFC 1939 section 3); ``Stuffer`` does so piece by piece.
"""

from __future__ import annotations


class LineReader:
    """Cuts what arrives into lines.

    ``held`` is what waits for its line end or to be asked for; while it is large, the caller reads no more.
    """

    __slots__ = ("_buffer", "_dropping", "_offset")

    def __init__(self) -> None:
        self._buffer = b""
        self._offset = 0
        self._dropping = False

    @property
    def held(self) -> int:
        """Bytes that are waiting."""
        return len(self._buffer) - self._offset

    def feed(self, data: bytes) -> None:
        """Add what arrived."""
        if self._offset == len(self._buffer):
            self._buffer = data
        else:
            self._buffer = self._buffer[self._offset :] + data
        self._offset = 0

    def clear(self) -> None:
        """Forget what is held: what came in plain text before TLS must not count as said under TLS (RFC 3207)."""
        self._buffer = b""
        self._offset = 0
        self._dropping = False

    def next_line(self, limit: int) -> bytes | bool | None:
        """The next line; None when it is not complete yet; False once for a line of over ``limit`` bytes."""
        buffer, start = self._buffer, self._offset
        end = buffer.find(b"\n", start)
        if end < 0:
            if len(buffer) - start > limit:
                self._dropping = True
            if self._dropping:
                self._offset = len(buffer)
            return None
        self._offset = end + 1
        if self._dropping or end - start > limit:
            self._dropping = False
            return False
        if end > start and buffer[end - 1] == 0x0D:
            end -= 1
        return buffer[start:end]


def stuff(message: bytes) -> bytes:
    """The message as the body of a multi-line reply, without the final ``.``: dots doubled, ending in CRLF.

    Stored messages have CRLF at the end of their lines. A bare LF, which IMAP's APPEND can bring in, stays as it is,
    but a dot behind it is doubled all the same: no client, however it ends lines, can be made to see the end of the
    reply inside the message.
    """
    if message.rfind(b"\n.") >= 0:  # most have none, and rfind sees that in a third of the time that replace takes
        message = message.replace(b"\n.", b"\n..")
    if message.startswith(b"."):
        message = b"." + message
    return message if message.endswith(b"\r\n") or not message else message + _missing_end(message)


def _missing_end(message: bytes) -> bytes:
    """What turns the end of a message into a line end."""
    return b"\n" if message.endswith(b"\r") else b"\r\n"


class Stuffer:
    """``stuff`` for a message that comes in pieces: ``feed`` each, then ``finish``."""

    __slots__ = ("_tail",)

    def __init__(self) -> None:
        self._tail = b""

    def feed(self, piece: bytes) -> bytes:
        """What to send for this piece."""
        if not piece:
            return b""
        doubled = piece.replace(b"\n.", b"\n..")
        if piece.startswith(b".") and (not self._tail or self._tail.endswith(b"\n")):
            doubled = b"." + doubled
        self._tail = (self._tail + piece[-2:])[-2:]
        return doubled

    def finish(self) -> bytes:
        """What is missing at the end."""
        return b"" if self._tail == b"\r\n" or not self._tail else _missing_end(self._tail)


def top(message: bytes, body: int, lines: int) -> bytes:
    """The header, which ends at ``body``, and the first ``lines`` lines of the body (RFC 1939 section 7, TOP)."""
    end = body
    for _ in range(lines):
        found = message.find(b"\n", end)
        if found < 0:
            return message
        end = found + 1
    return message[:end]


def header_end(message: bytes) -> int:
    """Where the body begins: after the first empty line; the whole length when there is none."""
    if message.startswith(b"\r\n"):
        return 2
    if message.startswith(b"\n"):
        return 1
    at = message.find(b"\r\n\r\n")
    bare = message.find(b"\n\n", 0, at if at >= 0 else len(message))
    if bare >= 0:
        return bare + 2
    return at + 4 if at >= 0 else len(message)
