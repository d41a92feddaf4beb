"""``AuthCache``: remembers the outcome of log-ins without remembering passwords.

An entry's key is a MAC, under a key that this process drew at random and never shows, of the account, the password and
the hash on file. So a dump of the cache tells nothing that a dump of the process would not, an equal MAC is an
equal password, and a changed password misses at once: ``auth_cache_ttl`` bounds how long an outcome stays in memory,
not how long a wrong one lives. Whoever guesses cannot steer the MAC, so the table's own comparison tells them nothing.

Bounded by ``auth_cache_size`` entries; the one used longest ago goes first. ``statistics`` counts hits and misses.
The successes of other workers are known, too, where they share them (``auth.shared``).
"""

from __future__ import annotations

import hashlib
import os
from collections import OrderedDict

from angarium.auth.shared import SharedSuccesses


class AuthCache:
    """Outcomes by MAC.

    Args:
        size: the most entries; 0 switches the cache off.
        ttl: seconds that a success is remembered.
        negative_ttl: seconds that a failure is remembered; 0: not at all.
        shared: the successes of all workers.
    """

    def __init__(self, size: int, ttl: float, negative_ttl: float, shared: SharedSuccesses | None = None) -> None:
        self._size = size
        self._ttl = ttl
        self._negative_ttl = negative_ttl
        self._shared = shared if size > 0 and ttl > 0 else None
        self._key = os.urandom(32) if shared is None else shared.key
        self._entries: OrderedDict[bytes, tuple[bool, float]] = OrderedDict()
        self._hits = 0
        self._misses = 0

    def mac(self, account: str, password: str, stored: str) -> bytes:
        """What stands for these three in the cache."""
        fields = [field.encode("utf-8", "surrogatepass") for field in (account, stored, password)]
        framed = b"".join(len(field).to_bytes(4, "big") + field for field in fields)
        return hashlib.blake2b(framed, key=self._key, digest_size=32).digest()

    def get(self, mac: bytes, now: float) -> bool | None:
        """Whether that password was right; None when it is not remembered."""
        entry = self._entries.get(mac)
        if entry is None or entry[1] <= now:
            if self._shared is not None and self._shared.holds(mac, now):
                self._hits += 1
                return True
            self._misses += 1
            return None
        self._hits += 1
        self._entries.move_to_end(mac)
        return entry[0]

    def put(self, mac: bytes, right: bool, now: float) -> None:
        """Remember an outcome."""
        if right and self._shared is not None:
            self._shared.add(mac, now + self._ttl)
        ttl = self._ttl if right else self._negative_ttl
        if ttl <= 0 or self._size <= 0:
            return
        self._entries[mac] = (right, now + ttl)
        self._entries.move_to_end(mac)
        if len(self._entries) > self._size:
            self._entries.popitem(last=False)

    def statistics(self) -> dict[str, int]:
        """Entries, hits and misses."""
        return {"entries": len(self._entries), "hits": self._hits, "misses": self._misses}
