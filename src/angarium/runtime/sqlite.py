"""SQLite as the stores use it: WAL, a flush for each commit, errors with names of ours.

Owns the pragmas, the lowest SQLite that is safe, and the hand-off of a database's write lock between processes.

Guarantees: a transaction that was committed on a connection of ours is on stable storage (``groupcommit`` lets many
share one). Several processes may write to one database: they queue on a lock file in the kernel instead of polling.

Fails with ``SqlError`` and its kinds (``FullError``, ``CorruptError``, ``BusyError`` …), which are apsw's own.

Only this module imports the driver. SQLite 3.7.0 to 3.51.2 can corrupt a WAL database when two processes write and
checkpoint at one instant (https://sqlite.org/wal.html#walresetbug), so an older library is refused.
"""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

import apsw

SqlError = apsw.Error
BusyError = apsw.BusyError
CorruptError = apsw.CorruptError
NotADatabaseError = apsw.NotADBError
FullError = apsw.FullError
IoError = apsw.IOError
ConstraintError = apsw.ConstraintError
CantOpenError = apsw.CantOpenError
TooBigError = apsw.TooBigError

Connection = apsw.Connection

LOWEST_SQLITE = (3, 51, 3)
BUSY_MILLISECONDS = 10_000
_LOOKASIDE = (256, 32)  # the size and number of the small pieces that a connection keeps for itself


def _configure() -> None:
    """What has to be said before SQLite is used; where somebody was first, some memory and time is all that it costs.

    SQLite gives each connection 120 KiB for small pieces, which no query of ours was measured to be faster by. It
    counts all memory that it takes, under a lock for each piece, for limits and statistics that nobody asks for here:
    a tenth of the time of a query.
    """
    if not apsw.connections():
        apsw.shutdown()
        apsw.config(apsw.SQLITE_CONFIG_LOOKASIDE, *_LOOKASIDE)
        apsw.config(apsw.SQLITE_CONFIG_MEMSTATUS, 0)
        apsw.initialize()


_configure()


class UnsafeSqliteError(RuntimeError):
    """The SQLite that the driver carries has the WAL-reset fault."""


def require_safe_sqlite(version: str | None = None) -> None:
    """Raise UnsafeSqliteError when SQLite is older than 3.51.3."""
    text = version if version is not None else apsw.sqlite_lib_version()
    numbers = tuple(int(part) for part in text.split(".")[:3])
    if numbers < LOWEST_SQLITE:
        wanted = ".".join(map(str, LOWEST_SQLITE))
        msg = f"SQLite {text} can damage a database in WAL mode; {wanted} or newer is needed"
        raise UnsafeSqliteError(msg)


def connect(path: Path, *, readonly: bool = False, create: bool = True) -> Connection:
    """Open a database with the pragmas of a durable store.

    Args:
        path: the file. Its directory must exist.
        readonly: open for reading only; the file must exist.
        create: make the file when it is missing; without it a missing file raises CantOpenError.

    Raises:
        SqlError: it cannot be opened, or is not a database.
    """
    require_safe_sqlite()
    if readonly:
        flags = apsw.SQLITE_OPEN_READONLY
    else:
        flags = apsw.SQLITE_OPEN_READWRITE | (apsw.SQLITE_OPEN_CREATE if create else 0)
    connection = apsw.Connection(str(path), flags)
    # The plans of our statements never hang on what is bound to them: do not prepare anew at each execution to see.
    connection.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)
    connection.set_busy_timeout(BUSY_MILLISECONDS)
    if not readonly:
        _use_wal(connection)
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA temp_store = MEMORY")
    return connection


def limit_length(connection: Connection, size: int) -> None:
    """Let no value and no row on this connection have more than ``size`` bytes: TooBigError then, and no memory."""
    connection.limit(apsw.SQLITE_LIMIT_LENGTH, size)


def _use_wal(connection: Connection) -> None:
    """Turn WAL on. While another process does so on a new database, SQLite says "locked" without any waiting."""
    end = time.monotonic() + BUSY_MILLISECONDS / 1000
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except BusyError:
            if time.monotonic() > end:
                raise
            time.sleep(0.005)
        else:
            return


def is_full(error: Exception) -> bool:
    """Whether an error of the driver means a full disk: also where SQLite has another name for it."""
    if isinstance(error, FullError):
        return True
    # The index of the WAL could not be made longer: there is nothing else that this fails for.
    return isinstance(error, IoError) and getattr(error, "extendedresult", 0) == apsw.SQLITE_IOERR_SHMSIZE


def integrity(connection: Connection) -> list[str]:
    """What ``PRAGMA integrity_check`` finds; an empty list when all is well."""
    found = [str(row[0]) for row in connection.execute("PRAGMA integrity_check")]
    return [] if found == ["ok"] else found


class WriteLock:
    """A lock file on which the writers of several processes queue.

    SQLite itself waits for a writer by sleeping and asking again, which costs fairness and milliseconds. ``flock``
    wakes the next writer at once. It is an optimisation only: SQLite's own lock is still what protects the data.
    """

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def __enter__(self) -> None:
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)

    def __exit__(self, *_exc: object) -> None:
        self.release()

    def acquire_nowait(self) -> bool:
        """Take it if nobody has it. False too when it cannot be taken at all, which whoever waits for it will hear."""
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    def release(self) -> None:
        """Give it to the next."""
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def close(self) -> None:
        """Give the descriptor back."""
        os.close(self._descriptor)
