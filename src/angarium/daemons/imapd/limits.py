"""What one client may cost: connections per user and address. What wrong passwords cost is ``auth.penalty``'s."""

from __future__ import annotations

from collections import Counter

from angarium.auth.penalty import LoginPenalty, Networks
from angarium.runtime.counts import Column

__all__ = ["LoginPenalty", "Networks", "UserConnections"]


class UserConnections:
    """Connections by user and address; ``limit`` 0 is none; ``shared`` holds what other workers have counted."""

    def __init__(self, limit: int, shared: Column | None = None) -> None:
        self._limit = limit
        self._shared = shared
        self._open: Counter[tuple[str, str]] = Counter()

    def enter(self, account: str, address: str) -> bool:
        """Count one more; False, and not counted, when there are too many."""
        key = (account, address)
        others = self._shared.others(("imap", *key)) if self._shared is not None else 0
        if self._limit and self._open[key] + others >= self._limit:
            return False
        self._open[key] += 1
        if self._shared is not None:
            self._shared.add(("imap", *key), 1)
        return True

    def leave(self, account: str, address: str) -> None:
        """One less."""
        key = (account, address)
        if self._shared is not None and self._open[key] > 0:
            self._shared.add(("imap", *key), -1)
        self._open[key] -= 1
        if self._open[key] <= 0:
            del self._open[key]
