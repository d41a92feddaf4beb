"""``SharedSuccesses``: what one worker has found right, the others need not hash again.

Owns one anonymous shared mapping and the key of all MACs, made by the parent before it forks. A password takes some
20 ms to check, and a client's next connection meets another worker as often as not.

Holds only MACs of successes, with the time when each is forgotten: as little help to a thief as ``AuthCache``. A slot
is written in three steps, without a lock: not valid, MAC, valid again. Whoever reads in between, or while two write,
sees a MAC that is nobody's, and hashes.

Guarantees: fixed size (655 KiB, touched as it is used), constant time. Never fails: of two that meet in a set of two
slots with a third, the one that would be forgotten first gives way. Times are of the system's monotonic clock, which
all processes share.
"""

from __future__ import annotations

import mmap
import os
import struct

_SETS = 8192
_WAYS = 2
_MAC = 32
_SLOT = _MAC + 8
_TIME = struct.Struct("=d")


class SharedSuccesses:
    """The mapping, as the parent makes it and every child uses it."""

    def __init__(self) -> None:
        self.key = os.urandom(32)
        self._memory = mmap.mmap(-1, _SETS * _WAYS * _SLOT)

    def holds(self, mac: bytes, now: float) -> bool:
        """Some worker found it right, and that is not to be forgotten yet."""
        memory = self._memory
        return any(
            memory[slot : slot + _MAC] == mac and _TIME.unpack_from(memory, slot + _MAC)[0] > now
            for slot in _slots(mac)
        )

    def add(self, mac: bytes, until: float) -> None:
        """Remember a success."""
        memory = self._memory
        times = {slot: _TIME.unpack_from(memory, slot + _MAC)[0] for slot in _slots(mac)}
        own = [slot for slot in times if memory[slot : slot + _MAC] == mac]
        slot = own[0] if own else min(times, key=lambda each: times[each])
        _TIME.pack_into(memory, slot + _MAC, 0.0)
        memory[slot : slot + _MAC] = mac
        _TIME.pack_into(memory, slot + _MAC, until)


def _slots(mac: bytes) -> tuple[int, int]:
    first = int.from_bytes(mac[:4], "big") % _SETS * _WAYS * _SLOT
    return first, first + _SLOT
