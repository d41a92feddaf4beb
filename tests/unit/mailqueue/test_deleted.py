"""Deleted messages that can be had back (docs/queue-states.md, state ``deleted``)."""

from __future__ import annotations

import asyncio
import time

import pytest

from angarium.mailqueue.control import QueueControl
from angarium.mailqueue.interface import Attempt, NewMessage, QueueName
from angarium.mailqueue.schema import VERSION
from angarium.mailqueue.sqlite import SqliteMailQueue
from angarium.model.content import MemoryContent
from angarium.model.delivery import DeliveryResult, QueuedRecipient, Status
from angarium.model.dsn import Dsn
from angarium.model.envelope import Envelope, Origin, Recipient
from angarium.runtime.log import MemoryLog, ServiceLog
from angarium.runtime.spool import Spool
from angarium.runtime.sqlite import connect

FOREVER = 4_000_000_000.0


def new(queue, *recipients, content=None, hold=False):
    people = tuple(Recipient(each, each) for each in recipients or ("b@x.test",))
    envelope = Envelope("a@x.test", people, 1.0, Origin("ESMTP"))
    return NewMessage(queue.allocate_id(), envelope, b"P: p\r\n", content or MemoryContent(b"body\r\n"), hold)


def result(message, number, status):
    return DeliveryResult(
        QueuedRecipient(number, message.envelope.recipients[number]), status, Dsn(4, 0, 0), "smtp", "so it is"
    )


@pytest.fixture
def on_queue(tmp_path):
    def run(work, clock=time.time):
        async def main():
            queue = SqliteMailQueue(tmp_path, ServiceLog(MemoryLog(), "postfix/qmgr"), clock=clock)
            try:
                return await work(queue)
            finally:
                await queue.close()

        return asyncio.run(main())

    return run


@pytest.fixture
def control(tmp_path):
    def run(work):
        with QueueControl(tmp_path) as queue:
            return work(queue)

    return run


def put(on_queue, **more):
    async def work(queue):
        message = new(queue, **more)
        await queue.enqueue(message)
        return message.queue_id

    return on_queue(work)


def test_a_deleted_message_is_gone_for_the_server_and_comes_back_whole(on_queue, control):
    queue_id = put(on_queue)
    assert control(lambda queue: queue.set_aside([queue_id, "NOPE"], FOREVER)) == [queue_id]
    assert control(lambda queue: (list(queue.messages()), queue.find(queue_id), queue.delete([queue_id]))) == (
        [],
        None,
        [],
    )

    async def look(queue):
        assert await queue.lease(10, FOREVER) == []
        with pytest.raises(KeyError):
            await queue.content(queue_id)

    on_queue(look)
    (deleted,) = control(lambda queue: list(queue.deleted()))
    assert (deleted.message.queue_id, deleted.message.queue, deleted.until) == (queue_id, QueueName.INCOMING, FOREVER)
    assert control(lambda queue: queue.undelete([queue_id, queue_id])) == [(queue_id, QueueName.INCOMING)]
    assert control(lambda queue: list(queue.deleted())) == []

    async def deliver(queue):
        (message,) = await queue.lease(10, FOREVER)
        assert message.queue_id == queue_id
        prefix, content = await queue.content(queue_id)
        assert prefix + content.read() == b"P: p\r\nbody\r\n"

    on_queue(deliver)


def test_hold_and_deferred_come_back_as_they_were(on_queue, control):
    held = put(on_queue, hold=True)
    waiting = put(on_queue)

    async def defer(queue):
        (message,) = await queue.lease(10, FOREVER)
        await queue.record_attempt(Attempt(waiting, [result(message, 0, Status.DEFERRED)], FOREVER))

    on_queue(defer)
    before = [control(lambda queue, each=each: queue.find(each)) for each in (held, waiting)]
    control(lambda queue: queue.set_aside([held, waiting], FOREVER))
    control(lambda queue: queue.undelete([held, waiting]))
    assert [control(lambda queue, each=each: queue.find(each)) for each in (held, waiting)] == before


def test_one_that_was_being_delivered_comes_back_on_hold(on_queue, control):
    queue_id = put(on_queue)

    async def lease(queue):
        await queue.lease(10, FOREVER)

    on_queue(lease)
    control(lambda queue: queue.set_aside([queue_id], FOREVER))
    assert control(lambda queue: queue.undelete([queue_id])) == [(queue_id, QueueName.HOLD)]


def test_the_attempt_under_way_counts_for_who_got_it(on_queue, control):
    async def work(queue):
        message = new(queue, "b@x.test", "c@x.test", "d@x.test")
        await queue.enqueue(message)
        await queue.lease(10, FOREVER)
        with QueueControl(queue._directory) as other:
            other.set_aside([message.queue_id], FOREVER)
        statuses = (Status.SENT, Status.DEFERRED, Status.BOUNCED)
        results = [result(message, number, status) for number, status in enumerate(statuses)]
        notice = new(queue)
        assert await queue.record_attempt(Attempt(message.queue_id, results, 77.0, [notice])) is False
        assert [each async for each in queue.messages()] == []  # neither it nor the notice
        return message.queue_id

    queue_id = on_queue(work)
    assert control(lambda queue: queue.undelete([queue_id])) == [(queue_id, QueueName.DEFERRED)]
    message = control(lambda queue: queue.find(queue_id))
    assert [pending.queued.number for pending in message.pending] == [1, 2]
    assert message.next_attempt == 77.0


def test_one_that_everybody_has_got_cannot_come_back(on_queue, control):
    async def work(queue):
        message = new(queue)
        await queue.enqueue(message)
        await queue.lease(10, FOREVER)
        with QueueControl(queue._directory) as other:
            other.set_aside([message.queue_id], FOREVER)
        await queue.record_attempt(Attempt(message.queue_id, [result(message, 0, Status.SENT)], 0.0))
        return message.queue_id

    queue_id = on_queue(work)
    assert control(lambda queue: queue.undelete([queue_id])) == []


def test_when_its_time_is_over_it_is_gone_with_its_file(on_queue, control, tmp_path):
    async def work(queue):
        (tmp_path / "spool").mkdir()
        file = Spool(tmp_path / "spool").create()
        file.write(b"x" * 2_000_000)
        message = new(queue, content=file.finish())
        await queue.enqueue(message)
        return message.queue_id

    queue_id = on_queue(work)
    control(lambda queue: queue.set_aside([queue_id], 1000.0))

    async def take_over(queue):
        await queue.take_over()

    on_queue(take_over, clock=lambda: 999.0)
    assert (tmp_path / "content" / queue_id).exists()
    on_queue(take_over, clock=lambda: 1000.0)
    assert not (tmp_path / "content" / queue_id).exists()
    connection = connect(tmp_path / "queue.db")
    left = [connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in ("deleted", "content")]
    connection.close()
    assert left == [0, 0]


def test_forget_and_purge(on_queue, control):
    ids = [put(on_queue) for _ in range(3)]
    control(lambda queue: queue.set_aside(ids[:2], FOREVER))
    control(lambda queue: queue.set_aside(ids[2:], 5.0))
    assert control(lambda queue: queue.purge()) == 1
    assert control(lambda queue: queue.forget(ids)) == ids[:2]
    assert control(lambda queue: queue.undelete(ids)) == []


def test_a_queue_of_version_2_gets_the_table(on_queue, control, tmp_path):
    queue_id = put(on_queue)
    connection = connect(tmp_path / "queue.db")
    connection.execute("DROP TABLE deleted")
    connection.execute("PRAGMA user_version = 2")
    connection.close()
    assert control(lambda queue: queue.set_aside([queue_id], FOREVER)) == [queue_id]
    connection = connect(tmp_path / "queue.db")
    assert connection.execute("PRAGMA user_version").fetchone() == (VERSION,)
    connection.close()
