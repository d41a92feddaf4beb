"""What crashes, faults of ours, deletions and clocks that jump leave of the queue manager's state."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from angarium.agents.bounce.interface import Event
from angarium.daemons.qmgr import main
from angarium.daemons.qmgr.scheduler import Limits
from angarium.mailqueue.control import QueueControl
from angarium.mailqueue.interface import QueueDamagedError, QueueName
from angarium.model.delivery import QueuedRecipient, Status
from angarium.model.envelope import Notify

DEFER = (Status.DEFERRED, "4.2.2", "mailbox is full")
BOUNCE = (Status.BOUNCED, "5.1.1", "unknown user")


async def until(condition) -> None:
    for _ in range(5000):
        if condition():
            return
        await asyncio.sleep(0.001)
    raise AssertionError("it did not come to be")


def test_deleting_a_message_in_delivery_takes_no_place_from_others(run_world):
    """Of a message for many destinations one delivery after the other finds that it is gone."""

    async def work(world):
        world.agent.gate = asyncio.Event()
        queue_id = await world.enqueue(*[f"r{n}@smtp.test" for n in range(40)])
        await until(lambda: world.agent.requests)
        world.queue._ahead.clear()
        with QueueControl(world.directory) as control:
            assert control.delete([queue_id]) == [queue_id]
        world.agent.gate.set()
        await until(lambda: not world.manager.statistics()["active"])
        await until(lambda: not world.manager.statistics()["busy"])
        await world.enqueue("bob@smtp.test")
        await world.settled()
        assert world.agent.delivered[-1][1] == "bob@smtp.test"

    world = run_world(work, limits={"smtp": Limits(process_limit=3, recipient_limit=1)})
    assert not [line for line in world.lines if "panic" in line]


class UnforeseenError(Exception):
    """What nobody has thought of."""


@pytest.mark.parametrize("where", ["record", "notices", "content", "outcome line"])
def test_a_fault_of_ours_leaves_the_message_in_the_queue_and_not_stuck(run_world, monkeypatch, where):
    async def work(world):
        failing = [True]

        def fails_once(target, name):
            real = getattr(target, name)

            async def call(*words, **more):
                if failing[0]:
                    failing[0] = False
                    raise UnforeseenError
                return await real(*words, **more)

            monkeypatch.setattr(target, name, call)

        if where == "record":
            fails_once(world.queue, "record_attempt")
        elif where == "notices":
            world.agent.script["bob@virtual.test"] = BOUNCE
            fails_once(world.reporter, "report")
        elif where == "content":
            fails_once(world.queue, "content")
        else:
            world.agent.script["bob@virtual.test"] = (Status.SENT, "2.0.0", 5)  # no text at all
        await world.enqueue()
        await world.settled()
        failing[0] = False
        if where == "outcome line":
            del world.agent.script["bob@virtual.test"]
        assert world.manager.statistics()["active"] == world.manager.statistics()["busy"] == 0
        await world.later(4001)
        assert await world.listed() == []

    run_world(work)


@pytest.mark.parametrize("text", ["caf\udce9 says no", "nul\0 and more", "\ud800"])
@pytest.mark.parametrize("outcome", [Status.DEFERRED, Status.SENT, Status.BOUNCED])
def test_a_peers_octets_never_keep_an_outcome_from_being_recorded(run_world, text, outcome):
    async def work(world):
        world.agent.script["bob@virtual.test"] = (outcome, "4.2.0" if outcome is Status.DEFERRED else "5.0.0", text)
        await world.enqueue("bob@virtual.test", "eve@virtual.test", notify=Notify.NEVER)
        await world.settled()
        assert len(await world.listed()) == (outcome is Status.DEFERRED)

    world = run_world(work)
    assert not [line for line in world.lines if "panic" in line]


def test_an_agent_that_hangs_is_given_up(run_world):
    async def work(world):
        world.agent.gate = asyncio.Event()  # never set
        await world.enqueue()
        await world.settled()
        (message,) = await world.listed()
        assert message.pending[0].dsn == "4.3.0"

    world = run_world(work, daemon_timeout=0.05)
    assert any("no outcome within" in line for line in world.lines)


def test_mail_deferred_by_a_clock_that_was_ahead_is_not_forgotten(run_world):
    async def work(world):
        world.agent.script["bob@virtual.test"] = DEFER
        world.clock.now += 10 * 365 * 86400
        await world.enqueue()
        await world.settled()
        world.clock.now -= 10 * 365 * 86400  # somebody has set it right
        del world.agent.script["bob@virtual.test"]
        world.manager.wake()
        await until(lambda: world.agent.delivered)
        await world.settled()
        assert await world.listed() == []

    run_world(work)


def test_a_dead_destination_comes_back_whatever_the_clock_does(run_world):
    broken = (Status.DEFERRED, "4.4.1", "connect to mx.test[192.0.2.1]:25: Connection refused", "broken")

    async def work(world):
        world.agent.gate = asyncio.Event()
        for n in range(10):
            world.agent.script[f"r{n}@smtp.test"] = broken
            await world.enqueue(f"r{n}@smtp.test")
        await until(lambda: world.manager.statistics()["active"] == 10)
        world.agent.gate.set()
        await world.settled()
        assert world.manager.statistics()["destinations"] == 1
        world.agent.script.clear()
        world.clock.now -= 86400
        world.steady.now += 301
        world.manager.wake()
        await until(lambda: world.manager.statistics()["destinations"] == 0)

    run_world(work)


def test_the_parts_of_a_large_message_cost_the_same(run_world):
    """Of 3,000 recipients in parts of one, each part is one record: none may count all the others."""
    steps = []

    async def work(world):
        connection = world.queue._writer._connection
        connection.set_progress_handler(lambda: bool(steps.append(1)), 1000)
        await world.enqueue(*[f"r{n}@virtual.test" for n in range(3000)])
        await world.settled()

        assert await world.listed() == []
        connection.set_progress_handler(None, 1000)

    world = run_world(work, limits={"virtual": Limits(recipient_limit=1)})
    assert len(world.agent.delivered) == 3000
    assert len(steps) < 3000  # thousands of SQLite's steps: 1,000 a recipient; it was 15,000


def test_what_a_crash_leaves_with_nothing_pending_is_removed(run_world, make_world):
    """All parts were recorded, the end was not."""

    async def work(world):
        world.agent.script["eve@virtual.test"] = DEFER
        queue_id = await world.enqueue("bob@virtual.test", "eve@virtual.test")
        await world.settled()
        connection = world.queue._writer._connection
        connection.execute("UPDATE outcome SET done = 1")
        with QueueControl(world.directory) as control:
            control.flush([queue_id])
        world.manager.flush()
        await until(lambda: world.manager.statistics()["finished"] == 2)
        assert await world.listed() == []

    run_world(work)


def test_hold_and_release_during_an_attempt(run_world):
    async def work(world):
        world.agent.gate = asyncio.Event()
        world.agent.script["bob@virtual.test"] = DEFER
        queue_id = await world.enqueue()
        await until(lambda: world.agent.requests)
        with QueueControl(world.directory) as control:
            control.hold([queue_id])
            control.release([queue_id])
        world.manager.flush()
        await asyncio.sleep(0.05)
        world.agent.gate.set()
        await world.settled()
        (message,) = await world.listed()
        assert message.queue is QueueName.DEFERRED
        assert len(world.agent.requests) == 1
        del world.agent.script["bob@virtual.test"]
        await world.later(4001)
        assert await world.listed() == []

    run_world(work)


def test_a_site_that_is_asked_for_again_and_again_is_flushed_once(run_world, monkeypatch):
    async def work(world):
        flushed = []
        real = world.queue.flush

        async def flush(site=""):
            flushed.append(site)
            return await real(site)

        monkeypatch.setattr(world.queue, "flush", flush)
        world.agent.script["bob@virtual.test"] = DEFER
        await world.enqueue()
        await world.settled()
        world.agent.script.clear()
        for _ in range(50):
            world.manager._flushed("virtual.test")
        await until(lambda: world.agent.delivered)
        assert flushed == ["virtual.test"]

    run_world(work)


def test_a_drain_reports_what_is_decided_so_that_nobody_gets_it_twice(make_world):
    async def main():
        world = make_world()
        world.limits["smtp"] = Limits(recipient_limit=1, process_limit=2)
        world.manager = world.make_manager()
        running = asyncio.create_task(world.manager.run())
        world.agent.gate = asyncio.Event()
        world.agent.script["r1@smtp.test"] = BOUNCE
        queue_id = await world.enqueue(*[f"r{n}@smtp.test" for n in range(6)], notify=Notify.SUCCESS | Notify.FAILURE)
        await until(lambda: len(world.agent.requests) == 2)
        world.manager.drain()
        world.agent.gate.set()
        await running
        listed = {message.queue_id: message for message in await world.listed()}
        addresses = [pending.queued.recipient.address for pending in listed[queue_id].pending]
        assert addresses == [f"r{n}@smtp.test" for n in range(2, 6)]
        assert world.reporter.reports == [(Event.FAILURE, ["r1@smtp.test"]), (Event.SUCCESS, ["r0@smtp.test"])]
        assert listed[queue_id].queue is QueueName.INCOMING
        assert len(listed) == 3  # it and the two notices
        await world.queue.close()

    asyncio.run(asyncio.wait_for(main(), 20))


def test_what_an_agent_says_of_others_than_those_asked_for_is_not_believed(run_world, monkeypatch):
    async def work(world):
        real = world.agent.deliver

        async def confused(request):
            results = await real(request)
            return [replace(results[0], recipient=QueuedRecipient(1, results[0].recipient.recipient))]

        monkeypatch.setattr(world.agent, "deliver", confused)
        await world.enqueue("a@virtual.test", "b@smtp.test")
        await world.settled()
        (message,) = await world.listed()
        assert [pending.queued.number for pending in message.pending] == [0]

    run_world(work)


def test_a_fault_of_ours_in_reading_the_queue_is_survived(run_world, monkeypatch):
    async def work(world):
        real = world.queue.lease
        calls = []

        async def lease(*words, **more):
            calls.append(1)
            if len(calls) == 1:
                raise UnforeseenError
            return await real(*words, **more)

        monkeypatch.setattr(world.queue, "lease", lease)
        await world.enqueue()
        await until(lambda: calls)
        world.steady.now += main.RETRY_QUEUE
        world.manager.wake()
        await until(lambda: world.agent.delivered)

    run_world(work)


def test_a_cancelled_manager_begins_nothing_new(make_world):
    """The end of a delivery that is given up gives its place back: nobody may take it any more."""

    async def main():
        world = make_world()
        world.limits["smtp"] = Limits(recipient_limit=1, process_limit=2)
        world.manager = world.make_manager()
        running = asyncio.create_task(world.manager.run())
        world.agent.gate = asyncio.Event()
        await world.enqueue(*[f"r{n}@smtp.test" for n in range(6)])
        await until(lambda: len(world.agent.requests) == 2)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        await asyncio.sleep(0)
        assert len(world.agent.requests) == 2
        assert [message.queue for message in await world.listed()] == [QueueName.INCOMING]
        await world.queue.close()

    asyncio.run(asyncio.wait_for(main(), 20))


def test_a_queue_that_cannot_be_used_is_tried_again_at_leisure(run_world, monkeypatch):
    async def work(world):
        async def take_over():
            raise QueueDamagedError("on fire")

        with monkeypatch.context() as patch:
            patch.setattr(world.queue, "take_over", take_over)
            world.manager.flush()
            await asyncio.sleep(0.2)
        assert 1 <= sum("cannot read the queue" in line for line in world.lines) <= 2
        await world.enqueue()
        world.clock.now += main.RETRY_QUEUE
        world.steady.now += main.RETRY_QUEUE
        world.manager.wake()
        await until(lambda: world.agent.delivered)

    run_world(work)


def test_what_is_leased_is_taken_up_whatever_comes_after(run_world, monkeypatch):
    """New mail was leased; the lease of old mail failed."""

    async def work(world):
        real = world.queue.lease

        async def lease(*words, incoming=True, **more):
            if not incoming:
                raise OSError(28, "no space")
            return await real(*words, incoming=incoming, **more)

        monkeypatch.setattr(world.queue, "lease", lease)
        world.manager._more_deferred = True
        await world.enqueue()
        await until(lambda: world.agent.delivered)

    run_world(work)


def test_recipients_in_memory_are_bounded(run_world):
    async def work(world):
        world.agent.gate = asyncio.Event()
        ids = [await world.enqueue(*[f"r{n}@virtual.test" for n in range(8)]) for _ in range(6)]
        await until(lambda: world.manager.statistics()["active"] == 3)
        await asyncio.sleep(0.05)
        assert world.manager.statistics()["active"] == 3  # 24 recipients: with the third it is 20 and more
        world.agent.gate.set()
        await world.settled()
        assert await world.listed() == []
        assert {queue_id for queue_id, _address, _text in world.agent.delivered} == set(ids)
        assert world.manager._recipients == 0

    run_world(work, qmgr_message_recipient_limit=2)
