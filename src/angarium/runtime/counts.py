"""Counts that the workers of one server share without locks: who has how many connections, or how many a minute.

Owns one anonymous shared mapping, made by the parent before it forks. Each worker writes a column of its own and reads
all of them, so that nothing has to be locked, and a worker that dies takes its counts with it: its successor clears the
column. Keys are not stored; they are hashed into two rows of cells, and the lesser of two sums counts (a count-min
sketch). Two keys can be taken for one only when they meet in both rows: about one pair in four thousand million.

A cell holds a window of time and a count; a count of another window is nought. Connections are counted in window 0.

Guarantees: constant memory (1 MiB a column) and time. Never fails: a count is capped, not wrapped.
"""

from __future__ import annotations

import mmap
from collections.abc import Hashable

_WIDTH = 1 << 16
_ROWS = 2
_CELL = 8
_COUNT = (1 << 32) - 1


class SharedCounts:
    """The mapping. Made in the parent; children take a column each.

    Args:
        columns: how many processes write, at least 1.
    """

    def __init__(self, columns: int) -> None:
        self.columns = columns
        self._memory = mmap.mmap(-1, _ROWS * _WIDTH * columns * _CELL)
        self._cells = memoryview(self._memory).cast("Q")

    def column(self, number: int) -> Column:
        """The counts as process ``number`` (from 0) sees them; what a predecessor had counted there is forgotten."""
        self._cells[number :: self.columns][:] = memoryview(bytes(_ROWS * _WIDTH * _CELL)).cast("Q")
        return Column(self._cells, self.columns, number)


class Column:
    """One process's view of the counts."""

    __slots__ = ("_cells", "_columns", "_number")

    def __init__(self, cells: memoryview[int], columns: int, number: int) -> None:
        self._cells = cells
        self._columns = columns
        self._number = number

    def add(self, key: Hashable, change: int, window: int = 0) -> None:
        """Change this process's count of ``key`` in a window of time."""
        cells = self._cells
        for place in self._places(key):
            at = place + self._number
            cell = cells[at]
            count = (cell & _COUNT) if cell >> 32 == window & _COUNT else 0
            cells[at] = (window & _COUNT) << 32 | min(max(count + change, 0), _COUNT)

    def others(self, key: Hashable, window: int = 0) -> int:
        """How many all the other processes have counted; rarely more, never less."""
        if self._columns == 1:
            return 0
        cells = self._cells
        least = -1
        for place in self._places(key):
            total = 0
            for column in range(self._columns):
                if column != self._number:
                    cell = cells[place + column]
                    if cell >> 32 == window & _COUNT:
                        total += cell & _COUNT
            least = total if least < 0 else min(least, total)
        return least

    def _places(self, key: Hashable) -> tuple[int, int]:
        """The first cell of ``key`` in each row. Forked processes share the seed of ``hash``."""
        digest = hash(key)
        return (digest & 0xFFFF) * self._columns, (_WIDTH + (digest >> 20 & 0xFFFF)) * self._columns
