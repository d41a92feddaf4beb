"""Files that processes hold as they were when root read them: noticed when they change.

Postfix's daemons end after a while and read keys and tables anew when they start; a renewed certificate is in use
within minutes, and nobody runs ``postfix reload``. Here processes last, so the master looks at such files every
``file_check_interval`` and has new processes take the place of the old ones, with the configuration that they had.

A change counts when it was the same at two looks, so that a key and its certificate, or a table that is being built,
are taken together.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path

_Stamps = dict[Path, tuple[int, int, int] | None]


class FileWatch:
    """The files of one generation of processes.

    Args:
        paths: what to look at.
        interval: seconds between looks; 0: never.
        clock: seconds, monotonic.
    """

    def __init__(self, paths: Iterable[Path], interval: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._paths = tuple(dict.fromkeys(paths))
        self._interval = interval if self._paths else 0.0
        self._clock = clock
        self._known = self._look() if self._interval else {}
        self._seen = self._known
        self._next = clock() + interval

    def wait(self, most: float) -> float:
        """How long nothing is to be done, at most ``most`` seconds."""
        return max(0.0, min(most, self._next - self._clock())) if self._interval else most

    def changed(self) -> tuple[Path, ...]:
        """The files that have settled in another state than before; told once."""
        if not self._interval or self._clock() < self._next:
            return ()
        self._next = self._clock() + self._interval
        now = self._look()
        settled, self._seen = now == self._seen, now
        if now == self._known or not settled:
            return ()
        before, self._known = self._known, now
        return tuple(path for path in self._paths if now[path] != before[path])

    def _look(self) -> _Stamps:
        return {path: _stamp(path) for path in self._paths}


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        status = os.stat(path)  # noqa: PTH116 - nothing but the numbers is wanted
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino, status.st_size
