"""Queries from outside in a SQLite database that others own: read-only, bounded in time, and never in the loop's way.

A query that needs a few milliseconds runs at once, in the event loop: a hop to a thread would cost more than the query.
One that takes longer, or meets a lock, is stopped and runs again on a thread with a connection of its own, for up to
``seconds``. Of several statements in one text the first alone runs, as in sqlite_table(5).

Guarantees: nothing is written. A database file that was replaced is opened again, within a second.
Fails with SqlError; ``InterruptError`` when the time is over.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import apsw

from angarium.runtime.sqlite import BusyError, Connection, SqlError, connect

InterruptError = apsw.InterruptError

_AT_ONCE = 0.005  # seconds that a query may hold the event loop up
_STEPS = 2000  # of SQLite's machine between two looks at the clock: some 20 µs
_CHECK_INTERVAL = 1.0
_THREADS = 2


class TooLargeError(SqlError):
    """The values of a query are more than the caller wants."""


class SqliteReader:
    """The first column of what queries give.

    Args:
        path: the database.
        seconds: the most that a query may take.
        limit: characters of all values of a query together.
        clock: seconds, monotonic.
    """

    def __init__(self, path: Path, seconds: float, limit: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._seconds = seconds
        self._limit = limit
        self._clock = clock
        self._connection: Connection | None = None
        self._inode: tuple[int, int] | None = None
        self._checked = float("-inf")
        self._executor: ThreadPoolExecutor | None = None

    async def column(self, sql: str) -> list[str | None]:
        """The first column of the rows, as SQLite writes it as text; None for NULL.

        Raises:
            SqlError: the database cannot be opened, the query is wrong or takes too long.
        """
        try:
            return self._read(self._current(), sql, _AT_ONCE)
        except (InterruptError, BusyError):
            if self._executor is None:
                self._executor = ThreadPoolExecutor(_THREADS, "sqlite")
            return await asyncio.get_running_loop().run_in_executor(self._executor, self._read_slowly, sql)

    def close(self) -> None:
        """Close the database."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._executor is not None:
            self._executor.shutdown(wait=False)
            self._executor = None

    def _current(self) -> Connection:
        now = self._clock()
        if self._connection is None or now - self._checked >= _CHECK_INTERVAL:
            self._checked = now
            inode = self._identity()
            if self._connection is not None and inode != self._inode:
                self._connection.close()
                self._connection = None
            if self._connection is None:
                self._connection = connect(self._path, readonly=True)
                self._connection.set_busy_timeout(0)
                self._inode = inode
        return self._connection

    def _identity(self) -> tuple[int, int] | None:
        try:
            status = os.stat(self._path)  # noqa: PTH116 - a hot path; Path.stat costs four times as much
        except OSError:
            return None
        return status.st_dev, status.st_ino

    def _read_slowly(self, sql: str) -> list[str | None]:
        connection = connect(self._path, readonly=True)
        try:
            connection.set_busy_timeout(int(self._seconds * 1000))
            return self._read(connection, sql, self._seconds)
        finally:
            connection.close()

    def _read(self, connection: Connection, sql: str, seconds: float) -> list[str | None]:
        end = time.monotonic() + seconds
        connection.set_progress_handler(lambda: time.monotonic() > end, _STEPS)
        values: list[str | None] = []
        size = 0
        for value in _first_statement(connection, sql):
            text = _text(connection, value)
            values.append(text)
            size += 1 if text is None else len(text) + 1
            if size > self._limit:
                raise TooLargeError("the result is too large")
        return values


def _first_statement(connection: Connection, sql: str) -> Iterator[apsw.SQLiteValue]:
    """The first column of the rows of the first statement in ``sql``."""
    statements = 0

    def once(_cursor: apsw.Cursor, _statement: str, _bindings: object) -> bool:
        nonlocal statements
        statements += 1
        return statements == 1

    cursor = connection.cursor()
    cursor.exec_trace = once
    try:
        for row in cursor.execute(sql):
            yield row[0]
    except apsw.ExecTraceAbort:
        return
    finally:
        cursor.close(True)


def _text(connection: Connection, value: apsw.SQLiteValue) -> str | None:
    """A value as sqlite3_column_text() gives it."""
    match value:
        case None | str():
            return value
        case bytes():
            return value.decode("utf-8", "surrogateescape")
        case float():  # SQLite has its own way to write one
            return next(str(row[0]) for row in connection.execute("SELECT CAST(? AS TEXT)", (value,)))
        case _:
            return str(value)
