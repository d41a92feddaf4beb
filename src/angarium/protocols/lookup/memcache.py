"""The text protocol of memcached, as memcache_table(5) needs it: ``get`` and ``set`` of one key.

| request | reply |
|---|---|
| ``get key`` | ``VALUE key flags bytes``, the data, ``END``; or ``END`` alone |
| ``set key flags ttl bytes``, the data | ``STORED``, ``NOT_STORED`` … |

Lines end in CR LF, and a lone LF does too. Bounded: lines by ``line_limit``, data by ``data_limit``. After a
FramingError the stream has no meaning any more.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from angarium.protocols.lookup.netstring import FramingError

LONGEST_KEY = 250


@dataclass(frozen=True, slots=True)
class Value:
    """The answer to a ``get``; ``data`` is None when the key is not there."""

    data: bytes | None


@dataclass(frozen=True, slots=True)
class Status:
    """The answer to a ``set``."""

    text: str


def is_key(key: bytes) -> bool:
    """Whether it may stand in a request: it has no white space and no control characters."""
    return len(key) > 0 and all(byte > 32 and byte != 127 for byte in key)


def get(key: bytes) -> bytes:
    """The request for a key, which ``is_key``."""
    return b"get " + key + b"\r\n"


def store(key: bytes, data: bytes, flags: int, ttl: int) -> bytes:
    """The request to store a value under a key, which ``is_key``."""
    return b"set %s %d %d %d\r\n%s\r\n" % (key, flags, ttl, len(data), data)


class _Step(enum.Enum):
    VALUE = "a VALUE line or END"
    DATA = "the data"
    AFTER = "the line end after the data"
    END = "END"
    STATUS = "the status of a set"


class MemcacheReader:
    """Takes bytes, gives answers.

    Args:
        line_limit: bytes of the longest line.
        data_limit: bytes of the largest value.
    """

    __slots__ = ("_buffer", "_data", "_data_limit", "_line_limit", "_step", "_todo")

    def __init__(self, line_limit: int, data_limit: int) -> None:
        self._line_limit = line_limit
        self._data_limit = data_limit
        self._buffer = bytearray()
        self._step = _Step.VALUE
        self._todo = 0
        self._data = b""

    def expect_value(self) -> None:
        """A ``get`` was sent."""
        self._step = _Step.VALUE

    def expect_status(self) -> None:
        """A ``set`` was sent."""
        self._step = _Step.STATUS

    def receive_data(self, data: bytes) -> Value | Status | None:
        """The answer, when it is complete. Raises FramingError."""
        self._buffer += data
        while True:
            if self._step is _Step.DATA:
                if len(self._buffer) < self._todo:
                    return None
                self._data = bytes(self._buffer[: self._todo])
                del self._buffer[: self._todo]
                self._step = _Step.AFTER
            line = self._take_line()
            if line is None:
                return None
            answer = self._take(line)
            if answer is not None:
                return answer

    def _take_line(self) -> bytes | None:
        end = self._buffer.find(b"\n", 0, self._line_limit)
        if end < 0:
            if len(self._buffer) >= self._line_limit:
                raise FramingError("reply line too long")
            return None
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        return line.removesuffix(b"\r")

    def _take(self, line: bytes) -> Value | Status | None:
        match self._step:
            case _Step.STATUS:
                return Status(line.decode("utf-8", "replace")[:100])
            case _Step.VALUE if line == b"END":
                return Value(None)
            case _Step.VALUE:
                self._todo = self._size(line)
                self._step = _Step.DATA
                return None
            case _Step.AFTER if not line:
                self._step = _Step.END
                return None
            case _Step.END if line == b"END":
                return Value(self._data)
            case _:
                raise self._unexpected(line)

    def _size(self, line: bytes) -> int:
        words = line.split(b" ")
        if len(words) < 4 or words[0] != b"VALUE" or not words[3].isdigit() or len(words[3]) > 10:
            raise self._unexpected(line)
        size = int(words[3])
        if size > self._data_limit:
            raise self._unexpected(line)
        return size

    @staticmethod
    def _unexpected(line: bytes) -> FramingError:
        return FramingError(f"unexpected memcache server reply: {line.decode('utf-8', 'replace'):.100}")
