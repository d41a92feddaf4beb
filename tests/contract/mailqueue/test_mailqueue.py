"""What every back end of the mail queue does (mailqueue/interface.py, docs/queue-states.md)."""

from __future__ import annotations

import asyncio
import re
import time

import pytest

from angarium.mailqueue.interface import Attempt, NewMessage, QueueName
from angarium.model.content import MemoryContent
from angarium.model.delivery import DeliveryResult, QueuedRecipient, Status
from angarium.model.dsn import Dsn
from angarium.model.envelope import BodyType, Envelope, Forwarded, Notify, Origin, Recipient, Ret
from angarium.runtime.spool import Spool

LATER = 4_000_000_000.0


def envelope(*recipients: str, sender: str = "alice@example.test") -> Envelope:
    return Envelope(
        sender,
        tuple(Recipient(address, address) for address in recipients or ("bob@example.test",)),
        1_700_000_000.25,
        Origin("ESMTP", "client.example.test", "192.0.2.1", 4711, "client", "postfix/smtpd"),
    )


def new(
    queue, *recipients: str, body: bytes = b"Subject: x\r\n\r\nhello\r\n", hold: bool = False, **more
) -> NewMessage:
    return NewMessage(
        queue.allocate_id(), envelope(*recipients, **more), b"Received: by us\r\n", MemoryContent(body), hold
    )


def result(message, number: int = 0, status: Status = Status.SENT, text: str = "delivered") -> DeliveryResult:
    dsn = {Status.SENT: Dsn(2, 0, 0), Status.DEFERRED: Dsn(4, 4, 1), Status.BOUNCED: Dsn(5, 1, 1)}[status]
    return DeliveryResult(QueuedRecipient(number, message.envelope.recipients[number]), status, dsn, "virtual", text)


async def listed(queue) -> list:
    return [message async for message in queue.messages()]


def test_ids_look_like_short_queue_ids_and_differ(on_queue):
    async def work(queue):
        ids = [queue.allocate_id() for _ in range(2000)]
        assert len(set(ids)) == 2000
        assert all(re.fullmatch(r"[0-9A-F]{6,}", queue_id) for queue_id in ids)

    on_queue(work)


def test_ids_of_two_processes_and_of_two_starts_differ(open_queue):
    async def work():
        first, second = open_queue(), open_queue()
        ids = {queue.allocate_id() for _ in range(100) for queue in (first, second)}
        await first.close()
        await second.close()
        third = open_queue()
        ids.update(third.allocate_id() for _ in range(100))
        await third.close()
        return ids

    assert len({queue_id[5:] for queue_id in asyncio.run(work())}) == 300


def test_what_goes_in_comes_out(on_queue):
    async def work(queue):
        full = Envelope(
            "älice@example.test",
            (Recipient("b@x", "B@x", Notify.SUCCESS | Notify.DELAY, "rfc822;b@x"), Recipient("c@x", "c@x")),
            1_700_000_000.125,
            Origin(
                "ESMTPSA",
                "h",
                "::1",
                1,
                "me",
                "postfix/smtps/smtpd",
                "PLAIN",
                "alice",
                "",
                "TLSv1.3",
                "(shown)",
                1000,
                Forwarded("name", "::2", 26, "helo", "ESMTP", "AB1", True, client=True),
            ),
            BodyType.EIGHTBITMIME,
            True,
            Ret.HDRS,
            "id+1",
        )
        message = NewMessage(queue.allocate_id(), full, b"A: b\r\n", MemoryContent(b"\x00\xff\r\n" * 100))
        await queue.enqueue(message)
        (leased,) = await queue.lease(10, LATER)
        assert leased.envelope == full
        assert leased.queue_id == message.queue_id
        assert leased.size == message.size == 406
        assert [pending.queued.number for pending in leased.pending] == [0, 1]
        prefix, content = await queue.content(message.queue_id)
        assert (prefix, content.read()) == (b"A: b\r\n", b"\x00\xff\r\n" * 100)

    on_queue(work)


def test_an_enqueued_message_is_there_after_a_restart(on_queue):
    queue_id = on_queue(enqueue_one)
    messages = on_queue(listed)
    assert [(message.queue_id, message.queue) for message in messages] == [(queue_id, QueueName.INCOMING)]


async def enqueue_one(queue) -> str:
    message = new(queue)
    await queue.enqueue(message)
    return message.queue_id


def test_the_same_id_twice_is_refused_and_harms_nobody_else(on_queue):
    async def work(queue):
        message, other = new(queue), new(queue)
        await queue.enqueue(message)
        outcomes = await asyncio.gather(queue.enqueue(message), queue.enqueue(other), return_exceptions=True)
        assert isinstance(outcomes[0], OSError)
        assert outcomes[1] is None
        assert len(await listed(queue)) == 2

    on_queue(work)


def test_lease_is_oldest_first_and_bounded_and_takes_each_once(on_queue):
    async def work(queue):
        ids = [await enqueue_one(queue) for _ in range(5)]
        first = await queue.lease(3, LATER)
        second = await queue.lease(3, LATER)
        assert [message.queue_id for message in (*first, *second)] == ids
        assert await queue.lease(3, LATER) == []
        assert {message.queue for message in await listed(queue)} == {QueueName.ACTIVE}

    on_queue(work)


def test_a_lease_ends_with_the_message_that_reaches_the_number_of_recipients(on_queue):
    async def work(queue):
        for _ in range(5):
            people = tuple(Recipient(f"r{n}@x", f"r{n}@x") for n in range(4))
            envelope = Envelope("a@x", people, 1.0, Origin("ESMTP"))
            await queue.enqueue(NewMessage(queue.allocate_id(), envelope, b"", MemoryContent(b"x")))
        return [len(await queue.lease(10, LATER, recipients=number)) for number in (1, 5, 100, 100)]

    assert on_queue(work) == [1, 2, 2, 0]


def test_two_processes_never_lease_the_same(open_queue):
    async def work():
        one, two = open_queue(), open_queue()
        for _ in range(20):
            await enqueue_one(one)
        batches = await asyncio.gather(*(queue.lease(3, LATER) for _ in range(5) for queue in (one, two)))
        await one.close()
        await two.close()
        return [message.queue_id for batch in batches for message in batch]

    leased = asyncio.run(work())
    assert len(leased) == len(set(leased)) == 20


def test_the_last_recipient_done_removes_the_message_and_its_content(on_queue):
    async def work(queue):
        message = new(queue)
        await queue.enqueue(message)
        await queue.lease(1, LATER)
        assert await queue.record_attempt(Attempt(message.queue_id, [result(message)], LATER)) is True
        assert await listed(queue) == []
        with pytest.raises(KeyError):
            await queue.content(message.queue_id)
        assert await queue.record_attempt(Attempt(message.queue_id, [result(message)], LATER)) is False

    on_queue(work)


def test_a_deferred_recipient_keeps_its_reason_and_waits(on_queue):
    async def work(queue):
        message = new(queue, "a@x", "b@x", "c@x")
        await queue.enqueue(message)
        await queue.lease(1, LATER)
        results = [
            result(message, 0),
            result(message, 1, Status.DEFERRED, "connect to mx: timed out"),
            result(message, 2, Status.BOUNCED, "no such user"),
        ]
        assert await queue.record_attempt(Attempt(message.queue_id, results, 5000.0)) is False
        (waiting,) = await listed(queue)
        assert waiting.queue is QueueName.DEFERRED
        assert waiting.next_attempt == 5000.0
        (pending,) = waiting.pending
        assert (pending.queued.number, pending.reason, pending.dsn) == (1, "connect to mx: timed out", "4.4.1")
        assert await queue.next_due() == 5000.0
        assert await queue.lease(1, 4999.0) == []
        assert await queue.lease(1, 5000.0, deferred=False) == []
        (again,) = await queue.lease(1, 5000.0)
        assert [item.queued.number for item in again.pending] == [1]
        assert again.attempts == 2
        assert await queue.record_attempt(Attempt(message.queue_id, [result(message, 1)], 0.0)) is True

    on_queue(work)


def test_recording_is_idempotent(on_queue):
    async def work(queue):
        message = new(queue, "a@x", "b@x")
        await queue.enqueue(message)
        await queue.lease(1, LATER)
        part = Attempt(message.queue_id, [result(message, 0)], 0.0, final=False)
        assert await queue.record_attempt(part) is False
        assert await queue.record_attempt(part) is False
        late = Attempt(message.queue_id, [result(message, 0, Status.DEFERRED)], 0.0, final=False)
        assert await queue.record_attempt(late) is False  # done stays done
        (message_now,) = await listed(queue)
        assert message_now.queue is QueueName.ACTIVE
        assert [item.queued.number for item in message_now.pending] == [1]
        assert await queue.record_attempt(Attempt(message.queue_id, [result(message, 1)], 0.0)) is True

    on_queue(work)


def test_a_part_of_an_attempt_leaves_the_message_active(on_queue):
    async def work(queue):
        message = new(queue, "a@x", "b@x")
        await queue.enqueue(message)
        await queue.lease(1, LATER)
        await queue.record_attempt(Attempt(message.queue_id, [result(message, 0)], LATER, final=False))
        assert await queue.lease(1, LATER) == []

    on_queue(work)
    leases, pending = on_queue(taken_over)
    assert leases == 1
    assert pending == [[1]]


async def taken_over(queue):
    leases = await queue.take_over()
    return leases, [[item.queued.number for item in message.pending] for message in await queue.lease(10, LATER)]


def test_notices_enter_with_the_outcome(on_queue):
    async def work(queue):
        message = new(queue)
        await queue.enqueue(message)
        await queue.lease(1, LATER)
        notice = new(queue, "alice@example.test", sender="")
        attempt = Attempt(message.queue_id, [result(message, 0, Status.BOUNCED)], 0.0, [notice])
        assert await queue.record_attempt(attempt) is True
        (left,) = await listed(queue)
        assert (left.queue_id, left.queue, left.envelope.sender) == (notice.queue_id, QueueName.INCOMING, "")
        await queue.lease(1, LATER)
        assert (await queue.content(notice.queue_id))[1].read() == notice.content.read()

    on_queue(work)


def test_a_message_that_is_gone_enters_no_notices(on_queue):
    async def work(queue):
        message = new(queue)
        attempt = Attempt(
            message.queue_id, [result(message, 0, Status.BOUNCED)], 0.0, [new(queue, "alice@example.test")]
        )
        assert await queue.record_attempt(attempt) is False
        assert await listed(queue) == []

    on_queue(work)


def test_warned_is_remembered(on_queue):
    async def work(queue):
        message = new(queue)
        await queue.enqueue(message)
        await queue.lease(1, LATER)
        results = [result(message, 0, Status.DEFERRED)]
        await queue.record_attempt(Attempt(message.queue_id, results, 1.0, [new(queue, "a@x")], warned=True))
        assert next(m for m in await listed(queue) if m.queue_id == message.queue_id).warned

    on_queue(work)


def test_flush_makes_deferred_mail_due(on_queue):
    async def work(queue):
        ids = {}
        for address in ("a@one.test", "b@two.test", "c@sub.one.test"):
            message = new(queue, address)
            ids[message.queue_id] = address
            await queue.enqueue(message)
            await queue.lease(1, LATER)
            await queue.record_attempt(Attempt(message.queue_id, [result(message, 0, Status.DEFERRED)], LATER))
        now = time.time()
        assert await queue.lease(10, now) == []
        assert await queue.flush("ONE.test") == 1
        assert [ids[message.queue_id] for message in await queue.lease(10, time.time())] == ["a@one.test"]
        assert await queue.flush() == 2
        assert len(await queue.lease(10, time.time())) == 2

    on_queue(work)


def test_hold_is_not_leased(on_queue):
    async def work(queue):
        await queue.enqueue(new(queue, hold=True))
        assert await queue.lease(10, LATER) == []
        assert [message.queue for message in await listed(queue)] == [QueueName.HOLD]

    on_queue(work)


def test_quarantine_takes_a_message_out(on_queue):
    async def work(queue):
        queue_id = await enqueue_one(queue)
        await queue.lease(1, LATER)
        await queue.quarantine(queue_id)
        assert await listed(queue) == []
        assert await queue.take_over() == 0
        assert await queue.lease(1, LATER) == []

    on_queue(work)


def test_spooled_content_is_taken_over_and_removed(on_queue, tmp_path):
    (tmp_path / "spool").mkdir()

    async def work(queue):
        file = Spool(tmp_path / "spool").create()
        file.write(b"x" * 3_000_000)
        content = file.finish()
        message = NewMessage(queue.allocate_id(), envelope(), b"P: q\r\n", content)
        await queue.enqueue(message)
        content.close()
        assert not list((tmp_path / "spool").iterdir())
        (leased,) = await queue.lease(1, LATER)
        assert leased.size == 3_000_006
        _, stored = await queue.content(message.queue_id)
        assert stored.size == 3_000_000
        assert stored.read(2_999_998) == b"xx"
        stored.close()
        assert await queue.record_attempt(Attempt(message.queue_id, [result(message)], 0.0)) is True
        assert not list((tmp_path / "content").iterdir())

    on_queue(work)


def test_concurrent_callers_all_get_in(on_queue):
    async def work(queue):
        await asyncio.gather(*(queue.enqueue(new(queue, f"r{n}@x")) for n in range(300)))
        assert len(await queue.lease(1000, LATER)) == 300

    on_queue(work)
