"""The queue as the administrator's commands see it: straight on the database, with the server up or down.

``postqueue``, ``postsuper``, ``postcat`` and ``mailq`` use this. Each change is one transaction (a batch of them for
``ALL``), takes the same lock as the server's writers, and is one of the arrows of ``docs/queue-states.md``.

Fails with ``QueueDamagedError`` for a database that cannot be used, PermissionError for one that is not ours to read.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from angarium.mailqueue import deleted, rows
from angarium.mailqueue.deleted import DeletedMessage
from angarium.mailqueue.interface import QueueDamagedError, QueuedMessage, QueueName
from angarium.mailqueue.ownership import manager_lives
from angarium.mailqueue.sqlite import (
    DATABASE,
    PURGE_BATCH,
    WRITE_LOCK,
    open_database,
    remove_content,
    storage_errors,
    stored_content,
)
from angarium.model.content import Content
from angarium.runtime.bus import call_out
from angarium.runtime.sqlite import Connection, WriteLock, connect

BUS = "private/bus"
"""The directory of wake-up sockets in ``queue_directory``."""

ORDINARY = (QueueName.HOLD, QueueName.INCOMING, QueueName.ACTIVE, QueueName.DEFERRED)
"""The queues that commands work on when none is named (postsuper(1), -d)."""

_BATCH = 1000
_ID = re.compile(r"[0-9A-Za-z]{1,100}", re.ASCII)

T = TypeVar("T")


def plausible_id(text: str) -> bool:
    """Whether ``text`` could be a queue id, of whatever form."""
    return _ID.fullmatch(text) is not None


class QueueControl:
    """An open queue. Use it in a ``with`` statement.

    Args:
        directory: ``queue_directory``. A queue that does not exist yet is empty.
        readonly: for looking only.

    Raises:
        QueueDamagedError, PermissionError.
    """

    def __init__(self, directory: Path, *, readonly: bool = False) -> None:
        self._directory = directory
        self._connection: Connection | None = None
        self._lock: WriteLock | None = None
        path = directory / DATABASE
        if not path.exists():
            return
        if not os.access(path, os.R_OK if readonly else os.R_OK | os.W_OK):
            raise PermissionError(13, "Permission denied", str(path))
        if readonly and not os.access(directory, os.W_OK):
            with storage_errors():
                self._connection = connect(path, readonly=True)
        else:  # a reader may have to make the WAL's index
            self._connection = open_database(directory, create=False)
        if not readonly:
            self._lock = WriteLock(directory / WRITE_LOCK)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._connection is not None:
            self._connection.close()
        if self._lock is not None:
            self._lock.close()

    # --- looking -----------------------------------------------------------------------------------------------------

    def messages(self) -> Iterator[QueuedMessage]:
        """All messages but corrupt ones."""
        if self._connection is not None:
            with storage_errors():
                yield from rows.listing(self._connection)

    def find(self, queue_id: str) -> QueuedMessage | None:
        """One message, whatever its queue. Raises QueueDamagedError for one that cannot be read."""
        if self._connection is None:
            return None
        with storage_errors():
            try:
                return rows.one(self._connection, queue_id)
            except ValueError as error:
                raise QueueDamagedError(f"{queue_id}: {error}") from error

    def content(self, queue_id: str) -> tuple[bytes, Content] | None:
        """The prefix and the content of a message."""
        if self._connection is None:
            return None
        with storage_errors():
            found = rows.content(self._connection, queue_id)
        if found is None:
            return None
        return found[0], stored_content(self._directory, queue_id, found[1], found[2])

    def identifiers(self, queues: Sequence[QueueName] = ORDINARY) -> list[str]:
        """The ids of all messages in ``queues``."""
        if self._connection is None:
            return []
        with storage_errors():
            return rows.identifiers(self._connection, queues)

    def deleted(self) -> Iterator[DeletedMessage]:
        """The messages that can be undeleted."""
        if self._connection is not None:
            with storage_errors():
                yield from deleted.listing(self._connection)

    def manager_runs(self) -> bool:
        """Whether a queue manager has this queue."""
        return manager_lives(self._directory)

    # --- changing ----------------------------------------------------------------------------------------------------

    def delete(self, ids: Iterable[str], queues: Sequence[QueueName] = ORDINARY) -> list[str]:
        """Remove messages; the ids of those that were there."""
        return self._gone(self._each(ids, lambda connection, each: rows.delete(connection, each, queues)))

    def set_aside(self, ids: Iterable[str], until: float, queues: Sequence[QueueName] = ORDINARY) -> list[str]:
        """Delete messages so that they can be undeleted until then, seconds since the epoch; those that were there."""
        now = time.time()
        return self._done(ids, lambda connection, each: deleted.put(connection, each, queues, now, until))

    def undelete(self, ids: Iterable[str]) -> list[tuple[str, QueueName]]:
        """Put deleted messages back; those that were there, and the queues in which they are now."""
        done = self._each(ids, deleted.restore)
        return [(queue_id, queue) for queue_id, queue in done if queue is not None]

    def forget(self, ids: Iterable[str]) -> list[str]:
        """Remove deleted messages for good; the ids of those that were there."""
        return self._gone(self._each(ids, deleted.forget))

    def purge(self) -> int:
        """Remove those deleted messages for good whose time is over; how many."""
        now = time.time()
        count = 0
        while gone := self._transaction(
            lambda connection: deleted.purge(connection, now, PURGE_BATCH), list[rows.Removed]()
        ):
            count += len(gone)
            for each in gone:
                remove_content(self._directory, each)
        return count

    def _gone(self, each: Iterable[tuple[str, rows.Removed | None]]) -> list[str]:
        """Unlink what removed messages have left, when the last transaction is over; their ids."""
        removed = [(queue_id, gone) for queue_id, gone in each if gone is not None]
        for _queue_id, gone in removed:
            remove_content(self._directory, gone)
        return [queue_id for queue_id, _gone in removed]

    def hold(self, ids: Iterable[str], queues: Sequence[QueueName] = ORDINARY) -> list[str]:
        """Put messages on hold; the ids of those that were put there."""
        return self._done(ids, lambda connection, each: rows.hold(connection, each, queues))

    def release(self, ids: Iterable[str]) -> list[str]:
        """Release messages from hold; the ids of those that were on hold."""
        now = time.time()
        return self._done(ids, lambda connection, each: rows.release(connection, each, now))

    def requeue(self, ids: Iterable[str], queues: Sequence[QueueName] = ORDINARY) -> list[str]:
        """Have messages looked at as if they were new; the ids of those that were there."""
        now = time.time()
        return self._done(ids, lambda connection, each: rows.requeue(connection, each, queues, now))

    def expire(self, ids: Iterable[str], queues: Sequence[QueueName] = ORDINARY) -> list[str]:
        """Have messages returned to their senders at the next attempt; the ids of those flagged now."""
        now = time.time()
        return self._done(ids, lambda connection, each: rows.expire(connection, each, queues, now))

    def flush(self, ids: Iterable[str] | None = None) -> int:
        """Make deferred messages due now, all when no ids are given; how many."""
        now = time.time()
        if ids is None:
            return self._transaction(lambda connection: rows.flush(connection, now), 0)
        return sum(count for _id, count in self._each(ids, lambda connection, each: rows.flush(connection, now, each)))

    def flush_site(self, site: str) -> int:
        """Make messages due now that wait for a recipient ``@site``; how many."""
        if self._connection is None:
            return 0
        with storage_errors():
            waiting = rows.waiting_for(self._connection, site)
        return self.flush(waiting)

    def wake(self, topic: str, payload: str = "") -> None:
        """Tell the server's processes; harmless when there are none."""
        call_out(self._directory / BUS, topic, payload)

    def _done(self, ids: Iterable[str], work: Callable[[Connection, str], bool]) -> list[str]:
        return [queue_id for queue_id, done in self._each(ids, work) if done]

    def _each(self, ids: Iterable[str], work: Callable[[Connection, str], T]) -> Iterator[tuple[str, T]]:
        """Apply ``work`` to each id, many in a transaction."""
        remaining = iter(ids)
        while batch := list(islice(remaining, _BATCH)):
            nothing: list[tuple[str, T]] = []

            def change(connection: Connection, batch: list[str] = batch) -> list[tuple[str, T]]:
                return [(queue_id, work(connection, queue_id)) for queue_id in batch]

            yield from self._transaction(change, nothing)

    def _transaction(self, work: Callable[[Connection], T], nothing: T) -> T:
        if self._connection is None:
            return nothing
        assert self._lock is not None
        with storage_errors(), self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                result = work(self._connection)
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
        return result
