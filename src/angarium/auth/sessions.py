"""``UserSessions``: how many sessions an account has from one address, over one protocol, in all workers.

Each worker counts its own; ``runtime.counts`` adds what the others have counted.
"""

from __future__ import annotations

from collections import Counter

from angarium.runtime.counts import Column


class UserSessions:
    """Sessions by account and address.

    Args:
        protocol: what the counts are of: ``imap``, ``pop3``.
        limit: the most at once; 0: any number.
        shared: the other workers' counts; None when there are none.
    """

    def __init__(self, protocol: str, limit: int, shared: Column | None = None) -> None:
        self._protocol = protocol
        self._limit = limit
        self._shared = shared
        self._open: Counter[tuple[str, str]] = Counter()

    def enter(self, account: str, address: str) -> bool:
        """Count one more; False, and not counted, when there are too many."""
        key = (account, address)
        others = self._shared.others((self._protocol, *key)) if self._shared is not None else 0
        if self._limit and self._open[key] + others >= self._limit:
            return False
        self._open[key] += 1
        if self._shared is not None:
            self._shared.add((self._protocol, *key), 1)
        return True

    def leave(self, account: str, address: str) -> None:
        """One less."""
        key = (account, address)
        if self._shared is not None and self._open[key] > 0:
            self._shared.add((self._protocol, *key), -1)
        self._open[key] -= 1
        if self._open[key] <= 0:
            del self._open[key]

    def statistics(self) -> dict[str, int]:
        """How many sessions this worker has."""
        return {"sessions": self._open.total()}
