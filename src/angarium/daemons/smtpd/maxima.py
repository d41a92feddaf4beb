"""The highest counts since the last report, for the ``statistics:`` lines that anvil(8) writes into the log."""

from __future__ import annotations

import time
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class _Record:
    number: int
    who: str
    when: float


_RATES = ("connection", "count", "message", "recipient", "newtls", "auth")
"""In anvil's order; ``count`` is of connections at once and no rate."""


class Maxima:
    """The records of one process."""

    __slots__ = ("_cache", "_records")

    def __init__(self) -> None:
        self._records: dict[str, _Record] = {}
        self._cache: _Record | None = None

    def note(self, kind: str, number: int, who: tuple[str, str], when: float) -> None:
        """A count was reached.

        Args:
            kind: ``connection``, ``message``, ``recipient``, ``newtls``, ``auth``: rates; ``count``: connections.
            number: the count.
            who: the service and the client or its network.
            when: seconds since the epoch.
        """
        record = self._records.get(kind)
        if record is None or number > record.number:
            self._records[kind] = _Record(number, f"{who[0]}:{who[1]}", when)

    def note_cache(self, size: int, when: float) -> None:
        """So many clients are remembered."""
        if self._cache is None or size > self._cache.number:
            self._cache = _Record(size, "", when)

    def take_lines(self, unit: float) -> list[str]:
        """The lines of the log since the last call; none when nobody came. ``unit``: seconds of a rate."""
        lines = []
        for kind in _RATES:
            record = self._records.get(kind)
            if record is not None:
                what = "connection count" if kind == "count" else f"{kind} rate"
                number = f"{record.number}" if kind == "count" else f"{record.number}/{unit:.0f}s"
                lines.append(f"statistics: max {what} {number} for ({record.who}) at {_date(record.when)}")
        if self._cache is not None:
            lines.append(f"statistics: max cache size {self._cache.number} at {_date(self._cache.when)}")
        self._records.clear()
        self._cache = None
        return lines


def _date(seconds: float) -> str:
    """``Aug  2 10:00:00``: the local time, as the log has it."""
    return time.ctime(seconds)[4:19]
