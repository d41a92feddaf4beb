"""One writer a database, whose work is committed in groups.

Owns the threads' and the event loop's turns at a connection: who runs a transaction, where, and who is told.

Guarantees: when ``GroupCommitWriter.submit`` returns, the transaction is on stable storage. Work that is ready
together shares one commit; work that fails is rolled back alone.

Fails with ``SqlError`` and its kinds, and with what the work itself raises.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from angarium.runtime.sqlite import BUSY_MILLISECONDS, BusyError, Connection, SqlError, WriteLock
from angarium.runtime.wal import WalRoom

if TYPE_CHECKING:  # a command that runs no loop starts 30 ms of CPU sooner without
    import asyncio

_MAX_BATCH = 256
_MOST_HERE = 16
"""Quick jobs that are run on the loop in one turn: some 2 ms."""
_MARGIN = 100
"""Pages that a WAL may have beyond those at which it is copied back."""

T = TypeVar("T")


class Crew(Protocol):
    """Who runs what is handed over, on threads: ``concurrent.futures.Executor`` and ``threads.Crew``."""

    def submit(self, work: Callable[[], None], /) -> object:
        """Run it, once, as soon as a thread is free. Raises when there is none, nor will be."""
        ...


@dataclass(frozen=True, slots=True)
class Threads:
    """Where the writers of one process do their work.

    Attributes:
        crew: runs transactions, and waits for locks.
        flushers: commit what the loop has begun. They are not the crew's threads: all of those may be waiting for locks
            that the loop has taken for what is to be committed.
        turns: what is done on the loop's own thread; None: nothing.
    """

    crew: Crew
    flushers: Crew | None = None
    turns: LoopTurns | None = None


class _Job:
    __slots__ = ("alone", "error", "future", "loop", "quick", "result", "work")

    def __init__(
        self, work: Callable[[Connection], Any], loop: asyncio.AbstractEventLoop, *, quick: bool, alone: bool
    ) -> None:
        self.work = work
        self.loop = loop
        self.quick = quick
        self.alone = alone
        self.future: asyncio.Future[Any] = loop.create_future()
        self.result: Any = None
        self.error: BaseException | None = None


class LoopTurns:
    """What a writer may do on the event loop's own thread: shared by the writers of one loop.

    Each statement that another thread runs beside a busy loop gives the interpreter away and waits to get it back. So
    quick jobs are run on the loop, and of their transaction only the commit, which is a flush of the disk, goes to a
    thread: several of them are under way at a time (``begins``).

    A commit on another thread costs two hand-overs, which is much beside a flush of 0.1 ms. So a quick job that is
    alone in the process is committed at once, too, but not for ``_COMPANY`` seconds after two jobs have waited together
    (``commits``).

    After a turn that held the loop for longer than ``_QUICK`` seconds there is none for twenty times as long: a slow
    disk holds the loop for a twentieth of the time.

    Args:
        clock: seconds, growing.
    """

    _QUICK = 0.002
    _BARRED = 20
    _COMPANY = 0.1

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self._waiting = 0
        self._slow_until = 0.0
        self._company_until = 0.0

    def enter(self) -> None:
        """A job waits, or is under way."""
        self._waiting += 1
        if self._waiting > 1:
            self._company_until = self.clock() + self._COMPANY

    def leave(self) -> None:
        """It is done."""
        self._waiting -= 1

    def begins(self) -> bool:
        """Jobs may be run here: the disk was quick of late."""
        return self.clock() >= self._slow_until

    def commits(self) -> bool:
        """And committed: one job alone waits."""
        return self._waiting == 1 and self.clock() >= self._company_until

    def took(self, begun: float) -> None:
        """The loop was held from then until now."""
        now = self.clock()
        if now - begun > self._QUICK:
            self._slow_until = now + self._BARRED * (now - begun)


class GroupCommitWriter:
    """The one writer of a database in this process.

    ``submit`` hands over a function; the functions that are ready together run in one transaction on a thread of the
    crew and share its commit. At most one batch is under way, so the threads may be shared by many databases. With
    ``LoopTurns`` quick functions run on the loop's own thread, which waits for no lock.

    With ``checkpoint`` the WAL is copied back when it has so many pages: after the waiters were told, and on a thread.
    Until then it is made longer ahead of the commits (``wal``).

    A function must do all its work on the connection that it is given, must not begin or end transactions, and may
    run a second time when another of its batch failed.

    ``check`` runs before each batch, on its thread; what it raises fails the whole batch before anything is written.
    """

    def __init__(
        self,
        connection: Connection,
        threads: Threads,
        lock: WriteLock | None = None,
        check: Callable[[], None] = lambda: None,
        *,
        checkpoint: int = 0,
    ) -> None:
        self._connection = connection
        self._turns = threads.turns
        self._flushers = threads.flushers
        self._checkpoint = checkpoint
        self._wal_pages = 0
        self._room: WalRoom | None = None
        if checkpoint:
            connection.set_wal_hook(self._committed)  # which takes the place of SQLite's own checkpoints
            [page_size] = next(connection.execute("PRAGMA page_size"))
            self._room = WalRoom(connection.filename_wal, page_size, checkpoint + _MARGIN)
        self._check = check
        self._crew = threads.crew
        self._lock = lock
        self._mutex = threading.Lock()
        self._pending: list[_Job] = []
        self._running = False
        self._idle = threading.Event()
        self._idle.set()
        self.commits = 0
        self.jobs = 0

    async def submit(self, work: Callable[[Connection], T], *, quick: bool = False, alone: bool = False) -> T:
        """Run ``work`` in the next batch and return its result after the commit.

        Args:
            work: see the class.
            quick: it takes less time than a hand-over between threads, some 0.1 ms at most.
            alone: it has a transaction of its own, for it reads by another connection, too; not together with
                ``quick``.

        Raises:
            whatever ``work`` raised (its changes alone are rolled back), or SqlError when the commit failed.
        """
        from asyncio import get_running_loop  # late: a command that runs no loop starts 30 ms of CPU sooner without

        job = _Job(work, get_running_loop(), quick=quick, alone=alone)
        with self._mutex:
            self._pending.append(job)
            start = not self._running
            if start:
                self._running = True
                self._idle.clear()
        turns = self._turns
        if turns is None:
            if start:
                self._hand_over()
            result: T = await job.future
            return result
        turns.enter()
        try:
            if start:
                if quick and turns.begins():
                    job.loop.call_soon(self._run_here)  # when all who come in this turn of the loop have come
                else:
                    self._hand_over()
            result = await job.future
        finally:
            turns.leave()
        return result

    def statistics(self) -> dict[str, int]:
        """Commits and jobs so far: their ratio is what group commit saves."""
        return {"commits": self.commits, "jobs": self.jobs}

    def close(self) -> None:
        """Wait for the batch under way, then close the connection. Blocks; call it off the loop or at the end."""
        self._idle.wait()
        if self._room is not None:
            self._room.close()
        self._connection.close()
        if self._lock is not None:
            self._lock.close()

    def _refuse(self, error: BaseException) -> None:
        """Nobody will run what is pending: say so to each waiter, and let the next ``submit`` try again."""
        with self._mutex:
            batch, self._pending = self._pending, []
            self._running = False
            self._idle.set()
        for job in batch:
            job.error = error
        self._announce(batch)

    def _hand_over(self) -> None:
        """Let a thread run what is pending."""
        try:
            self._crew.submit(self._run)
        except Exception as error:  # noqa: BLE001 - the pool is shut down, or has no thread: the waiters hear it
            self._refuse(error)

    def _run_here(self) -> None:
        """Run what is pending on the loop's thread, unless a lock or work that is not quick stands in the way."""
        turns = self._turns
        assert turns is not None
        pending = self._pending
        if len(pending) > _MOST_HERE or not all(job.quick for job in pending) or not turns.begins():
            self._hand_over()
            return
        if self._lock is not None and not self._lock.acquire_nowait():
            self._hand_over()
            return
        begun = turns.clock()
        with self._mutex:
            batch, self._pending = self._pending, []
        try:
            self._begin_here(batch)
        except BusyError:
            self._release()
            with self._mutex:
                self._pending[:0] = batch
            self._hand_over()
            return
        except BaseException as error:  # noqa: BLE001 - the waiters hear of it
            self._release()
            _fail(batch, error)
            self._end_here(batch)
        else:
            if not turns.commits() and self._flush_elsewhere(batch):
                turns.took(begun)
                return
            self._commit_begun(batch)
            turns.took(begun)
            self._end_here(batch)

    def _begin_here(self, batch: list[_Job]) -> None:
        """The jobs' transaction up to its commit; waits for nobody. What it raises (BusyError …) leaves none open."""
        self._connection.set_busy_timeout(0)
        try:
            self._begin(batch, waits=False)
        finally:
            self._connection.set_busy_timeout(BUSY_MILLISECONDS)

    def _flush_elsewhere(self, batch: list[_Job]) -> bool:
        """Let a thread commit what was begun; False when there is none."""
        if self._flushers is None:
            return False
        try:
            self._flushers.submit(partial(self._flush, batch))
        except Exception:  # noqa: BLE001 - the pool is shut down, or has no thread: so be it here
            return False
        return True

    def _flush(self, batch: list[_Job]) -> None:
        """On a thread: commit what the loop has begun, and let it go on."""
        self._commit_begun(batch)
        loop = batch[0].loop
        with self._mutex:
            more = self._more()
        with contextlib.suppress(RuntimeError):  # the loop is closed, and its waiters are gone
            loop.call_soon_threadsafe(self._go_on if more else _settle, batch)
            return
        if more:
            self._refuse(RuntimeError("the event loop is closed"))

    def _go_on(self, batch: list[_Job]) -> None:
        """On the loop, when there is more to do: tell the waiters, and do it."""
        _settle(batch)
        if self._wal_pages >= self._checkpoint > 0:
            self._hand_over()
        else:
            self._run_here()

    def _commit_begun(self, batch: list[_Job]) -> None:
        """Commit, whoever has begun, and give the lock back."""
        try:
            self._commit_or_undo()
        except BaseException as error:  # noqa: BLE001 - the waiters hear of it
            _fail(batch, error)
        finally:
            self._release()
        self.commits += 1
        self.jobs += len(batch)

    def _release(self) -> None:
        if self._lock is not None:
            self._lock.release()

    def _end_here(self, batch: list[_Job]) -> None:
        """Tell the waiters on the loop's thread, and let a thread do what there is more to do."""
        _settle(batch)
        with self._mutex:
            more = self._more()
        if more:
            self._hand_over()

    def _more(self) -> bool:
        """Whether there is more to do; if not, the next ``submit`` begins. With the mutex."""
        more = bool(self._pending) or self._wal_pages >= self._checkpoint > 0
        if not more:
            self._running = False
            self._idle.set()
        return more

    def _committed(self, _connection: Connection, _name: str, pages: int) -> int:
        self._wal_pages = pages
        return 0

    def _copy_back(self) -> None:
        """Let SQLite copy the WAL into the database as far as readers allow."""
        if self._wal_pages >= self._checkpoint > 0:
            self._wal_pages = 0
            with contextlib.suppress(SqlError):  # as SQLite itself does: nothing is lost, and the next commit tries
                self._connection.wal_checkpoint()

    def _run(self) -> None:
        while True:
            self._copy_back()
            with self._mutex:
                many = _together(self._pending)
                batch, self._pending = self._pending[:many], self._pending[many:]
                if not batch:
                    self._running = False
                    self._idle.set()
                    return
            self._commit(batch)
            self._announce(batch)

    def _commit(self, batch: list[_Job]) -> None:
        try:
            if self._lock is None:
                self._transaction(batch)
            else:
                with self._lock:
                    self._transaction(batch)
        except BaseException as error:  # noqa: BLE001 - every waiter must hear of it, whatever it is
            _fail(batch, error)
        self.commits += 1
        self.jobs += len(batch)

    def _transaction(self, batch: list[_Job]) -> None:
        self._begin(batch, waits=True)
        self._commit_or_undo()

    def _begin(self, batch: list[_Job], *, waits: bool) -> None:
        """The whole transaction but for its commit. What it raises leaves none open.

        With ``waits`` nobody can do what a job was too busy for: that is the job's failure, not the transaction's.
        """
        execute = self._connection.execute
        self._check()
        execute("BEGIN IMMEDIATE")
        try:
            self._run_jobs(batch, waits=waits)
        except BaseException:
            self._undo()
            raise

    def _commit_or_undo(self) -> None:
        try:
            if self._room is not None:
                self._room.make(self._wal_pages)
            self._connection.execute("COMMIT")
        except BaseException:
            self._undo()
            raise

    def _undo(self) -> None:
        if self._connection.in_transaction:  # SQLite itself rolls back on a full disk or an I/O error
            self._connection.execute("ROLLBACK")

    def _run_jobs(self, batch: list[_Job], *, waits: bool) -> None:
        """Run the jobs; when one of several fails, all again, each in a savepoint that undoes it alone.

        A savepoint a job from the start would cost two statements each, and with each the interpreter is given away.
        """
        try:
            for job in batch:
                job.result = job.work(self._connection)
        except Exception as error:
            if len(batch) == 1 or _too_busy(error, waits=waits) or not self._connection.in_transaction:
                raise
            self._connection.execute("ROLLBACK; BEGIN IMMEDIATE")
            for job in batch:
                self._apart(job, waits=waits)

    def _apart(self, job: _Job, *, waits: bool) -> None:
        """Run one job of several so that its failure undoes its own changes alone."""
        execute = self._connection.execute
        execute("SAVEPOINT job")
        try:
            job.result = job.work(self._connection)
        except Exception as error:
            if _too_busy(error, waits=waits) or not self._connection.in_transaction:
                raise  # the whole transaction is gone, or to be made elsewhere: nobody's work is safe
            execute("ROLLBACK TO job")
            job.error = error
        execute("RELEASE job")

    @staticmethod
    def _announce(batch: list[_Job]) -> None:
        """Wake the waiters: one hop a loop, not one a job."""
        by_loop: dict[asyncio.AbstractEventLoop, list[_Job]] = {}
        for job in batch:
            by_loop.setdefault(job.loop, []).append(job)
        for loop, jobs in by_loop.items():
            # A loop may be closed between a question and the call; its waiters are gone, and the others must hear.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(_settle, jobs)


def _together(pending: Sequence[_Job]) -> int:
    """How many of these make the next transaction."""
    for number, job in enumerate(pending[:_MAX_BATCH]):
        if job.alone:
            return number or 1
    return _MAX_BATCH


def _too_busy(error: Exception, *, waits: bool) -> bool:
    """Whether a job met a lock that the loop does not wait for, but a thread will."""
    return not waits and isinstance(error, BusyError)


def _fail(batch: list[_Job], error: BaseException) -> None:
    """Let every waiter hear of it, but for those that have an error of their own."""
    for job in batch:
        job.error = job.error or error


def _settle(jobs: list[_Job]) -> None:
    for job in jobs:
        if job.future.done():  # its waiter was cancelled; the work is committed all the same
            continue
        if isinstance(job.error, StopIteration):  # which a future refuses: the waiters behind would wait for ever
            job.future.set_exception(RuntimeError("the work raised StopIteration"))
        elif job.error is not None:
            job.future.set_exception(job.error)
        else:
            job.future.set_result(job.result)
