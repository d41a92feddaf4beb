import asyncio
import errno
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from angarium.runtime import sqlite
from angarium.runtime.groupcommit import GroupCommitWriter, LoopTurns, Threads


@pytest.fixture
def executor():
    with ThreadPoolExecutor(2) as pool:
        yield pool


@pytest.fixture
def writer(tmp_path, executor):
    connection = sqlite.connect(tmp_path / "a.sqlite")
    connection.execute("CREATE TABLE t (n INTEGER PRIMARY KEY)")
    writer = GroupCommitWriter(connection, Threads(executor), sqlite.WriteLock(tmp_path / "a.lock"))
    yield writer
    writer.close()


def insert(number):
    def work(connection):
        connection.execute("INSERT INTO t VALUES (?)", (number,))
        return number

    return work


def rows(tmp_path):
    reader = sqlite.connect(tmp_path / "a.sqlite", readonly=True)
    try:
        return [row[0] for row in reader.execute("SELECT n FROM t ORDER BY n")]
    finally:
        reader.close()


def test_work_that_is_ready_together_shares_commits(writer, tmp_path):
    async def many():
        return await asyncio.gather(*(writer.submit(insert(n)) for n in range(100)))

    assert asyncio.run(many()) == list(range(100))
    assert rows(tmp_path) == list(range(100))
    assert writer.statistics()["jobs"] == 100
    assert writer.statistics()["commits"] < 100


def test_work_that_fails_is_undone_alone(writer, tmp_path):
    def half(connection):
        connection.execute("INSERT INTO t VALUES (1000)")
        raise ValueError("half")

    async def mixed():
        return await asyncio.gather(
            *(writer.submit(insert(n)) for n in range(5)),
            writer.submit(half),
            writer.submit(insert(5)),
            return_exceptions=True,
        )

    results = asyncio.run(mixed())
    assert isinstance(results[5], ValueError)
    assert rows(tmp_path) == list(range(6))


def test_a_single_job_that_fails_is_rolled_back(writer, tmp_path):
    def half(connection):
        connection.execute("INSERT INTO t VALUES (1000)")
        raise ValueError("half")

    async def one():
        with pytest.raises(ValueError, match="half"):
            await writer.submit(half)
        return await writer.submit(insert(1))

    assert asyncio.run(one()) == 1
    assert rows(tmp_path) == [1]


def test_a_cancelled_waiter_does_not_stop_the_others(writer, tmp_path):
    async def cancel():
        first = asyncio.ensure_future(writer.submit(insert(1)))
        second = asyncio.ensure_future(writer.submit(insert(2)))
        await asyncio.sleep(0)
        first.cancel()
        await second

    asyncio.run(cancel())
    assert 2 in rows(tmp_path)


def test_a_pool_that_is_shut_down_fails_every_waiter_and_closes(tmp_path):
    pool = ThreadPoolExecutor(1)
    writer = GroupCommitWriter(sqlite.connect(tmp_path / "b.sqlite"), Threads(pool))
    pool.shutdown()

    async def twice():
        return await asyncio.wait_for(
            asyncio.gather(writer.submit(insert(1)), writer.submit(insert(2)), return_exceptions=True), 10
        )

    assert [type(result) for result in asyncio.run(twice())] == [RuntimeError, RuntimeError]
    writer.close()


def test_work_that_raises_stop_iteration_leaves_nobody_waiting(writer, tmp_path):
    def exhausted(_connection):
        next(iter(()))

    async def several():
        return await asyncio.wait_for(
            asyncio.gather(
                *(writer.submit(insert(n)) for n in range(3)),
                writer.submit(exhausted),
                writer.submit(insert(3)),
                return_exceptions=True,
            ),
            10,
        )

    results = asyncio.run(several())
    assert isinstance(results[3], RuntimeError)
    assert rows(tmp_path) == list(range(4))


def test_a_loop_that_closes_before_the_answer_does_not_stop_the_writer(writer, tmp_path):
    started, go = threading.Event(), threading.Event()

    def slow(connection):
        started.set()
        go.wait(10)
        connection.execute("INSERT INTO t VALUES (1)")

    async def leave():
        waiter = asyncio.ensure_future(writer.submit(slow))
        await asyncio.get_running_loop().run_in_executor(None, started.wait, 10)
        waiter.cancel()

    asyncio.run(leave())
    go.set()
    assert asyncio.run(writer.submit(insert(2))) == 2
    assert rows(tmp_path) == [1, 2]


@pytest.fixture
def prompt(tmp_path, executor):
    connection = sqlite.connect(tmp_path / "a.sqlite")
    connection.execute("CREATE TABLE t (n INTEGER PRIMARY KEY)")
    lock = sqlite.WriteLock(tmp_path / "a.lock")
    writer = GroupCommitWriter(connection, Threads(executor, executor, LoopTurns(lambda: 100.0)), lock, checkpoint=20)
    yield writer
    writer.close()


def whose_thread(_connection):
    return threading.current_thread()


class WhoCommits:
    """Which threads have committed; stands in the place of the room in the log, which is made before each commit."""

    def __init__(self, writer):
        self.threads = []
        writer._room.make = lambda _used: self.threads.append(threading.current_thread())


def test_a_quick_job_that_is_alone_runs_on_the_loops_thread(prompt, tmp_path):
    async def one_by_one():
        first = await prompt.submit(whose_thread, quick=True)
        slow = await prompt.submit(whose_thread)
        await prompt.submit(insert(1), quick=True)
        with pytest.raises(sqlite.ConstraintError):
            await prompt.submit(insert(1), quick=True)
        return first, slow, await prompt.submit(insert(2), quick=True)

    first, slow, last = asyncio.run(one_by_one())
    assert first is threading.current_thread()
    assert slow is not first
    assert last == 2
    assert rows(tmp_path) == [1, 2]


def test_quick_jobs_that_come_together_run_on_the_loops_thread_and_are_flushed_on_another(prompt, tmp_path):
    who = WhoCommits(prompt)

    async def together():
        numbers = await asyncio.gather(*(prompt.submit(insert(n), quick=True) for n in range(3)))
        return numbers, await asyncio.gather(*(prompt.submit(whose_thread, quick=True) for _ in range(3)))

    numbers, threads = asyncio.run(together())
    assert numbers == [0, 1, 2]
    assert set(threads) == {threading.current_thread()}
    assert threading.current_thread() not in who.threads
    assert prompt.statistics() == {"commits": 2, "jobs": 6}
    assert rows(tmp_path) == [0, 1, 2]


def test_one_of_several_quick_jobs_that_fails_is_undone_alone(prompt, tmp_path):
    async def mixed():
        works = [insert(1), insert(2), insert(1), insert(3)]
        return await asyncio.gather(*(prompt.submit(work, quick=True) for work in works), return_exceptions=True)

    results = asyncio.run(mixed())
    assert [type(result) for result in results] == [int, int, sqlite.ConstraintError, int]
    assert rows(tmp_path) == [1, 2, 3]


def test_what_one_of_several_quick_jobs_is_too_busy_for_is_done_by_a_thread(prompt, tmp_path):
    def busy(connection):
        if threading.current_thread() is threading.main_thread():
            raise sqlite.BusyError("another's lock")
        return insert(9)(connection)

    async def mixed():
        works = [insert(1), busy, insert(2)]
        return await asyncio.gather(*(prompt.submit(work, quick=True) for work in works))

    assert asyncio.run(mixed()) == [1, 9, 2]
    assert rows(tmp_path) == [1, 2, 9]


def test_what_comes_while_a_flush_is_under_way_is_the_next_batch(prompt, tmp_path):
    go, flushing = threading.Event(), threading.Event()

    def hold(_used):
        flushing.set()
        assert go.wait(10)

    prompt._room.make = hold

    async def meanwhile():
        first = [asyncio.ensure_future(prompt.submit(insert(n), quick=True)) for n in range(2)]
        await asyncio.get_running_loop().run_in_executor(None, flushing.wait, 10)
        later = [asyncio.ensure_future(prompt.submit(insert(n), quick=True)) for n in range(2, 5)]
        later.append(asyncio.ensure_future(prompt.submit(insert(5))))
        await asyncio.sleep(0)
        assert not any(task.done() for task in (*first, *later))
        go.set()
        return await asyncio.gather(*first, *later)

    assert asyncio.run(meanwhile()) == list(range(6))
    assert prompt.statistics() == {"commits": 2, "jobs": 6}
    assert rows(tmp_path) == list(range(6))


def test_a_commit_that_fails_is_heard_by_each_and_leaves_nothing(prompt, tmp_path):
    def fail(_used):
        raise OSError(errno.EIO, "the disk")

    async def several():
        make, prompt._room.make = prompt._room.make, fail
        results = await asyncio.gather(
            *(prompt.submit(insert(n), quick=True) for n in range(3)), return_exceptions=True
        )
        prompt._room.make = make
        return results, await prompt.submit(insert(7), quick=True)

    results, last = asyncio.run(several())
    assert [str(result) for result in results] == ["[Errno 5] the disk"] * 3
    assert last == 7
    assert rows(tmp_path) == [7]


def test_flushers_that_are_gone_leave_the_commit_to_the_loop(tmp_path, executor):
    gone = ThreadPoolExecutor(1)
    gone.shutdown()
    connection = sqlite.connect(tmp_path / "a.sqlite")
    connection.execute("CREATE TABLE t (n INTEGER PRIMARY KEY)")
    writer = GroupCommitWriter(connection, Threads(executor, gone, LoopTurns()))

    async def several():
        return await asyncio.gather(*(writer.submit(insert(n), quick=True) for n in range(3)))

    assert asyncio.run(several()) == [0, 1, 2]
    writer.close()
    assert rows(tmp_path) == [0, 1, 2]


def test_a_loop_that_closes_during_a_flush_does_not_stop_the_writer(prompt, tmp_path):
    go, flushing = threading.Event(), threading.Event()
    make = prompt._room.make

    def hold(_used):
        flushing.set()
        assert go.wait(10)

    prompt._room.make = hold

    async def leave():
        waiters = [asyncio.ensure_future(prompt.submit(insert(n), quick=True)) for n in range(2)]
        await asyncio.get_running_loop().run_in_executor(None, flushing.wait, 10)
        waiters.append(asyncio.ensure_future(prompt.submit(insert(3), quick=True)))
        await asyncio.sleep(0)
        for waiter in waiters:
            waiter.cancel()

    asyncio.run(leave())
    prompt._room.make = make
    go.set()
    prompt._idle.wait(10)
    assert asyncio.run(prompt.submit(insert(4), quick=True)) == 4
    assert rows(tmp_path) == [0, 1, 4]


def test_the_loop_waits_for_no_lock(prompt, tmp_path):
    other = sqlite.connect(tmp_path / "a.sqlite")
    lock = sqlite.WriteLock(tmp_path / "a.lock")

    async def beside(hold, release):
        hold()
        waiting = asyncio.ensure_future(prompt.submit(whose_thread, quick=True))
        for _ in range(3):
            await asyncio.sleep(0)
        assert not waiting.done()
        release()
        return await waiting

    for hold, release in (
        (lock.__enter__, lock.release),
        (lambda: other.execute("BEGIN IMMEDIATE"), lambda: other.execute("COMMIT")),
    ):
        assert asyncio.run(beside(hold, release)) is not threading.current_thread()
    other.close()
    lock.close()


def test_a_lock_that_cannot_be_taken_fails_the_job_alone(prompt, monkeypatch):
    def refuse(_descriptor, _operation):
        raise OSError(errno.ENOLCK, "no locks")

    async def several():
        with monkeypatch.context() as patched:
            patched.setattr(sqlite.fcntl, "flock", refuse)
            with pytest.raises(OSError, match="no locks"):
                await asyncio.wait_for(prompt.submit(insert(1), quick=True), 10)
        return await asyncio.wait_for(prompt.submit(insert(2), quick=True), 10)

    assert asyncio.run(several()) == 2


def test_neither_slow_turns_nor_company_let_the_loop_be_held_again_soon(tmp_path):
    now = 100.0
    turns = LoopTurns(lambda: now)

    def alone():
        turns.enter()
        allowed = turns.begins(), turns.commits()
        turns.leave()
        return allowed

    assert alone() == (True, True)
    begun, now = now, now + 0.01
    turns.took(begun)
    assert alone() == (False, True)
    now += 0.21
    assert alone() == (True, True)
    turns.enter()
    assert alone() == (True, False)
    turns.leave()
    assert alone() == (True, False)
    now += 0.11
    assert alone() == (True, True)


def test_what_held_the_loop_for_long_is_done_by_threads_for_a_while(tmp_path, executor):
    now = 100.0
    turns = LoopTurns(lambda: now)
    writer = GroupCommitWriter(sqlite.connect(tmp_path / "a.sqlite"), Threads(executor, executor, turns))

    def slow(connection):
        nonlocal now
        now += 0.01
        return whose_thread(connection)

    async def several():
        nonlocal now
        threads = [await writer.submit(slow, quick=True), await writer.submit(whose_thread, quick=True)]
        while not writer._idle.is_set():  # the thread tells first, and then that it is through
            await asyncio.sleep(0)
        now += 0.21
        return [*threads, await writer.submit(whose_thread, quick=True)]

    here = threading.current_thread()
    assert [thread is here for thread in asyncio.run(several())] == [True, False, True]
    writer.close()


def test_the_wal_is_copied_back_when_the_waiter_knows(prompt, tmp_path):
    def large(number):
        return lambda connection: connection.execute("INSERT INTO t VALUES (?)", (number,)).fetchall()

    async def many():
        for number in range(200):
            await prompt.submit(large(number), quick=number % 2 == 0)

    asyncio.run(many())
    assert (tmp_path / "a.sqlite-wal").stat().st_size < 130 * 4200
    assert rows(tmp_path) == list(range(200))
