import asyncio
import errno
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from angarium.runtime import sqlite
from angarium.runtime.groupcommit import CommitsAtOnce, GroupCommitWriter


@pytest.fixture
def executor():
    with ThreadPoolExecutor(2) as pool:
        yield pool


@pytest.fixture
def writer(tmp_path, executor):
    connection = sqlite.connect(tmp_path / "a.sqlite")
    connection.execute("CREATE TABLE t (n INTEGER PRIMARY KEY)")
    writer = GroupCommitWriter(connection, executor, sqlite.WriteLock(tmp_path / "a.lock"))
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
    writer = GroupCommitWriter(sqlite.connect(tmp_path / "b.sqlite"), pool)
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
    writer = GroupCommitWriter(connection, executor, lock, at_once=CommitsAtOnce(), checkpoint=20)
    yield writer
    writer.close()


def whose_thread(_connection):
    return threading.current_thread()


def test_a_quick_job_that_is_alone_runs_on_the_loops_thread(prompt, tmp_path):
    async def one_by_one():
        first = await prompt.submit(whose_thread, quick=True)
        slow = await prompt.submit(whose_thread)
        await prompt.submit(insert(1), quick=True)
        with pytest.raises(sqlite.ConstraintError):
            await prompt.submit(insert(1), quick=True)
        together = await asyncio.gather(*(prompt.submit(whose_thread, quick=True) for _ in range(3)))
        return first, slow, together, await prompt.submit(insert(2), quick=True)

    first, slow, together, last = asyncio.run(one_by_one())
    assert first is threading.current_thread()
    assert slow is not first
    assert first not in together
    assert last == 2
    assert rows(tmp_path) == [1, 2]


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


def test_neither_slow_commits_nor_company_let_the_loop_be_held_again_soon(tmp_path):
    now = 100.0
    at_once = CommitsAtOnce(lambda: now)
    pool = ThreadPoolExecutor(1)
    writer = GroupCommitWriter(sqlite.connect(tmp_path / "a.sqlite"), pool, at_once=at_once)

    def slow(connection):
        nonlocal now
        now += 0.01
        return whose_thread(connection)

    async def several():
        nonlocal now
        threads = [await writer.submit(slow, quick=True), await writer.submit(whose_thread, quick=True)]
        await asyncio.get_running_loop().run_in_executor(pool, int)  # the pool's one thread has ended with the writer
        now += 0.21
        threads.append(await writer.submit(whose_thread, quick=True))
        await asyncio.gather(*(writer.submit(whose_thread, quick=True) for _ in range(2)))
        await asyncio.get_running_loop().run_in_executor(pool, int)
        threads.append(await writer.submit(whose_thread, quick=True))  # company came just now
        await asyncio.get_running_loop().run_in_executor(pool, int)
        now += 0.11
        return [*threads, await writer.submit(whose_thread, quick=True)]

    here = threading.current_thread()
    assert [thread is here for thread in asyncio.run(several())] == [True, False, True, False, True]
    writer.close()
    pool.shutdown()


def test_the_wal_is_copied_back_when_the_waiter_knows(prompt, tmp_path):
    def large(number):
        return lambda connection: connection.execute("INSERT INTO t VALUES (?)", (number,)).fetchall()

    async def many():
        for number in range(200):
            await prompt.submit(large(number), quick=number % 2 == 0)

    asyncio.run(many())
    assert (tmp_path / "a.sqlite-wal").stat().st_size < 130 * 4200
    assert rows(tmp_path) == list(range(200))
