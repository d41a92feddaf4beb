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
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from angarium.runtime.sqlite import BUSY_MILLISECONDS, BusyError, Connection, SqlError, WriteLock
from angarium.runtime.wal import WalRoom

if TYPE_CHECKING:  # a command that runs no loop starts 30 ms of CPU sooner without
    import asyncio
    from concurrent.futures import Executor

_MAX_BATCH = 256
_MARGIN = 100
"""Pages that a WAL may have beyond those at which it is copied back."""

T = TypeVar("T")


class _Job:
    __slots__ = ("error", "future", "loop", "result", "work")

    def __init__(self, work: Callable[[Connection], Any], loop: asyncio.AbstractEventLoop) -> None:
        self.work = work
        self.loop = loop
        self.future: asyncio.Future[Any] = loop.create_future()
        self.result: Any = None
        self.error: BaseException | None = None


class CommitsAtOnce:
    """Whether a writer may commit on the event loop's own thread: what the writers of one loop share.

    A commit on another thread costs two hand-overs, which is much beside a flush of 0.1 ms. So a quick job that is
    alone in the process is done at once, if the disk is quick too: after a commit that held the loop for longer than
    ``_QUICK`` seconds there is none for twenty times as long. Slow flushes hold the loop for a twentieth of the time.
    Nor is there one for ``_COMPANY`` seconds after two jobs have waited together: threads flush for several at a time.

    Args:
        clock: seconds, growing.
    """

    _QUICK = 0.002
    _BARRED = 20
    _COMPANY = 0.1

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self._waiting = 0
        self._not_before = 0.0

    def enter(self) -> None:
        """A job waits, or is under way."""
        self._waiting += 1
        if self._waiting > 1:
            self._not_before = max(self._not_before, self.clock() + self._COMPANY)

    def leave(self) -> None:
        """It is done."""
        self._waiting -= 1

    def allowed(self) -> bool:
        """One job alone waits, and the disk was quick of late."""
        return self._waiting == 1 and self.clock() >= self._not_before

    def took(self, begun: float) -> None:
        """The loop was held from then until now."""
        now = self.clock()
        if now - begun > self._QUICK:
            self._not_before = now + self._BARRED * (now - begun)


class GroupCommitWriter:
    """The one writer of a database in this process.

    ``submit`` hands over a function; the functions that are ready together run in one transaction on a thread of the
    executor and share its commit. At most one batch is under way, so the executor may be shared by many databases.
    With ``at_once`` a quick function that is alone may run on the loop's own thread; it waits there for no lock.

    With ``checkpoint`` the WAL is copied back when it has so many pages: after the waiters were told, and on a thread.
    Until then it is made longer ahead of the commits (``wal``).

    A function must do all its work on the connection that it is given, must not begin or end transactions, and may
    run a second time when another of its batch failed.

    ``check`` runs before each batch, on its thread; what it raises fails the whole batch before anything is written.
    """

    def __init__(
        self,
        connection: Connection,
        executor: Executor,
        lock: WriteLock | None = None,
        check: Callable[[], None] = lambda: None,
        *,
        at_once: CommitsAtOnce | None = None,
        checkpoint: int = 0,
    ) -> None:
        self._connection = connection
        self._at_once = at_once
        self._checkpoint = checkpoint
        self._wal_pages = 0
        self._room: WalRoom | None = None
        if checkpoint:
            connection.set_wal_hook(self._committed)  # which takes the place of SQLite's own checkpoints
            [page_size] = next(connection.execute("PRAGMA page_size"))
            self._room = WalRoom(connection.filename_wal, page_size, checkpoint + _MARGIN)
        self._check = check
        self._executor = executor
        self._lock = lock
        self._mutex = threading.Lock()
        self._pending: list[_Job] = []
        self._running = False
        self._idle = threading.Event()
        self._idle.set()
        self.commits = 0
        self.jobs = 0

    async def submit(self, work: Callable[[Connection], T], *, quick: bool = False) -> T:
        """Run ``work`` in the next batch and return its result after the commit.

        Args:
            work: see the class.
            quick: it takes less time than a hand-over between threads, some 0.1 ms at most.

        Raises:
            whatever ``work`` raised (its changes alone are rolled back), or SqlError when the commit failed.
        """
        from asyncio import get_running_loop  # late: a command that runs no loop starts 30 ms of CPU sooner without

        job = _Job(work, get_running_loop())
        with self._mutex:
            self._pending.append(job)
            start = not self._running
            if start:
                self._running = True
                self._idle.clear()
        at_once = self._at_once
        if at_once is None:
            if start:
                self._hand_over()
            result: T = await job.future
            return result
        at_once.enter()
        try:
            if start:
                if quick and at_once.allowed():
                    job.loop.call_soon(self._run_here)  # when all who come in this turn of the loop have come
                else:
                    self._hand_over()
            result = await job.future
        finally:
            at_once.leave()
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
            self._executor.submit(self._run)
        except Exception as error:  # noqa: BLE001 - the pool is shut down, or has no thread: the waiters hear it
            self._refuse(error)

    def _run_here(self) -> None:
        """Run the one job that is pending on the loop's thread, unless a lock or other jobs stand in the way."""
        at_once = self._at_once
        assert at_once is not None
        if len(self._pending) != 1 or not at_once.allowed():
            self._hand_over()
            return
        if self._lock is not None and not self._lock.acquire_nowait():
            self._hand_over()
            return
        begun = at_once.clock()
        with self._mutex:
            batch, self._pending = self._pending, []
        try:
            self._connection.set_busy_timeout(0)
            try:
                self._transaction(batch)
            finally:
                self._connection.set_busy_timeout(BUSY_MILLISECONDS)
        except BusyError:
            with self._mutex:
                self._pending[:0] = batch
            self._hand_over()
            return
        except BaseException as error:  # noqa: BLE001 - the waiter hears of it
            batch[0].error = error
        finally:
            if self._lock is not None:
                self._lock.release()
        self.commits += 1
        self.jobs += 1
        at_once.took(begun)
        _settle(batch)
        with self._mutex:
            more = bool(self._pending) or self._wal_pages >= self._checkpoint > 0
            if not more:
                self._running = False
                self._idle.set()
        if more:
            self._hand_over()

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
                batch, self._pending = self._pending[:_MAX_BATCH], self._pending[_MAX_BATCH:]
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
            for job in batch:
                job.error = job.error or error
        self.commits += 1
        self.jobs += len(batch)

    def _transaction(self, batch: list[_Job]) -> None:
        execute = self._connection.execute
        self._check()
        execute("BEGIN IMMEDIATE")
        try:
            self._run_jobs(batch)
            if self._room is not None:
                self._room.make(self._wal_pages)
            execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:  # SQLite itself rolls back on a full disk or an I/O error
                execute("ROLLBACK")
            raise

    def _run_jobs(self, batch: list[_Job]) -> None:
        """Run the jobs; when one of several fails, all again, each in a savepoint that undoes it alone.

        A savepoint a job from the start would cost two statements each, and with each the interpreter is given away.
        """
        try:
            for job in batch:
                job.result = job.work(self._connection)
        except Exception:
            if len(batch) == 1 or not self._connection.in_transaction:
                raise
            self._connection.execute("ROLLBACK; BEGIN IMMEDIATE")
            for job in batch:
                self._apart(job)

    def _apart(self, job: _Job) -> None:
        """Run one job of several so that its failure undoes its own changes alone."""
        execute = self._connection.execute
        execute("SAVEPOINT job")
        try:
            job.result = job.work(self._connection)
        except Exception as error:
            if not self._connection.in_transaction:
                raise  # the whole transaction is gone: nobody's work is safe
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
