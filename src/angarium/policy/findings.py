"""What probes of addresses have found, on disk: shared by the workers, and kept over a restart (verify(8)).

``address_verify_map`` names the file. Whatever its table type, what is kept is a SQLite database beside that name, as
several processes write to it. It is a cache: when it cannot be used, that is said once, and nothing is remembered
beyond the process.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from angarium.runtime.sqlite import Connection, SqlError, connect

SUFFIX = ".sqlite"
_MAKE = (
    "CREATE TABLE IF NOT EXISTS findings (address TEXT PRIMARY KEY, standing TEXT NOT NULL, found REAL NOT NULL, "
    "text TEXT NOT NULL) WITHOUT ROWID"
)


def findings_path(table: str) -> Path | None:
    """Where the findings are kept for a value of address_verify_map; None: in memory alone."""
    name = table.partition(":")[2] or table
    name = name.removeprefix("btree:").removeprefix("hash:").removeprefix("lmdb:")  # behind proxy:
    return Path(f"{name}{SUFFIX}") if name else None


class FindingStore:
    """The database; opened when it is first asked.

    Args:
        path: the file; its directory must exist.
        warn: takes what the administrator should know.
        interval: seconds between two clean-ups (address_verify_cache_cleanup_interval); 0: none.
    """

    def __init__(self, path: Path, warn: Callable[[str], None], interval: float = 0.0) -> None:
        self._path = path
        self._warn = warn
        self._interval = interval
        self._connection: Connection | None = None
        self._unusable = False
        self._cleaned = 0.0

    def get(self, address: str) -> tuple[str, float, str] | None:
        """The standing of an address, when that was found (seconds since the epoch), and the words for it."""
        query = "SELECT standing, found, text FROM findings WHERE address = ?"
        rows = self._execute(query, (address,))
        return (str(rows[0][0]), float(rows[0][1]), str(rows[0][2])) if rows else None

    def put(self, address: str, standing: str, found: float, text: str) -> None:
        """Remember."""
        self._execute("INSERT OR REPLACE INTO findings VALUES (?, ?, ?, ?)", (address, standing, found, text))

    def clean(self, now: float, positive: tuple[str, float], negative: float) -> None:
        """Forget what has expired, if it is time for that.

        Args:
            now: seconds since the epoch.
            positive: the standing that has its own time, and that time.
            negative: the time of the others.
        """
        if self._interval <= 0 or now - self._cleaned < self._interval:
            return
        self._cleaned = now
        standing, time = positive
        self._execute("DELETE FROM findings WHERE standing = ? AND found < ?", (standing, now - time))
        self._execute("DELETE FROM findings WHERE standing <> ? AND found < ?", (standing, now - negative))

    def _execute(self, statement: str, values: tuple[str | float, ...]) -> list[tuple[str | float, ...]]:
        if self._unusable:
            return []
        try:
            if self._connection is None:
                self._connection = connect(self._path)
                self._connection.execute(_MAKE)
            return list(self._connection.execute(statement, values))
        except (SqlError, OSError) as error:
            self._unusable = True
            self._warn(f"address_verify_map {self._path}: {error}: findings are not kept")
            return []

    def close(self) -> None:
        """Close the database."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
