"""A bound on the connections of a service that have not logged in: over it, the oldest of them goes.

So nobody keeps others out by opening connections and saying nothing, and what such connections cost has an end. It is
what Dovecot's log-in processes do. Who has logged in is found out when room is needed: logging in costs nothing here,
and under a flood each connection looks at ``limit`` others at most.
"""

from __future__ import annotations

from typing import Protocol


class Stranger(Protocol):
    """A connection."""

    @property
    def known(self) -> bool:
        """It has logged in."""
        ...

    def give_way(self) -> None:
        """It must go, to make room for another. Must not block; ``Strangers.leave`` may be called from inside."""
        ...


class Strangers:
    """The connections of one service that have not logged in, the oldest first.

    Args:
        limit: how many; 0: any number.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._waiting: dict[Stranger, None] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def enter(self, connection: Stranger) -> None:
        """One more; another goes when that is one too many."""
        if not self._limit:
            return
        waiting = self._waiting
        if len(waiting) >= self._limit:
            for other in [other for other in waiting if other.known]:
                del waiting[other]
            if len(waiting) >= self._limit:
                oldest = next(iter(waiting))
                del waiting[oldest]
                oldest.give_way()
        waiting[connection] = None

    def leave(self, connection: Stranger) -> None:
        """It has ended, logged in or not."""
        self._waiting.pop(connection, None)
