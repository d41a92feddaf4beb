"""The queue in one SQLite database: the server's side, several processes at once.

Owns ``queue.db``, ``content/`` and the lock files in ``queue_directory``. Writes go through one writer thread a
process with group commit; small reads are done in place, since a hop to a thread costs more than they do.

Guarantees and transitions: ``docs/queue-states.md``. Fails with ``QueueFullError``, ``QueueDamagedError`` or OSError.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from angarium.mailqueue import deleted, rows, schema
from angarium.mailqueue.ids import QueueIds
from angarium.mailqueue.interface import MANY, Attempt, NewMessage, QueueDamagedError, QueuedMessage, QueueFullError
from angarium.mailqueue.ownership import Ownership
from angarium.mailqueue.salvage import salvage
from angarium.model.content import Content, MemoryContent
from angarium.runtime.groupcommit import GroupCommitWriter, Threads
from angarium.runtime.log import ServiceLog
from angarium.runtime.spool import SpooledContent, sync_directory
from angarium.runtime.sqlite import Connection, CorruptError, SqlError, WriteLock, connect, is_full

DATABASE = "queue.db"
CONTENT = "content"
WRITE_LOCK = "queue.lock"
_FILE = re.compile(r"[0-9A-Za-z]{1,100}", re.ASCII)

ORPHAN_AGE = 60.0
"""Seconds that a content file without a row may be on its way to one."""

_FLUSH_BATCH = 1000
"""Messages that one transaction makes due."""

PURGE_BATCH = 100
"""Deleted messages that one transaction removes: their content goes with them."""

COMPACT_ABOVE = 64 * 1024 * 1024
"""Bytes of unused space in the database that are worth giving back."""

COMPACT_WITHIN = 64 * 1024 * 1024
"""Bytes of used space that may be copied for it, while everyone waits."""

READ_AHEAD_SECONDS = 2.0
"""How long content that was read with the lease counts: a message that is deleted later than that is not delivered."""

READ_AHEAD_BYTES = 8 * 1024 * 1024
"""No more is kept when so much is kept already."""

SALVAGE_SECONDS = 60.0
"""No sooner is it tried again to save what is left of a damaged database."""

T = TypeVar("T")


@contextlib.contextmanager
def storage_errors() -> Iterator[None]:
    """Turn the driver's errors into the interface's."""
    try:
        yield
    except SqlError as error:
        if is_full(error):
            raise QueueFullError(str(error)) from error
        raise QueueDamagedError(f"{type(error).__name__}: {error}") from error
    except UnicodeDecodeError as error:  # of a text column
        raise QueueDamagedError(str(error)) from error


def _insert(connection: Connection, row: rows.NewRow, now: float) -> bool:
    rows.insert(connection, row, now)
    return True


def open_database(directory: Path, *, create: bool) -> Connection:
    """Open and check ``queue.db``.

    Raises:
        QueueDamagedError: it cannot be opened, or is of an unknown version.
    """
    path = directory / DATABASE
    try:
        with storage_errors():
            connection = connect(path, create=create)
            schema.prepare(connection)
            return connection
    except QueueDamagedError as error:
        raise QueueDamagedError(f"{path}: {error.strerror}") from error


class SqliteMailQueue:
    """The queue of one node (``interface.MailQueue``).

    Open it after the process has forked.

    Args:
        directory: ``queue_directory``; must exist.
        log: for what the queue itself has to say (damaged messages).
        long_ids: ``enable_long_queue_ids``.
        clock: seconds since the epoch.
        announce: called with the queue id after each enqueue's commit: it wakes the queue manager.

    Raises:
        QueueDamagedError: the database cannot be used.
        OSError: the directory cannot be used.
    """

    def __init__(
        self,
        directory: Path,
        log: ServiceLog,
        *,
        long_ids: bool = False,
        clock: Callable[[], float] = time.time,
        announce: Callable[[str], None] | None = None,
    ) -> None:
        self._announce = announce
        self._directory = directory
        self._content = directory / CONTENT
        self._content.mkdir(mode=0o700, exist_ok=True)
        self._log = log
        self._clock = clock
        writing = open_database(directory, create=True)
        self._reader = connect(directory / DATABASE, readonly=True)
        from concurrent.futures import ThreadPoolExecutor  # late: commands have no use for it, and start sooner

        self._executor = ThreadPoolExecutor(1, thread_name_prefix="queue")
        self._writer = GroupCommitWriter(writing, Threads(self._executor), WriteLock(directory / WRITE_LOCK))
        self._ids = QueueIds(self._take_block, clock, long=long_ids)
        self._owner: Ownership | None = None
        self._salvage_after = 0.0
        self._ahead: dict[str, tuple[float, bytes, bytes]] = {}

    def allocate_id(self) -> str:
        """A queue id that is not in use."""
        return self._ids.allocate()

    def _take_block(self) -> int:
        with storage_errors():
            connection = connect(self._directory / DATABASE, create=False)
            try:
                with connection:
                    block = rows.take_block(connection)
            finally:
                connection.close()
        return block

    async def enqueue(self, message: NewMessage) -> None:
        """Store durably, then announce."""
        content = message.content
        if isinstance(content, SpooledContent):
            await self._with_file(message, content, _insert)
        else:
            row = rows.NewRow.of(message)
            now = self._clock()
            with storage_errors():
                await self._writer.submit(lambda connection: rows.insert(connection, row, now))
        if self._announce is not None:
            self._announce(message.queue_id)

    async def replace(self, queue_id: str, message: NewMessage) -> bool:
        """Put a new message in the place of an active one."""
        content = message.content
        if isinstance(content, SpooledContent):

            def put(connection: Connection, row: rows.NewRow, now: float) -> rows.Removed | None:
                return rows.replace(connection, queue_id, row, now)

            removed = await self._with_file(message, content, put)
        else:
            row = rows.NewRow.of(message)
            now = self._clock()
            with storage_errors():
                removed = await self._writer.submit(lambda connection: rows.replace(connection, queue_id, row, now))
        self._ahead.pop(queue_id, None)
        if removed is None:
            return False
        remove_content(self._directory, removed)
        if self._announce is not None:
            self._announce(message.queue_id)
        return True

    async def _with_file(
        self, message: NewMessage, content: SpooledContent, work: Callable[[Connection, rows.NewRow, float], T | None]
    ) -> T | None:
        """Link the content's file, then do ``work`` in a transaction; when it stores nothing (None) the link goes."""
        target = self._content / message.queue_id
        row = rows.NewRow.of(message, file=target.name)
        now = self._clock()

        def link() -> None:
            content.link_to(target)
            sync_directory(self._content)

        def insert(connection: Connection) -> T | None:
            target.stat()  # the sweep for orphans may have been faster: then this enqueue fails (queue-states.md)
            return work(connection, row, now)

        try:
            await _on_a_thread(link)
        except FileExistsError:
            raise  # it is another message's, or this one's that is stored already: not ours to remove
        except Exception:
            target.unlink(missing_ok=True)
            raise
        from asyncio import CancelledError  # late: a command that runs no loop starts 30 ms of CPU sooner without

        try:
            with storage_errors():
                done = await self._writer.submit(insert)
        except CancelledError:
            raise  # the commit may be under way: the sweep for orphans decides, not we
        except BaseException:
            target.unlink(missing_ok=True)
            raise
        if done is None:
            target.unlink(missing_ok=True)
        return done

    async def take_over(self) -> int:
        """Become a manager of the queue, or still be it; take back the leases of managers that are gone."""
        if self._owner is None:
            self._owner = Ownership.begin(self._directory, self._take_block())
        me = self._owner
        with storage_errors():
            found = await self._managed(rows.owners)
            gone = [number for number in found if number != me.number and not me.lives(number)]
            count = await self._managed(lambda connection: rows.give_back(connection, gone)) if gone else 0
            suspects = await _on_a_thread(self._suspects)
            if suspects:
                await self._writer.submit(lambda connection: self._remove_orphans(connection, suspects))
            await self._purge()
        me.tidy()
        return count

    async def _purge(self) -> None:
        """Remove what was deleted long enough ago."""
        now = self._clock()
        while deleted.overdue(self._reader, now):
            for gone in await self._writer.submit(lambda connection: deleted.purge(connection, now, PURGE_BATCH)):
                remove_content(self._directory, gone)

    async def give_back(self) -> int:
        """Return this manager's leases to incoming."""
        number = 0 if self._owner is None else self._owner.number
        with storage_errors():
            return await self._writer.submit(lambda connection: rows.give_back(connection, [number]))

    def _suspects(self) -> list[str]:
        """Content files that have been there for a while and that no row names; looked for while others write."""
        names = []
        for entry in os.scandir(self._content):
            with contextlib.suppress(FileNotFoundError):  # what is deleted meanwhile is no orphan any more
                if entry.stat().st_ctime < time.time() - ORPHAN_AGE:
                    names.append(entry.name)
        if not names:
            return []
        connection = connect(self._directory / DATABASE, readonly=True)
        try:
            return rows.unnamed(connection, names)
        finally:
            connection.close()

    def _remove_orphans(self, connection: Connection, suspects: Sequence[str]) -> None:
        """Inside a write transaction, so that no enqueue is between its look at the file and its row."""
        for name in rows.unnamed(connection, suspects):
            (self._content / name).unlink(missing_ok=True)

    async def lease(
        self, limit: int, now: float, *, recipients: int = MANY, incoming: bool = True, deferred: bool = True
    ) -> Sequence[QueuedMessage]:
        """Move messages to active."""
        owner = 0 if self._owner is None else self._owner.number

        def work(connection: Connection) -> rows.Leased:
            return rows.lease(
                connection, limit, now, owner, recipients=recipients, incoming=incoming, deferred=deferred
            )

        with storage_errors():
            leased = await self._managed(work)
        for message in leased.messages:
            self._ahead.pop(message.queue_id, None)
        self._keep(leased.contents)
        for queue_id, cause in leased.corrupt:
            self._log.warning(
                f"{queue_id}: damaged queue entry: {cause}; moved to the corrupt queue", queue_id=queue_id
            )
        return leased.messages

    async def _managed(self, work: Callable[[Connection], T]) -> T:
        """Do what only the queue manager does; where the table of messages is damaged, save what can be saved first."""
        try:
            return await self._writer.submit(work)
        except CorruptError as error:
            now = time.monotonic()
            if self._owner is None or now < self._salvage_after:
                raise
            self._salvage_after = now + SALVAGE_SECONDS
            self._log.error(f"{self._directory / DATABASE}: damaged: {error}: looking for what can be saved")
            lost = await self._writer.submit(self._salvage, alone=True)
        for queue_id in lost:
            self._log.error(
                f"{queue_id}: damaged: not all of it is left; moved to the corrupt queue", queue_id=queue_id
            )
        self._log.error(
            f"{self._directory / DATABASE}: damaged: {len(lost)} messages are in the corrupt queue now, all others are"
            " saved; have a look at the disk"
        )
        return await self._writer.submit(work)

    def _salvage(self, connection: Connection) -> list[str]:
        reader = connect(self._directory / DATABASE, readonly=True)
        try:
            return salvage(connection, reader, [each.name for each in self._content.iterdir()], self._clock())
        finally:
            reader.close()

    def _keep(self, contents: dict[str, tuple[bytes, bytes]]) -> None:
        """Have what a lease read in passing at hand, for as long as it takes to start the deliveries.

        Reading it in the loop would cost a fight for the interpreter's lock with the writer thread, once a message.
        """
        now = time.monotonic()
        while self._ahead and next(iter(self._ahead.values()))[0] < now:
            del self._ahead[next(iter(self._ahead))]
        held = sum(len(body) for _until, _prefix, body in self._ahead.values())
        if held > READ_AHEAD_BYTES:
            return
        until = now + READ_AHEAD_SECONDS
        for queue_id, (prefix, body) in contents.items():
            self._ahead[queue_id] = (until, prefix, body)

    async def content(self, queue_id: str) -> tuple[bytes, Content]:
        """The prefix and the content of a message."""
        ahead = self._ahead.pop(queue_id, None)
        if ahead is not None and ahead[0] >= time.monotonic():
            return ahead[1], MemoryContent(ahead[2])
        with storage_errors():
            size = rows.size(self._reader, queue_id)
            found = rows.content(self._reader, queue_id)
        if size is None:
            raise KeyError(queue_id)
        if found is None:
            raise QueueDamagedError(f"{queue_id}: its content is gone")
        content = stored_content(self._directory, queue_id, found[1], found[2])
        if len(found[0]) + content.size != size:  # a part of a message is worse than none
            raise QueueDamagedError(f"{queue_id}: {len(found[0]) + content.size} bytes are left of {size}")
        return found[0], content

    async def record_attempt(self, attempt: Attempt) -> bool:
        """Record results."""
        notices = [rows.NewRow.of(notice) for notice in attempt.notices]
        now = self._clock()
        with storage_errors():
            became = await self._managed(lambda connection: rows.record(connection, attempt, notices, now))
        if not isinstance(became, rows.Removed):
            if became is not None and self._announce is not None:
                self._announce(attempt.queue_id)
            return False
        self._ahead.pop(attempt.queue_id, None)
        remove_content(self._directory, became)
        return True

    async def quarantine(self, queue_id: str) -> None:
        """Move a message that cannot be read to corrupt."""
        with storage_errors():
            await self._managed(lambda connection: rows.quarantine(connection, queue_id))

    async def messages(self) -> AsyncIterator[QueuedMessage]:
        """All messages but corrupt ones."""
        with storage_errors():
            for message in rows.listing(self._reader):
                yield message

    async def next_due(self) -> float | None:
        """When the next deferred message is due."""
        with storage_errors():
            return rows.next_due(self._reader)

    async def bring_forward(self, latest: float) -> int:
        """Make messages due now that are deferred too far."""
        now = self._clock()
        with storage_errors():
            return await self._writer.submit(lambda connection: rows.bring_forward(connection, now, latest))

    async def flush(self, site: str = "") -> int:
        """Make deferred messages due now."""
        now = self._clock()
        with storage_errors():
            if not site:
                return await self._writer.submit(lambda connection: rows.flush(connection, now))
            waiting = await _on_a_thread(self._waiting_for, site)
            count = 0
            for start in range(0, len(waiting), _FLUSH_BATCH):
                batch = waiting[start : start + _FLUSH_BATCH]

                def work(connection: Connection, batch: list[str] = batch) -> int:
                    return sum(rows.flush(connection, now, queue_id) for queue_id in batch)

                count += await self._writer.submit(work)
            return count

    def _waiting_for(self, site: str) -> list[str]:
        """Who waits for a site, read on a thread and beside the writers: it takes a second for 100,000 messages."""
        connection = connect(self._directory / DATABASE, readonly=True)
        try:
            return rows.waiting_for(connection, site)
        finally:
            connection.close()

    async def compact(self) -> bool:
        """Give back disk space after a large queue has gone, if that is quickly done; whether it was."""
        with storage_errors():
            return await _on_a_thread(self._compact)

    def _compact(self) -> bool:
        connection = connect(self._directory / DATABASE, create=False)
        try:
            size, pages, free = (
                int(connection.execute(f"PRAGMA {name}").fetchone()[0])  # type: ignore[index]  # a pragma has a row
                for name in ("page_size", "page_count", "freelist_count")
            )
            if free * size < COMPACT_ABOVE or (pages - free) * size > COMPACT_WITHIN or free < pages // 2:
                return False
            lock = WriteLock(self._directory / WRITE_LOCK)
            try:
                with lock:
                    connection.execute("VACUUM")
                    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            finally:
                lock.close()
        finally:
            connection.close()
        return True

    def statistics(self) -> dict[str, int]:
        """Commits and jobs of the writer."""
        return self._writer.statistics()

    async def close(self) -> None:
        """Finish what is being written, then close."""
        await _on_a_thread(self._writer.close)
        self._executor.shutdown()
        self._reader.close()
        if self._owner is not None:
            self._owner.end()
            self._owner = None


def stored_content(directory: Path, queue_id: str, body: bytes | None, file: str | None) -> Content:
    """The content that a row of ``content`` stands for. Raises QueueDamagedError when it is not there."""
    if body is not None:
        return MemoryContent(body)
    if file is None or _FILE.fullmatch(file) is None:
        raise QueueDamagedError(f"{queue_id}: neither a body nor a file")
    try:
        return SpooledContent.open(directory / CONTENT / file)
    except FileNotFoundError as error:
        raise QueueDamagedError(f"{queue_id}: {error}") from error


def remove_content(directory: Path, removed: rows.Removed) -> None:
    """Unlink the file of a message that was removed. A name that is none of ours is left: rows may be damaged."""
    if removed.file is not None and _FILE.fullmatch(removed.file) is not None:
        (directory / CONTENT / removed.file).unlink(missing_ok=True)


async def _on_a_thread(work: Callable[..., T], *arguments: object) -> T:
    from asyncio import get_running_loop  # late: a command that runs no loop starts 30 ms of CPU sooner without

    return await get_running_loop().run_in_executor(None, work, *arguments)
