"""A table that is opened anew when the file with its settings has changed.

Postfix's processes end now and then, and their successors read the files again; these processes stay. So the file is
looked at, at most once a second, and read again when it has changed and has been left alone for a second. One that
cannot be used gives temporary errors and a warning, until it is put right: then mail goes on without a reload.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from angarium.model.lookup import Lookup
from angarium.tables.interface import Table
from angarium.tables.opener import TableSite
from angarium.tables.simple import FailTable

CHECK_INTERVAL = 1.0
_SETTLED = 1.0  # seconds since the last change: an editor is done with it

Make = Callable[[str, str, TableSite], Table]
Stamp = tuple[int, int, int] | None


def open_watched(name: str, argument: str, site: TableSite, make: Make) -> Table:
    """The table of ``type:argument``, made by ``make``; watched, if its settings are in a file.

    Raises:
        ValueError: the settings make no sense, and are not watched: they are in main.cf, or a command asks.
    """
    if site.strict or not argument.startswith(("/", ".")) or "\0" in argument:
        return make(name, argument, site)
    return WatchedTable(name, site.base / argument, lambda: make(name, argument, site), site.warn)


class WatchedTable:
    """The table that the file describes now.

    Args:
        name: ``type:name``.
        path: the file.
        make: opens the table; raises ValueError.
        warn: takes the text of a warning.
        clock: seconds, monotonic.
        now: seconds since 1970, as files have them.
    """

    pattern = False

    def __init__(
        self,
        name: str,
        path: Path,
        make: Callable[[], Table],
        warn: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.name = name
        self._path = path
        self._make = make
        self._warn = warn
        self._clock = clock
        self._now = now
        self._checked = clock()
        self._stamp = self._look()
        self._table = self._open()

    async def lookup(self, key: str) -> Lookup:
        """What the table says."""
        if self._clock() - self._checked >= CHECK_INTERVAL:
            self._checked = self._clock()
            stamp = self._look()
            if stamp != self._stamp and (stamp is None or abs(self._now() - stamp[0] / 1e9) >= _SETTLED):
                self._stamp = stamp
                await self.close()
                self._table = self._open()
        return await self._table.lookup(key)

    async def close(self) -> None:
        """Give back what the table holds open."""
        close = getattr(self._table, "close", None)
        if close is not None:
            await close()

    def _look(self) -> Stamp:
        try:
            status = os.stat(self._path)  # noqa: PTH116 - a hot path; Path.stat costs four times as much
        except OSError:
            return None
        return status.st_mtime_ns, status.st_ino, status.st_size

    def _open(self) -> Table:
        try:
            return self._make()
        except (ValueError, OSError) as error:
            self._warn(str(error))
            return FailTable(self.name, str(error))
