"""What the accounts of a domain hold together: a small database in the domain's directory, ``.usage.sqlite``.

It has a row for each account, with what it holds, and the sum of them. A transaction of an account enters here what
the account will hold, before it commits, and is refused when the sum would exceed the domain's limit: two deliveries
to two accounts cannot both take the last place. Only domains with limits of their own have a ledger.

Bound: the values are absolute, so an entry whose transaction did not commit afterwards (a crash, a full disk) is
off by that transaction alone, until the account's next one. The ledger is not flushed: what a power failure takes from
it, the accounts' next transactions, or a recount, put back. ``docs/adr/0033-quotas.md`` says what it costs.

An entry bears the mark of the plan it was counted by. When an account comes with another, the rules for folders were
changed, perhaps for all: what the others hold is not known any more, and ``complete`` is False until they are counted.

A ledger that is new has not seen the accounts that were there before: ``complete`` is False, limits hold for what is
known, and whoever notices counts (``recount``). A damaged one is made anew.

Used from several threads and processes: a lock in memory, then one on a file. On a thread with an event loop nothing is
waited for: ``BusyLedgerError`` says that a thread has to do it.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, TypeVar

from angarium.mailstore.layout import component, domain_directory
from angarium.mailstore.rows import maybe_row, one_row
from angarium.model.quota import Excess, QuotaLimit, Usage
from angarium.runtime.sqlite import BusyError, Connection, CorruptError, NotADatabaseError, SqlError, WriteLock, connect

T = TypeVar("T")

LEDGER = ".usage.sqlite"
_LOCK = ".usage.lock"
_LOOK_AGAIN_SECONDS = 1.0
_MOST_OPEN = 50
_PATIENCE = 100
"""Milliseconds for which a stranger may hold the database; we ourselves queue on the lock file."""
_TABLES = """
CREATE TABLE IF NOT EXISTS held (
    account TEXT PRIMARY KEY, bytes INTEGER NOT NULL, messages INTEGER NOT NULL, mark INTEGER NOT NULL DEFAULT 0)
    WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS total (
    one INTEGER PRIMARY KEY CHECK (one = 1), bytes INTEGER NOT NULL, messages INTEGER NOT NULL,
    complete INTEGER NOT NULL, seen_bytes INTEGER NOT NULL, seen_messages INTEGER NOT NULL);
INSERT OR IGNORE INTO total VALUES (1, 0, 0, 0, 0, 0);
"""


class BusyLedgerError(BusyError):
    """Somebody else is at it just now, and the event loop waits for nobody."""


class Entered(NamedTuple):
    """What came of an entry.

    Attributes:
        excess: why it was refused; None when it was not.
        seen: the sum when ``steps`` was asked last.
        total: the sum now.
    """

    excess: Excess | None
    seen: Usage
    total: Usage


class Ledger:
    """The ledger of one domain. Made when it is not there.

    Args:
        directory: of the domain's accounts; it exists.

    Raises (all calls):
        SqlError, OSError: it cannot be read or written.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._path = directory / LEDGER
        self._mutex = threading.Lock()
        self._lock: WriteLock | None = None
        self._connection: Connection | None = None
        self._file = (0, 0)
        self._looked = 0.0
        self.complete = False
        """As of the last look: all accounts are in it."""
        self.read = False
        """There was a look."""

    def enter(self, account: str, held: Usage, limit: QuotaLimit | None = None, mark: int = 0) -> Entered:
        """Set what an account holds, unless that makes the sum exceed ``limit`` and larger than it was.

        ``mark`` is of the plan by which it was counted.
        """
        key = _key(account)
        with self._turn():
            return self._sound(lambda connection: self._enter(connection, key, held, limit, mark))

    def steps(self) -> tuple[Usage, Usage]:
        """The sum when this was asked last, and now: a threshold between them is told by who asks, and by nobody else.

        Asked after a commit. ``enter`` cannot tell: what it is told may be rolled back, and entered again.
        """
        with self._turn():
            return self._sound(self._steps)

    @staticmethod
    def _steps(connection: Connection) -> tuple[Usage, Usage]:
        execute = connection.execute
        execute("BEGIN IMMEDIATE")
        try:
            size, messages, old_size, old_messages = one_row(
                connection, "SELECT bytes, messages, seen_bytes, seen_messages FROM total"
            )
            if (size, messages) != (old_size, old_messages):
                execute("UPDATE total SET seen_bytes = ?, seen_messages = ?", (size, messages))
            execute("COMMIT")
        finally:
            if connection.in_transaction:
                execute("ROLLBACK")
        return Usage(old_size, old_messages), Usage(size, messages)

    def total(self) -> Usage:
        """The sum."""
        try:
            with self._turn(alone=False):
                return self._total(self._open())
        except (CorruptError, NotADatabaseError):
            # RCPT asks this before anything is entered: mail must not wait for an entry that never comes.
            with self._turn():
                return self._sound(self._total)

    def _total(self, connection: Connection) -> Usage:
        size, messages, complete = one_row(connection, "SELECT bytes, messages, complete FROM total")
        self.complete, self.read = bool(complete), True
        return Usage(size, messages)

    def _sound(self, work: Callable[[Connection], T]) -> T:
        """Do it with this ledger, or when that is damaged, with a new one."""
        try:
            return work(self._open())
        except (CorruptError, NotADatabaseError):
            self._discard()
            return work(self._open())

    def set_complete(self, complete: bool) -> None:
        """Say whether all accounts are in it."""
        with self._turn():
            self._open().execute("UPDATE total SET complete = ?", (complete,))
            self.complete = complete

    def keep_only(self, present: Callable[[], frozenset[str]]) -> None:
        """Forget all accounts but those whose directories ``present`` names, and make the sum that of the rest."""
        with self._turn():
            connection = self._open()
            keys = present()  # under the lock: one that comes now has not entered anything yet
            connection.execute("BEGIN IMMEDIATE")
            try:
                for (key,) in list(connection.execute("SELECT account FROM held")):
                    if key not in keys:
                        connection.execute("DELETE FROM held WHERE account = ?", (key,))
                connection.execute(
                    "UPDATE total SET bytes = (SELECT coalesce(sum(bytes), 0) FROM held),"
                    " messages = (SELECT coalesce(sum(messages), 0) FROM held)"
                )
                connection.execute("COMMIT")
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")

    def close(self) -> None:
        """Give the files back; the next call opens them again."""
        with self._mutex:
            if self._connection is not None:
                self._connection.close()
                self._connection = None
            if self._lock is not None:
                self._lock.close()
                self._lock = None

    @contextmanager
    def _turn(self, *, alone: bool = True) -> Iterator[None]:
        """Have it for this thread, with ``alone`` also for this process. Raises BusyLedgerError."""
        wait = asyncio._get_running_loop() is None  # noqa: SLF001 - without an exception for each entry of a thread
        if not self._mutex.acquire(blocking=wait):
            raise BusyLedgerError
        try:
            if not alone:
                yield
                return
            if self._lock is None:
                make_file(self._directory / _LOCK)
                self._lock = WriteLock(self._directory / _LOCK)
            if wait:
                self._lock.__enter__()
            elif not self._lock.acquire_nowait():
                raise BusyLedgerError
            try:
                yield
            finally:
                self._lock.release()
        finally:
            self._mutex.release()

    def _enter(self, connection: Connection, key: str, held: Usage, limit: QuotaLimit | None, mark: int) -> Entered:
        execute = connection.execute
        execute("BEGIN IMMEDIATE")
        try:
            size, messages, complete, seen_size, seen_messages, old_size, old_messages, old_mark = one_row(
                connection,
                "SELECT t.bytes, t.messages, t.complete, t.seen_bytes, t.seen_messages, h.bytes, h.messages, h.mark"
                " FROM total t LEFT JOIN held h ON h.account = ?",
                (key,),
            )
            self.complete, self.read = bool(complete), True
            before = Usage(size, messages)
            after = Usage(size + held.bytes - (old_size or 0), messages + held.messages - (old_messages or 0))
            excess = domain_excess(limit, before, after) if limit is not None else None
            if excess is None:
                execute("INSERT OR REPLACE INTO held VALUES (?, ?, ?, ?)", (key, *held, mark))
                execute("UPDATE total SET bytes = ?, messages = ?", after)
                if old_mark is not None and old_mark != mark:
                    execute("UPDATE total SET complete = 0")
                    self.complete = False
                execute("COMMIT")
        finally:
            if connection.in_transaction:
                execute("ROLLBACK")
        return Entered(excess, Usage(seen_size, seen_messages), after)

    def _open(self) -> Connection:
        """The connection; opened anew when the file is another one by now."""
        now = time.monotonic()
        if self._connection is not None and now - self._looked >= _LOOK_AGAIN_SECONDS:
            self._looked = now
            if self._file != _file_of(self._path):
                self._connection.close()
                self._connection = None
        if self._connection is None:
            make_file(self._path)
            connection = connect(self._path)
            try:
                connection.set_busy_timeout(_PATIENCE)
                connection.execute("PRAGMA synchronous = OFF")
                connection.execute(_TABLES)
                _add_mark(connection)
            except SqlError:
                connection.close()
                raise
            self._connection, self._looked, self._file = connection, now, _file_of(self._path)
        return self._connection

    def _discard(self) -> None:
        """Remove a damaged one, unless another process has done so."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
            if self._file != _file_of(self._path):
                return
        for suffix in ("", "-wal", "-shm"):
            self._path.with_name(LEDGER + suffix).unlink(missing_ok=True)


class Ledgers:
    """The ledgers that a process has open: the last few that were used.

    Args:
        base: ``virtual_mailbox_base``.
    """

    def __init__(self, base: Path) -> None:
        self._base = base
        self._open: OrderedDict[Path, Ledger] = OrderedDict()

    def of(self, account: str) -> Ledger:
        """That of an account's domain."""
        directory = domain_directory(self._base, account)
        ledger = self._open.get(directory)
        if ledger is None:
            ledger = self._open[directory] = Ledger(directory)
            if len(self._open) > _MOST_OPEN:
                self._open.popitem(last=False)[1].close()
        else:
            self._open.move_to_end(directory)
        return ledger

    def close(self) -> None:
        """Close all."""
        while self._open:
            self._open.popitem()[1].close()


def domain_excess(limit: QuotaLimit, before: Usage, after: Usage) -> Excess | None:
    """Why a domain that held so much may not come to hold that."""
    if limit.bytes and after.bytes > limit.bytes and after.bytes > before.bytes:
        return Excess.DOMAIN_STORAGE
    if limit.messages and after.messages > limit.messages and after.messages > before.messages:
        return Excess.DOMAIN_MESSAGES
    return None


def make_file(path: Path) -> None:
    """Make a file that is not there. Root, in somebody's directory, gives it to him: the server could not use it else.

    Raises:
        OSError: it cannot be made.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        return
    try:
        home = path.parent.stat()
        if os.geteuid() == 0 and home.st_uid != 0:
            os.fchown(descriptor, home.st_uid, home.st_gid)
    finally:
        os.close(descriptor)


def _add_mark(connection: Connection) -> None:
    """A ledger of an older version has no marks."""
    has = "SELECT 1 FROM pragma_table_info('held') WHERE name = 'mark'"
    if maybe_row(connection, has) is not None:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        if maybe_row(connection, has) is None:
            connection.execute("ALTER TABLE held ADD COLUMN mark INTEGER NOT NULL DEFAULT 0")
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _key(account: str) -> str:
    """The name of the account's directory, which all spellings of it share."""
    return component(account.rpartition("@")[0])


def _file_of(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except FileNotFoundError:
        return 0, 0
    return found.st_dev, found.st_ino
