"""An account's database in this process: a connection to write by group commit, one to read, and the files beside it.

Opening makes a new account's database with its first mailboxes (``creation``). It also brings an older schema up to
date, finishes what a crash interrupted (dead bodies, orphaned files), and fails for a damaged database. Opening and
closing block: they run on a thread of the pool.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

from angarium.mailstore import migration, schema
from angarium.mailstore.bodies import BodyFiles
from angarium.mailstore.creation import create_database
from angarium.mailstore.layout import BODIES, DATABASE
from angarium.mailstore.rows import all_rows, one_row
from angarium.runtime.groupcommit import GroupCommitWriter, Threads
from angarium.runtime.sqlite import Connection, WriteLock, connect, integrity, limit_length

T = TypeVar("T")
_LOOK_AGAIN_SECONDS = 1.0
_CHECKPOINT_PAGES = 1000
"""How long the WAL grows before it is copied back: 4 MiB."""
LONGEST_ANSWER = 64 * 1024 * 1024
"""Bytes of one value that reading may make: what is joined of many messages has no other bound."""


class ReplacedError(Exception):
    """The account's file is another one by now, or gone."""


class Database:
    """One open account.

    Attributes:
        reader: for the event loop's thread alone.
        users: operations that are using it; it is closed only when there are none.
        fresh: it was opened for somebody who has not used it yet; it is not closed before.
        dead: there may be bodies to purge.
        owes: there are warnings to be told of.
        used: when it was last asked for, monotonic seconds.
    """

    __slots__ = (
        "_file",
        "_looked",
        "_writer",
        "bodies",
        "dead",
        "deliveries",
        "directory",
        "fresh",
        "owes",
        "reader",
        "used",
        "users",
    )

    def __init__(
        self,
        directory: Path,
        file: tuple[int, int],
        writer: GroupCommitWriter,
        reader: Connection,
        *,
        dead: bool,
        owes: bool,
    ) -> None:
        self.directory = directory
        self.bodies = BodyFiles(directory / BODIES)
        self.reader = reader
        self.users = 0
        self.fresh = True
        self.used = time.monotonic()
        self.dead = dead
        self.owes = owes
        self.deliveries = 0
        self._writer = writer
        self._file = file
        self._looked = self.used

    @classmethod
    def open(cls, directory: Path, threads: Threads, now: float) -> Database:
        """Open, and create when it is new.

        Raises:
            SqlError: it cannot be opened, or is damaged.
            SchemaError: a newer version wrote it.
            OSError: the directory cannot be made.
        """
        path = directory / DATABASE
        new = not path.exists()
        if new:
            create_database(directory, now)
        file = _file_of(path)  # before it is opened: one that is replaced meanwhile is found out at the first write
        connection = connect(path)
        lock = WriteLock(directory / "lock")
        try:
            if migration.version(connection) != schema.VERSION:
                with lock:
                    _update(connection, BodyFiles(directory / BODIES), now)
            dead, owes = one_row(connection, "SELECT EXISTS (SELECT 1 FROM dead), EXISTS (SELECT 1 FROM owed)")
            reader = connect(path, readonly=True)
            limit_length(reader, LONGEST_ANSWER)
            check = partial(_require, path, file)
            writer = GroupCommitWriter(connection, threads, lock, check, checkpoint=_CHECKPOINT_PAGES)
            database = cls(directory, file, writer, reader, dead=bool(dead), owes=bool(owes))
            if not new:
                database._collect(connection, now)
        except BaseException:
            lock.close()
            connection.close()
            raise
        return database

    async def write(self, work: Callable[[Connection], T], *, quick: bool = False) -> T:
        """Run ``work`` in a transaction; durable when this returns. Raises ReplacedError before anything is written."""
        return await self._writer.submit(work, quick=quick)

    def is_current(self) -> bool:
        """Whether the file is still the one that was opened: an account's directory may be removed or restored.

        Looks at most once a second; ``write`` looks each time, on the writer's thread.
        """
        now = time.monotonic()
        if now - self._looked < _LOOK_AGAIN_SECONDS:
            return True
        self._looked = now
        return self._file == _file_of(self.directory / DATABASE)

    def read_aside(self, work: Callable[[Connection], T]) -> T:
        """Run ``work`` on another reading connection, on the calling thread."""
        connection = connect(self.directory / DATABASE, readonly=True)
        try:
            return work(connection)
        finally:
            connection.close()

    def statistics(self) -> dict[str, int]:
        """Commits and jobs of the writer."""
        return self._writer.statistics()

    def integrity(self) -> list[str]:
        """What ``PRAGMA integrity_check`` finds; empty when all is well. Blocks for a while."""
        return integrity(self.reader)

    def close(self) -> None:
        """Finish what is being written, then close. Blocks."""
        self.reader.close()
        self._writer.close()

    def _collect(self, connection: Connection, now: float) -> None:
        """Remove the files that a crash left without a row."""
        if not self.bodies.directory.is_dir():
            return
        rows = all_rows(connection, "SELECT file FROM content WHERE file IS NOT NULL")
        self.bodies.remove(self.bodies.orphans(frozenset(row[0] for row in rows), now))


def _update(connection: Connection, bodies: BodyFiles, now: float) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        migration.update(connection, bodies, now)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _require(path: Path, file: tuple[int, int]) -> None:
    """Raise ReplacedError unless ``path`` is still that file: nothing is written into the void."""
    if _file_of(path) != file:
        raise ReplacedError(str(path))


def _file_of(path: Path) -> tuple[int, int]:
    """What tells a file from another of its name; zeros when there is none."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return 0, 0
    return found.st_dev, found.st_ino
