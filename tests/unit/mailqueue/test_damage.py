"""A queue database with damage at random places: errors with names, in bounded time; the rest of the mail goes on."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import shutil
import threading

import apsw
import pytest

from angarium.mailqueue import sqlite as queue_module
from angarium.mailqueue.control import QueueControl
from angarium.mailqueue.interface import Attempt, NewMessage, QueueDamagedError, QueueFullError, QueueName
from angarium.mailqueue.sqlite import SqliteMailQueue, storage_errors
from angarium.model.content import MemoryContent
from angarium.model.delivery import DeliveryResult, Status
from angarium.model.dsn import Dsn
from angarium.model.envelope import Envelope, Origin, Recipient
from angarium.runtime.log import MemoryLog, ServiceLog
from angarium.runtime.spool import Spool
from angarium.runtime.sqlite import connect

LATER = 4_000_000_000.0


def message(queue, number=1, content=None):
    people = tuple(Recipient(f"b{k}@x.test", f"b{k}@x.test") for k in range(1 + number % 3))
    envelope = Envelope(f"a{number}@x.test", people, 1.0, Origin("ESMTP"))
    return NewMessage(queue.allocate_id(), envelope, b"P: p\r\n", content or MemoryContent(b"body\r\n" * number))


def results(leased, status=Status.SENT):
    dsn = Dsn(2, 0, 0) if status is Status.SENT else Dsn(4, 0, 0)
    return [DeliveryResult(each.queued, status, dsn, "none", "because") for each in leased.pending]


def opened(directory):
    return SqliteMailQueue(directory, ServiceLog(MemoryLog(), "postfix/qmgr"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A queue with mail in several states."""
    directory = tmp_path_factory.mktemp("whole")

    async def fill():
        queue = opened(directory)
        for number in range(60):
            await queue.enqueue(message(queue, number))
        await queue.take_over()
        for leased in await queue.lease(20, LATER):
            await queue.record_attempt(Attempt(leased.queue_id, results(leased, Status.DEFERRED), 2e9))
        await queue.close()

    asyncio.run(fill())
    return directory


async def manage(directory):
    """What a queue manager does."""
    queue = opened(directory)
    try:
        await queue.take_over()
        for _round in range(4):
            for leased in await queue.lease(30, LATER):
                try:
                    await queue.content(leased.queue_id)
                    await queue.record_attempt(Attempt(leased.queue_id, results(leased), 2e9))
                except (KeyError, OSError):
                    continue
        async for _each in queue.messages():
            pass
        await queue.enqueue(message(queue))
    finally:
        await queue.close()


def administer(directory):
    with QueueControl(directory) as control:
        list(control.messages())
        ids = control.identifiers(tuple(QueueName))
        for queue_id in ids:
            try:
                control.find(queue_id)
                control.content(queue_id)
            except OSError:
                continue
        control.hold(ids)
        control.release(ids)
        control.flush_site("x.test")
        control.delete(ids)


@pytest.mark.parametrize("seed", range(30))
def test_damage_is_an_error_with_a_name(whole, tmp_path, seed):
    chance = random.Random(seed)
    directory = tmp_path / "queue"
    shutil.copytree(whole, directory)
    path = directory / "queue.db"
    data = bytearray(path.read_bytes())
    for _place in range(chance.choice([1, 3, 30])):
        at, size = chance.randrange(len(data)), chance.choice([1, 8, 100])
        data[at : at + size] = chance.randbytes(min(size, len(data) - at))
    path.write_bytes(data)
    for work in (lambda: asyncio.run(asyncio.wait_for(manage(directory), 30)), lambda: administer(directory)):
        with contextlib.suppress(QueueDamagedError):
            work()


def test_an_id_that_is_no_text_stops_nobody(whole, tmp_path):
    directory = tmp_path / "queue"
    shutil.copytree(whole, directory)
    connection = connect(directory / "queue.db")
    connection.execute("UPDATE message SET queue_id = CAST(x'ff' AS TEXT) WHERE id = (SELECT max(id) FROM message)")
    connection.close()

    async def lease():
        queue = opened(directory)
        try:
            return len(await queue.lease(100, LATER)), len([each async for each in queue.messages()])
        finally:
            await queue.close()

    assert asyncio.run(lease()) == (59, 59)


def test_a_file_that_a_row_names_outside_of_the_queue_is_not_touched(tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("precious")
    directory = tmp_path / "queue"
    directory.mkdir()

    async def main():
        queue = opened(directory)
        new = message(queue)
        await queue.enqueue(new)
        queue._writer._connection.execute("UPDATE content SET body = NULL, file = '../../victim'")
        with pytest.raises(QueueDamagedError):
            await queue.content(new.queue_id)
        await queue.close()
        return new.queue_id

    queue_id = asyncio.run(main())
    with QueueControl(directory) as control:
        assert control.delete([queue_id]) == [queue_id]
    assert victim.read_text() == "precious"


def test_a_message_whose_content_row_is_gone_is_damaged_and_not_deleted(tmp_path):
    async def main():
        queue = opened(tmp_path)
        new = message(queue)
        await queue.enqueue(new)
        queue._writer._connection.execute("DELETE FROM content")
        with pytest.raises(QueueDamagedError):
            await queue.content(new.queue_id)
        with pytest.raises(KeyError):
            await queue.content("ABC1234567")
        await queue.close()

    asyncio.run(main())


def test_a_content_file_that_was_cut_is_damage(tmp_path):
    (tmp_path / "spool").mkdir()

    async def main():
        queue = opened(tmp_path)
        file = Spool(tmp_path / "spool").create()
        file.write(b"x" * 2_000_000)
        new = message(queue, content=file.finish())
        await queue.enqueue(new)
        os.truncate(tmp_path / "content" / new.queue_id, 1_000_000)
        with pytest.raises(QueueDamagedError, match="1000006 bytes are left of 2000006"):
            await queue.content(new.queue_id)
        await queue.close()

    asyncio.run(main())


def test_what_a_cancelled_enqueue_leaves_goes_with_a_later_scan(tmp_path, monkeypatch):
    """The client went away while its content was being flushed: nobody waits for the thread that does it."""
    (tmp_path / "spool").mkdir()
    file = Spool(tmp_path / "spool").create()
    file.write(b"x" * 2_000_000)
    content = file.finish()
    linking, go_on = threading.Event(), threading.Event()
    real = queue_module.sync_directory

    def slow(directory):
        linking.set()
        go_on.wait(20)
        real(directory)

    monkeypatch.setattr(queue_module, "sync_directory", slow)

    async def main():
        queue = opened(tmp_path)
        await queue.take_over()
        task = asyncio.create_task(queue.enqueue(message(queue, content=content)))
        await asyncio.to_thread(linking.wait, 20)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        go_on.set()
        assert [each async for each in queue.messages()] == []
        assert len(list((tmp_path / "content").iterdir())) == 1
        monkeypatch.setattr(queue_module, "ORPHAN_AGE", -1.0)
        await queue.take_over()
        assert list((tmp_path / "content").iterdir()) == []
        await queue.close()

    asyncio.run(main())


def test_an_index_that_cannot_grow_is_a_full_disk():
    error = apsw.IOError("disk I/O error")
    error.extendedresult = apsw.SQLITE_IOERR_SHMSIZE
    with pytest.raises(QueueFullError), storage_errors():
        raise error
    with pytest.raises(QueueDamagedError), storage_errors():
        raise apsw.IOError("disk I/O error")


def spoil(directory, table, at=0.5, kind="leaf"):
    """Write over a page of a table or an index; the keys of the messages that were on it, if it is of ``message``."""
    connection = connect(directory / "queue.db")
    pages = [
        number
        for (number,) in connection.execute(
            "SELECT pageno FROM dbstat WHERE name = ? AND pagetype = ? ORDER BY path", (table, kind)
        )
    ]
    connection.close()
    page = pages[int(len(pages) * at)]
    with (directory / "queue.db").open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(b"\xa5" * 4096)


def many(directory, count=300):
    async def fill():
        queue = opened(directory)
        for number in range(count):
            await queue.enqueue(message(queue, number))
        await queue.take_over()
        for leased in await queue.lease(count // 3, LATER):
            failed = results(leased, Status.DEFERRED)
            await queue.record_attempt(Attempt(leased.queue_id, failed, 2e9))
        await queue.close()

    asyncio.run(fill())


async def delivered(directory, log):
    """What a queue manager can deliver."""
    queue = SqliteMailQueue(directory, ServiceLog(log, "postfix/qmgr"))
    done = []
    try:
        await queue.take_over()
        while leased := await queue.lease(50, LATER):
            for each in leased:
                try:
                    await queue.content(each.queue_id)
                except QueueDamagedError:
                    await queue.quarantine(each.queue_id)
                    continue
                await queue.record_attempt(Attempt(each.queue_id, results(each), 2e9))
                done.append(each.queue_id)
        await queue.enqueue(message(queue))
        done.append("new")
    finally:
        await queue.close()
    return done


@pytest.mark.parametrize(
    ("table", "at", "most"),
    [
        ("message", 0.0, 20),
        ("message", 0.5, 20),
        ("message", 0.999, 20),
        ("message_incoming", 0.5, 0),
        ("message_deferred", 0.5, 0),
        ("message_active", 0.0, 0),
        ("content", 0.5, 20),
        ("outcome", 0.5, 70),
    ],
)
def test_a_damaged_page_costs_the_messages_on_it(tmp_path, table, at, most):
    many(tmp_path)
    spoil(tmp_path, table, at)
    log = MemoryLog()
    done = asyncio.run(asyncio.wait_for(delivered(tmp_path, log), 30))
    assert done[-1] == "new"
    lost = 300 - len(done[:-1])
    assert lost <= most
    with QueueControl(tmp_path) as control:
        corrupt = control.identifiers((QueueName.CORRUPT,))
        assert len(corrupt) == lost
        assert len(control.identifiers(tuple(QueueName))) == lost + 1
        if table == "message":
            assert lost
            assert all(f"error: {each}: damaged: not all of it is left" in "\n".join(log.lines) for each in corrupt)
            assert all(control.content(each) is not None for each in corrupt)
            assert control.delete(corrupt, (QueueName.CORRUPT,)) == corrupt
    assert asyncio.run(delivered(tmp_path, MemoryLog()))[-1] == "new"


def test_a_table_may_be_damaged_twice(tmp_path):
    many(tmp_path)
    for _time in range(2):
        spoil(tmp_path, "message")
        asyncio.run(asyncio.wait_for(delivered(tmp_path, MemoryLog()), 30))
        many(tmp_path, 100)
    assert len(asyncio.run(delivered(tmp_path, MemoryLog()))) == 102


def test_a_file_whose_row_is_lost_is_kept(tmp_path):
    (tmp_path / "spool").mkdir()
    many(tmp_path)

    async def add():
        queue = opened(tmp_path)
        file = Spool(tmp_path / "spool").create()
        file.write(b"x" * 2_000_000)
        new = message(queue, content=file.finish())
        await queue.enqueue(new)
        await queue.close()
        return new.queue_id

    queue_id = asyncio.run(add())
    spoil(tmp_path, "content", 0.9999)
    os.utime(tmp_path / "content" / queue_id, (1, 1))
    assert queue_id not in asyncio.run(delivered(tmp_path, MemoryLog()))
    asyncio.run(delivered(tmp_path, MemoryLog()))
    assert (tmp_path / "content" / queue_id).stat().st_size == 2_000_000
    with QueueControl(tmp_path) as control:
        assert queue_id in control.identifiers((QueueName.CORRUPT,))


def test_what_comes_together_with_the_rescue_is_not_left_in_the_damaged_table(tmp_path):
    many(tmp_path, 30)

    async def main():
        queue = opened(tmp_path)
        await queue.take_over()
        (leased,) = await queue.lease(1, LATER)
        new = message(queue)
        await asyncio.gather(
            queue.record_attempt(Attempt(leased.queue_id, results(leased), 2e9)),
            queue.enqueue(new),
            queue._writer.submit(queue._salvage, alone=True),
        )
        found = [each.queue_id async for each in queue.messages()]
        await queue.close()
        return new.queue_id, leased.queue_id, found

    new, done, found = asyncio.run(main())
    assert new in found
    assert done not in found
