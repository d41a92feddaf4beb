"""What is particular to the SQLite back end: damage, orphans, full disks, versions."""

from __future__ import annotations

import asyncio
import time

import pytest

from angarium.mailqueue.control import QueueControl
from angarium.mailqueue.interface import Attempt, NewMessage, QueueDamagedError, QueueFullError, QueueName
from angarium.mailqueue.sqlite import SqliteMailQueue
from angarium.model.content import MemoryContent
from angarium.model.delivery import DeliveryResult, QueuedRecipient, Status
from angarium.model.dsn import Dsn
from angarium.model.envelope import Envelope, Origin, Recipient
from angarium.runtime.log import MemoryLog, ServiceLog
from angarium.runtime.spool import Spool
from angarium.runtime.sqlite import connect, integrity

LATER = 4_000_000_000.0


def new(queue, content=None):
    envelope = Envelope("a@x", (Recipient("b@x", "b@x"),), 1.0, Origin("ESMTP"))
    return NewMessage(queue.allocate_id(), envelope, b"P: p\r\n", content or MemoryContent(b"body\r\n"))


@pytest.fixture
def log():
    return MemoryLog()


@pytest.fixture
def on_queue(tmp_path, log):
    def run(work):
        async def main():
            queue = SqliteMailQueue(tmp_path, ServiceLog(log, "postfix/qmgr"))
            try:
                return await work(queue)
            finally:
                await queue.close()

        return asyncio.run(main())

    return run


def sql(tmp_path, statement, *values):
    connection = connect(tmp_path / "queue.db")
    rows = connection.execute(statement, values).fetchall()
    connection.close()
    return rows


def spooled(tmp_path, size=2_000_000):
    (tmp_path / "spool").mkdir(exist_ok=True)
    file = Spool(tmp_path / "spool").create()
    file.write(b"x" * size)
    return file.finish()


def contents(tmp_path):
    return {path.name for path in (tmp_path / "content").iterdir()}


async def put(queue):
    message = new(queue)
    await queue.enqueue(message)
    return message.queue_id


def test_a_damaged_envelope_goes_to_corrupt_and_stops_nobody(on_queue, tmp_path, log):
    damaged, sound = on_queue(put), on_queue(put)
    sql(tmp_path, "UPDATE message SET envelope = x'C1FF' WHERE queue_id = ?", damaged)
    leased = on_queue(lambda queue: queue.lease(10, LATER))
    assert [message.queue_id for message in leased] == [sound]
    assert any(line.startswith(f"postfix/qmgr: warning: {damaged}: damaged queue entry") for line in log.lines)
    with QueueControl(tmp_path) as control:
        assert control.identifiers((QueueName.CORRUPT,)) == [damaged]
        assert control.delete([damaged], (QueueName.CORRUPT,)) == [damaged]


def test_a_damaged_envelope_does_not_stop_the_listing(on_queue, tmp_path):
    damaged, sound = on_queue(put), on_queue(put)
    sql(tmp_path, "UPDATE message SET envelope = x'C1FF' WHERE queue_id = ?", damaged)
    with QueueControl(tmp_path, readonly=True) as control:
        assert [message.queue_id for message in control.messages()] == [sound]


def test_missing_content_is_said_as_damage(on_queue, tmp_path):
    queue_id = on_queue(put)
    sql(tmp_path, "UPDATE content SET body = NULL")

    async def work(queue):
        with pytest.raises(QueueDamagedError, match="neither a body nor a file"):
            await queue.content(queue_id)

    on_queue(work)


def test_a_missing_content_file_is_said_as_damage(on_queue, tmp_path):
    async def work(queue):
        message = new(queue, spooled(tmp_path))
        await queue.enqueue(message)
        (tmp_path / "content" / message.queue_id).unlink()
        with pytest.raises(QueueDamagedError, match="No such file"):
            await queue.content(message.queue_id)

    on_queue(work)


def test_orphans_are_removed_when_old_and_named_files_are_kept(on_queue, tmp_path):
    async def first(queue):
        message = new(queue, spooled(tmp_path))
        await queue.enqueue(message)
        return message.queue_id

    kept = on_queue(first)
    young = tmp_path / "content" / "YOUNG"
    young.write_bytes(b"x")
    on_queue(lambda queue: queue.take_over())
    assert contents(tmp_path) == {kept, "YOUNG"}


def test_old_orphans_are_removed(on_queue, tmp_path, monkeypatch):
    (tmp_path / "content").mkdir()
    (tmp_path / "content" / "ORPHAN").write_bytes(b"x")
    monkeypatch.setattr("angarium.mailqueue.sqlite.ORPHAN_AGE", -1.0)
    on_queue(lambda queue: queue.take_over())
    assert contents(tmp_path) == set()


def test_an_enqueue_whose_file_was_swept_away_fails(on_queue, tmp_path, monkeypatch):
    async def work(queue):
        message = new(queue, spooled(tmp_path))
        submit = queue._writer.submit

        async def sweep_first(job):
            (tmp_path / "content" / message.queue_id).unlink()
            return await submit(job)

        monkeypatch.setattr(queue._writer, "submit", sweep_first)
        with pytest.raises(FileNotFoundError):
            await queue.enqueue(message)
        return [each async for each in queue.messages()]

    assert on_queue(work) == []


def test_a_manager_that_drains_keeps_what_it_has_leased(tmp_path, log):
    async def work():
        one, two = (SqliteMailQueue(tmp_path, ServiceLog(log, "postfix/qmgr")) for _ in range(2))
        assert await one.take_over() == 0
        queue_id = await put(one)
        assert len(await one.lease(1, LATER)) == 1
        assert await two.take_over() == 0
        assert await two.lease(1, LATER) == []
        with QueueControl(tmp_path) as control:
            assert control.manager_runs()
        await one.close()  # as a crash: nothing is given back
        assert await two.take_over() == 1
        assert [message.queue_id for message in await two.lease(1, LATER)] == [queue_id]
        assert await two.give_back() == 1
        assert len(await two.lease(1, LATER)) == 1
        await two.close()
        with QueueControl(tmp_path) as control:
            assert not control.manager_runs()

    asyncio.run(work())


def test_lock_files_of_dead_managers_are_tidied_away(on_queue, tmp_path):
    for number in (7, 8):
        (tmp_path / f"qmgr.{number}.lock").write_bytes(b"")

    async def work(queue):
        await queue.take_over()
        return {path.name for path in tmp_path.glob("qmgr.*")}

    names = on_queue(work)
    assert len(names) == 2
    assert not names & {"qmgr.7.lock", "qmgr.8.lock"}


def test_an_older_schema_is_brought_up_to_date(on_queue, tmp_path):
    queue_id = on_queue(put)
    sql(tmp_path, "DROP INDEX message_active")
    sql(tmp_path, "ALTER TABLE message DROP COLUMN owner")
    sql(tmp_path, "PRAGMA user_version = 1")

    async def work(queue):
        await queue.take_over()
        return [message.queue_id for message in await queue.lease(10, LATER)]

    assert on_queue(work) == [queue_id]


def test_a_newer_schema_is_refused(on_queue, tmp_path, log):
    on_queue(put)
    sql(tmp_path, "PRAGMA user_version = 99")
    with pytest.raises(QueueDamagedError, match="schema version 99"):
        SqliteMailQueue(tmp_path, ServiceLog(log, "postfix/qmgr"))


def test_a_file_that_is_no_database_is_refused(tmp_path, log):
    (tmp_path / "queue.db").write_bytes(b"this is no database, whatever it is" * 100)
    with pytest.raises(QueueDamagedError):
        SqliteMailQueue(tmp_path, ServiceLog(log, "postfix/qmgr"))


def test_a_full_disk_refuses_and_leaves_nothing_half_there(on_queue, tmp_path):
    """SQLite's own limit of pages stands for the disk: it fails in the same place with the same error."""

    async def work(queue):
        kept = await put(queue)
        pages = sql(tmp_path, "PRAGMA page_count")[0][0]
        await queue._writer.submit(
            lambda connection: connection.execute(f"PRAGMA max_page_count = {pages + 20}").fetchall()
        )
        stored = [kept]
        error = None
        while error is None and len(stored) < 100:
            message = new(queue, MemoryContent(b"x" * 20_000))
            try:
                await queue.enqueue(message)
                stored.append(message.queue_id)
            except QueueFullError as full:
                error = full
        assert error is not None
        assert len(stored) > 1
        assert [each.queue_id async for each in queue.messages()] == stored
        # Mail that goes makes room again.
        (first,) = await queue.lease(1, LATER)
        sent = DeliveryResult(
            QueuedRecipient(0, first.envelope.recipients[0]), Status.SENT, Dsn(2, 0, 0), "virtual", "ok"
        )
        assert await queue.record_attempt(Attempt(first.queue_id, [sent], 0.0))
        for message in await queue.lease(100, LATER):
            assert await queue.record_attempt(Attempt(message.queue_id, [sent], 0.0))
        await queue.enqueue(new(queue, MemoryContent(b"x" * 20_000)))

    on_queue(work)
    connection = connect(tmp_path / "queue.db")
    assert integrity(connection) == []
    assert connection.execute("SELECT count(*) FROM content").fetchone() == (1,)
    connection.close()


def test_one_bad_message_in_a_batch_harms_only_itself(on_queue):
    async def work(queue):
        good = [new(queue) for _ in range(10)]
        outcomes = await asyncio.gather(
            *(queue.enqueue(message) for message in (*good[:5], good[0], *good[5:])), return_exceptions=True
        )
        assert [isinstance(each, Exception) for each in outcomes] == [False] * 5 + [True] + [False] * 5
        return len(await queue.lease(100, time.time()))

    assert on_queue(work) == 10


@pytest.mark.parametrize(
    "query",
    [
        "SELECT id FROM message WHERE state = 'incoming' ORDER BY next_attempt LIMIT 5",
        "SELECT id FROM message WHERE state = 'deferred' AND next_attempt <= 5 ORDER BY next_attempt LIMIT 5",
        "SELECT min(next_attempt) FROM message WHERE state = 'deferred'",
        "SELECT id, state, recipients, flags FROM message WHERE id = 5 AND queue_id = 'X'",
    ],
)
def test_what_is_asked_often_costs_the_same_whatever_is_queued(on_queue, tmp_path, query):
    on_queue(put)
    plan = " ".join(row[3] for row in sql(tmp_path, "EXPLAIN QUERY PLAN " + query))
    assert "TEMP B-TREE" not in plan
    assert "SCAN message USING" in plan or "SEARCH message USING" in plan


def test_a_large_queue_that_has_gone_gives_its_space_back(on_queue, tmp_path, monkeypatch):
    monkeypatch.setattr("angarium.mailqueue.sqlite.COMPACT_ABOVE", 500_000)

    async def work(queue):
        kept = await put(queue)
        large = [new(queue, MemoryContent(b"x" * 100_000)) for _ in range(20)]
        for message in large:
            await queue.enqueue(message)
        assert not await queue.compact()
        for message in await queue.lease(100, LATER):
            if message.queue_id != kept:
                sent = DeliveryResult(message.pending[0].queued, Status.SENT, Dsn(2, 0, 0), "virtual", "ok")
                await queue.record_attempt(Attempt(message.queue_id, [sent], 0.0))
        assert await queue.compact()
        assert (tmp_path / "queue.db").stat().st_size < 200_000
        assert not await queue.compact()
        await queue.enqueue(new(queue))
        return len([each async for each in queue.messages()])

    assert on_queue(work) == 2


def test_the_content_of_a_message_survives_that_it_is_enqueued_a_second_time(on_queue, tmp_path):
    (tmp_path / "spool").mkdir()
    file = Spool(tmp_path / "spool").create()
    file.write(b"body\r\n")
    content = file.finish()

    async def work(queue):
        message = new(queue, content)
        await queue.enqueue(message)
        with pytest.raises(FileExistsError):
            await queue.enqueue(message)
        _prefix, stored = await queue.content(message.queue_id)
        return stored.read()

    assert on_queue(work) == b"body\r\n"
    content.close()
