"""The protocol of tcp_table(5): ``get SPACE key NEWLINE``, and a line with a status of 200, 400 or 500.

In keys and values ``%XX`` stands for ``%``, white space and what does not print. Bounded: a line has at most 4096
bytes with its end. After a FramingError the stream has no meaning any more.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from angarium.protocols.lookup.netstring import FramingError

LINE_LIMIT = 4096

_UNSAFE = re.compile(rb"[^!-$&-~]")
_ENCODED = re.compile(rb"%(.{0,2})", re.DOTALL)


@dataclass(frozen=True, slots=True)
class TcpReply:
    """One reply: found with ``data``, not found, or ``fault`` says why there is no answer."""

    data: bytes | None = None
    fault: str = ""


def request(key: bytes) -> bytes:
    """The line that asks for a key."""
    return b"get " + _UNSAFE.sub(lambda found: b"%%%02X" % found[0][0], key) + b"\n"


def parse_reply(line: bytes) -> TcpReply:
    """What a line, without its end, says. Raises FramingError for one that makes no sense."""
    shown = line.decode("utf-8", "replace")[:100]
    if len(line) < 4 or not line[:3].isdigit() or line[3:4] not in (b" ", b"\t"):
        raise FramingError(f"malformed reply: {shown}")
    try:
        text = _ENCODED.sub(lambda found: bytes((int(found[1], 16),)) if _is_hex(found[1]) else _refuse(), line[4:])
    except ValueError:
        raise FramingError(f"malformed reply: {shown}") from None
    match line[:1]:
        case b"2":
            return TcpReply(text)
        case b"5":
            return TcpReply()
        case b"4":
            return TcpReply(fault=f"temporary error: {text.decode('utf-8', 'replace'):.200}")
        case _:
            raise FramingError(f"bad status code: {shown}")


def _is_hex(digits: bytes) -> bool:
    return len(digits) == 2 and all(each in b"0123456789abcdefABCDEF" for each in digits)


def _refuse() -> bytes:
    raise ValueError


class LineReader:
    """Takes bytes, gives lines without their ends.

    Args:
        limit: bytes of the longest line, with its end.
    """

    __slots__ = ("_buffer", "_limit")

    def __init__(self, limit: int = LINE_LIMIT) -> None:
        self._limit = limit
        self._buffer = b""

    def receive_data(self, data: bytes) -> list[bytes]:
        """The lines that are complete now. Raises FramingError."""
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        if len(self._buffer) >= self._limit or any(len(line) >= self._limit for line in lines):
            raise FramingError(f"text longer than {self._limit}")
        return lines
