"""Netstrings: ``5:hello,`` (http://cr.yp.to/proto/netstrings.txt).

Bounded: a string is at most ``limit`` bytes, and nothing of a longer one is kept. Resumable: bytes come in as they
come. After a FramingError the stream has no meaning any more.
"""

from __future__ import annotations

_DIGITS = 10  # of a length; a longer one is nobody's


class FramingError(ValueError):
    """What came is not framed as the protocol has it, or is too long. The text is for the log."""


def encode(data: bytes) -> bytes:
    """``data`` as a netstring."""
    return b"%d:%s," % (len(data), data)


class NetstringReader:
    """Takes bytes, gives strings.

    Args:
        limit: bytes of the longest string.
    """

    __slots__ = ("_buffer", "_length", "_limit")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._buffer = bytearray()
        self._length: int | None = None

    def receive_data(self, data: bytes) -> list[bytes]:
        """The strings that are complete now. Raises FramingError."""
        self._buffer += data
        found: list[bytes] = []
        while True:
            if self._length is None:
                self._length = self._take_length()
            if self._length is None or len(self._buffer) <= self._length:
                return found
            if self._buffer[self._length] != ord(","):
                raise FramingError("netstring without its comma")
            found.append(bytes(self._buffer[: self._length]))
            del self._buffer[: self._length + 1]
            self._length = None

    def _take_length(self) -> int | None:
        """The length before the colon; None: it is not all there yet."""
        colon = self._buffer.find(b":", 0, _DIGITS + 1)
        digits = bytes(self._buffer[: colon if colon >= 0 else _DIGITS + 1])
        if (digits and not digits.isdigit()) or colon == 0 or (colon < 0 and len(digits) > _DIGITS):
            raise FramingError("input format error")
        if colon < 0:
            return None
        if len(digits) > 1 and digits.startswith(b"0"):
            raise FramingError("input format error")
        length = int(digits)
        if length > self._limit:
            raise FramingError(f"netstring of {length} bytes is longer than {self._limit}")
        del self._buffer[: colon + 1]
        return length
