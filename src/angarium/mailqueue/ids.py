"""Queue ids: short ones as Postfix writes them (``3F2A110C07``), long ones with ``enable_long_queue_ids``.

A short id is five hex digits of microseconds and a serial number in hex; a long one is the time in a 52-letter
alphabet without vowels, ``z``, and the serial number in that alphabet without ``z`` (postconf(5),
enable_long_queue_ids). Where Postfix takes the inode number of the queue file, we take a number that the queue gives
out in blocks, one block a process at a time. So ids are unique across processes and never repeat in the life of a
queue, and the serial number is the key of the message's row: no index over ids is needed.
"""

from __future__ import annotations

import re
from collections.abc import Callable

BLOCK = 65_536
"""How many numbers a process takes at once."""

_ALPHABET = "0123456789BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz"
_VALUES = {letter: value for value, letter in enumerate(_ALPHABET)}
_SHORT = re.compile(r"[0-9A-F]{5}([0-9A-F]{1,15})", re.ASCII)
_LONG = re.compile(r"[0-9B-DF-HJ-NP-TV-Zb-df-hj-np-tv-z]{10,}z([0-9B-DF-HJ-NP-TV-Zb-df-hj-np-tv-y]{1,11})", re.ASCII)


def _digits(number: int, base: int, width: int = 1) -> str:
    text = ""
    while number:
        number, digit = divmod(number, base)
        text = _ALPHABET[digit] + text
    return text.rjust(width, "0")


def short_id(now: float, serial: int) -> str:
    """The short form; ``now`` in seconds since the epoch."""
    return f"{int(now * 1_000_000) % 1_000_000:05X}{serial:X}"


def long_id(now: float, serial: int) -> str:
    """The long form; ids made later sort later."""
    seconds, microseconds = divmod(int(now * 1_000_000), 1_000_000)
    return f"{_digits(seconds, 52, 6)}{_digits(microseconds, 52, 4)}z{_digits(serial, 51)}"


def serial_number(queue_id: str) -> int | None:
    """The serial number in an id of either form; None when ``queue_id`` is not one of ours."""
    match = _SHORT.fullmatch(queue_id)
    if match is not None:
        return int(match[1], 16)
    match = _LONG.fullmatch(queue_id)
    if match is None:
        return None
    number = 0
    for letter in match[1]:
        number = number * 51 + _VALUES[letter]
    return number


class QueueIds:
    """Gives out ids to one process.

    Args:
        take_block: reserves the next block durably and returns its number; may raise OSError.
        clock: seconds since the epoch.
        long: make long ids.
    """

    def __init__(self, take_block: Callable[[], int], clock: Callable[[], float], *, long: bool = False) -> None:
        self._take_block = take_block
        self._clock = clock
        self._make = long_id if long else short_id
        self._next = 0
        self._end = 0

    def allocate(self) -> str:
        """A new id."""
        if self._next == self._end:
            self._next = self._take_block() * BLOCK
            self._end = self._next + BLOCK
        serial = self._next
        self._next += 1
        return self._make(self._clock(), serial)
