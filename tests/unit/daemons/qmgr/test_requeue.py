"""postsuper -r: what the real one did with the same messages: a new id, new recipients, the old arrival time."""

from __future__ import annotations

import asyncio
import os

import pytest

from angarium.agents.bounce.interface import Event
from angarium.mailqueue.control import QueueControl
from angarium.mailqueue.interface import QueueName
from angarium.model.delivery import Status
from angarium.model.error import MailError
from angarium.model.reply import Reply

DEFER = (Status.DEFERRED, "4.2.2", "mailbox is full")


def requeue(world, queue_id):
    with QueueControl(world.directory) as control:
        done = control.requeue([queue_id])
    world.manager.wake()
    return done


@pytest.mark.parametrize("queue", [QueueName.DEFERRED, QueueName.HOLD])
def test_it_goes_through_cleanup_again_and_on_under_a_new_id(run_world, queue):
    async def work(world):
        world.agent.script["old@virtual.test"] = DEFER
        world.agent.script["new@virtual.test"] = DEFER
        queue_id = await world.enqueue("done@virtual.test", "old@virtual.test")
        await world.settled()
        if queue is QueueName.HOLD:
            with QueueControl(world.directory) as control:
                control.hold([queue_id])
        (before,) = await world.listed()
        world.clock.now += 1000
        world.cleanup.aliases["old@virtual.test"] = ["new@virtual.test", "more@virtual.test"]
        assert requeue(world, queue_id) == [queue_id]
        await asyncio.sleep(0.05)
        await world.settled()
        (after,) = await world.listed()
        assert after.queue_id != queue_id
        assert [pending.queued.recipient.address for pending in after.pending] == ["new@virtual.test"]
        assert [each.original for each in after.envelope.recipients] == ["old@virtual.test"] * 2
        assert after.envelope.arrival == before.envelope.arrival
        assert after.queued == before.queued + 1000
        assert after.envelope.origin == before.envelope.origin
        world.ids = queue_id, after.queue_id

    world = run_world(work)
    old, new = world.ids
    assert f"postfix/pickup: {new}: uid={os.getuid()} from=<alice@virtual.test> orig_id={old}" in world.lines
    addresses = [address for _id, address, _text in world.agent.delivered]
    assert addresses == ["done@virtual.test", "more@virtual.test"]
    assert world.agent.delivered[-1][2].startswith(
        b"Received: by us, userid %d\r\n\tid %s\r\nReceived: us\r\nSubject: x" % (os.getuid(), new.encode())
    )


def test_one_in_delivery_is_requeued_when_the_attempt_is_over(run_world):
    async def work(world):
        world.agent.script["bob@virtual.test"] = DEFER
        world.agent.gate = asyncio.Event()
        queue_id = await world.enqueue()
        while not world.agent.requests:
            await asyncio.sleep(0.001)
        requeue(world, queue_id)
        world.cleanup.aliases["bob@virtual.test"] = ["eve@virtual.test"]
        world.agent.gate.set()
        while not world.agent.delivered:
            await asyncio.sleep(0.001)
        await world.settled()
        assert await world.listed() == []

    world = run_world(work)
    assert [address for _id, address, _text in world.agent.delivered] == ["eve@virtual.test"]


def test_while_cleanup_cannot_it_waits_and_is_requeued_later(run_world):
    async def work(world):
        world.agent.script["bob@virtual.test"] = DEFER
        queue_id = await world.enqueue()
        await world.settled()
        world.cleanup.error = MailError(Reply.of(451, "4.6.0", "Alias expansion error"))
        requeue(world, queue_id)
        while not any("cannot be requeued: Alias expansion error" in line for line in world.lines):
            await asyncio.sleep(0.001)
        await world.settled()
        (message,) = await world.listed()
        assert (message.queue, message.queue_id) == (QueueName.DEFERRED, queue_id)
        assert message.next_attempt > world.clock()
        world.cleanup.error = None
        world.agent.script.clear()
        await world.later(4001)
        assert await world.listed() == []
        assert world.agent.delivered[0][0] != queue_id

    run_world(work)


def test_what_cleanup_refuses_for_good_is_returned(run_world):
    async def work(world):
        world.agent.script["bob@virtual.test"] = DEFER
        queue_id = await world.enqueue()
        await world.settled()
        world.cleanup.error = MailError(Reply.of(550, "5.7.1", "message content rejected"))
        requeue(world, queue_id)
        while not world.reporter.reports:
            await asyncio.sleep(0.001)
        await world.settled()
        assert await world.listed() == []

    world = run_world(work)
    assert world.reporter.reports == [(Event.FAILURE, ["bob@virtual.test"])]


def test_a_large_message_keeps_its_content(run_world, tmp_path):
    from angarium.mailqueue.interface import NewMessage
    from angarium.model.envelope import Envelope, Origin, Recipient
    from angarium.runtime.spool import Spool

    async def work(world):
        (tmp_path / "spool").mkdir()
        file = Spool(tmp_path / "spool").create()
        file.write(b"Subject: large\r\n\r\n" + b"x" * 2_000_000)
        envelope = Envelope("a@b.test", (Recipient("bob@virtual.test", "bob"),), world.clock(), Origin("ESMTP"))
        message = NewMessage(world.queue.allocate_id(), envelope, b"", file.finish())
        world.agent.script["bob@virtual.test"] = DEFER
        await world.queue.enqueue(message)
        world.manager.wake()
        await world.settled()
        world.agent.script.clear()
        requeue(world, message.queue_id)
        while not world.agent.delivered:
            await asyncio.sleep(0.001)
        await world.settled()
        assert list((tmp_path / "content").iterdir()) == []

    world = run_world(work)
    assert len(world.agent.delivered[0][2]) > 2_000_000
