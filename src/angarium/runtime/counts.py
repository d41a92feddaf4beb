"""Counts that the workers of one server share without locks: who has how many connections, or how many a minute.

Owns one anonymous shared mapping, made by the parent before it forks. Each worker writes a column of its own and reads
all of them, so that nothing has to be locked, and a worker that dies gives back what it had counted: the parent
releases its column. Workers of an older configuration that still have sessions keep theirs, and count.

Keys are not stored; they are hashed into two rows of cells, and the lesser of two sums counts (a count-min sketch).
Two keys can be taken for one only when they meet in both rows: about one pair in four thousand million. What is
counted at once (connections) and what is counted in a window of time (rates) have rows of their own; in the latter a
cell holds its window too, and a count of another window is nought.

Guarantees: at most 2 MiB a column, touched as it is used, and constant time. Never fails: a count is capped, not
wrapped; without a free column a worker counts by itself.
"""

from __future__ import annotations

import mmap
from collections.abc import Hashable

_WIDTH = 1 << 16
_ROWS = 2
_CELL = 8
_COUNT = (1 << 32) - 1
_HEADER = mmap.PAGESIZE // _CELL
"""Cells before the first column. The first of them says how many columns are or were in use."""

_REMOVE = getattr(mmap, "MADV_REMOVE", -1)
"""What madvise(2) calls it on Linux; elsewhere it is no advice, and refused."""

_TABLE = _ROWS * _WIDTH
_COLUMN = 2 * _TABLE

MOST_COLUMNS = 256
"""How many processes can count together, those included that a reload leaves to end with their last session."""


class SharedCounts:
    """The mapping. Made in the parent, which gives each child a column.

    Args:
        columns: how many processes may write at once, at least 1.
    """

    def __init__(self, columns: int = MOST_COLUMNS) -> None:
        self.columns = columns
        self._memory = mmap.mmap(-1, (_HEADER + _COLUMN * columns) * _CELL)
        self._cells = memoryview(self._memory).cast("Q")
        self._taken: set[int] = set()

    def reserve(self) -> int | None:
        """A free column, its counts at nought; None when there is none. For the parent, before it forks."""
        number = next((each for each in range(self.columns) if each not in self._taken), None)
        if number is not None:
            self._taken.add(number)
            self._cells[0] = max(self._cells[0], number + 1)
        return number

    def release(self, number: int) -> None:
        """The process that had this column is gone, and so is what it had counted. For the parent."""
        self._taken.discard(number)
        start = _HEADER + _COLUMN * number
        try:
            # Not overwritten but given back to the system: pages that are not there read as zeros.
            self._memory.madvise(_REMOVE, start * _CELL, _COLUMN * _CELL)
        except OSError:  # some sandboxes do not know how
            self._cells[start : start + _COLUMN] = memoryview(bytes(_COLUMN * _CELL)).cast("Q")

    def column(self, number: int) -> Column:
        """The counts as the process with this column sees them. For the child."""
        return Column(self._cells, number)


class Column:
    """One process's view of the counts."""

    __slots__ = ("_cells", "_number")

    def __init__(self, cells: memoryview[int], number: int) -> None:
        self._cells = cells
        self._number = number

    def add(self, key: Hashable, change: int, window: int = 0) -> None:
        """Change this process's count of ``key``: of what is there now, or in a window of time (not 0)."""
        cells = self._cells
        base = _HEADER + self._number * _COLUMN
        for place in _places(key, window):
            at = base + place
            cell = cells[at]
            count = (cell & _COUNT) if cell >> 32 == window & _COUNT else 0
            cells[at] = (window & _COUNT) << 32 | min(max(count + change, 0), _COUNT)

    def others(self, key: Hashable, window: int = 0) -> int:
        """How many all the other processes have counted; rarely more, never less."""
        cells = self._cells
        columns = cells[0]
        if columns == 1:
            return 0
        least = -1
        for place in _places(key, window):
            total = 0
            for column in range(columns):
                if column != self._number:
                    cell = cells[_HEADER + column * _COLUMN + place]
                    if cell >> 32 == window & _COUNT:
                        total += cell & _COUNT
            least = total if least < 0 else min(least, total)
        return least


def _places(key: Hashable, window: int) -> tuple[int, int]:
    """The cell of ``key`` in each row of a column. Forked processes share the seed of ``hash``."""
    digest = hash(key)
    table = _TABLE if window else 0
    return table + (digest & 0xFFFF), table + _WIDTH + (digest >> 20 & 0xFFFF)
