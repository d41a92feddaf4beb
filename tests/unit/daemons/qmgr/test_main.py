"""The queue manager from the lease to the record."""

from __future__ import annotations

import asyncio
import re
import time

import pytest

from angarium.agents.bounce.interface import Event
from angarium.daemons.qmgr.scheduler import Limits
from angarium.mailqueue.control import QueueControl
from angarium.mailqueue.interface import QueueName
from angarium.model.delivery import Status
from angarium.model.envelope import Notify
from angarium.model.lookup import TemporaryError
from angarium.rewrite.interface import AddressClass, Resolution
from angarium.runtime.sqlite import connect

DEFER = (Status.DEFERRED, "4.2.2", "mailbox is full")
BOUNCE = (Status.BOUNCED, "5.1.1", "unknown user")
SENT = (
    "postfix/virtual: {}: to=<bob@virtual.test>, relay=virtual, delay=0, delays=0/0/0/0, dsn=2.0.0,"
    " status=sent (delivered to maildir)"
)
BROKEN = (Status.DEFERRED, "4.4.1", "connect to mx.test[192.0.2.1]:25: Connection refused", "broken")


def test_delivers_and_logs_as_postfix_does(run_world):
    async def work(world):
        world.queue_id = await world.enqueue()
        await world.settled()

    world = run_world(work)
    assert world.agent.delivered == [(world.queue_id, "bob@virtual.test", b"Received: us\r\nSubject: x\r\n\r\nhi\r\n")]
    assert world.lines == [
        f"postfix/qmgr: {world.queue_id}: from=<alice@virtual.test>, size=32, nrcpt=1 (queue active)",
        SENT.format(world.queue_id),
        f"postfix/qmgr: {world.queue_id}: removed",
    ]


def test_each_recipient_gets_the_message_once_in_batches(run_world):
    addresses = [f"r{n}@smtp.test" for n in range(120)]

    async def work(world):
        await world.enqueue(*addresses)
        await world.settled()

    world = run_world(work)
    assert sorted(address for _, address, _ in world.agent.delivered) == sorted(addresses)
    assert [len(request.recipients) for request in world.agent.requests] == [50, 50, 20]


def test_a_deferred_recipient_is_tried_again_when_as_old_as_the_message(run_world):
    async def work(world):
        world.agent.script["bob@virtual.test"] = DEFER
        await world.enqueue("bob@virtual.test", "eve@virtual.test")
        await world.settled()
        (message,) = await world.listed()
        assert message.next_attempt == world.clock() + 300
        assert [pending.reason for pending in message.pending] == ["mailbox is full"]
        await world.later(301)
        (message,) = await world.listed()
        assert message.next_attempt == world.clock() + 301
        await world.later(4100)
        (message,) = await world.listed()
        assert message.next_attempt == world.clock() + 4000
        del world.agent.script["bob@virtual.test"]
        await world.later(4001)
        assert await world.listed() == []

    world = run_world(work)
    assert sorted(address for _, address, _ in world.agent.delivered) == ["bob@virtual.test", "eve@virtual.test"]
    assert any(", dsn=4.2.2, status=deferred (mailbox is full)" in line for line in world.lines)


def test_a_bounce_is_queued_and_delivered(run_world):
    async def work(world):
        world.agent.script["bob@virtual.test"] = BOUNCE
        await world.enqueue("bob@virtual.test", "eve@virtual.test")
        await world.settled()

    world = run_world(work)
    assert world.reporter.reports == [(Event.FAILURE, ["bob@virtual.test"])]
    assert world.agent.delivered[-1][1:] == ("alice@virtual.test", b"FAILURE")
    pattern = r"postfix/bounce: [0-9A-F]+: sender non-delivery notification: [0-9A-F]+"
    assert sum(bool(re.fullmatch(pattern, line)) for line in world.lines) == 1


def test_when_no_bounce_can_be_made_the_recipient_stays(run_world):
    async def work(world):
        world.agent.script["bob@virtual.test"] = BOUNCE
        world.reporter.error = OSError("disk on fire")
        await world.enqueue()
        await world.settled()
        (message,) = await world.listed()
        assert message.pending[0].reason == "bounce or trace service failure"

    run_world(work)


def test_soft_bounce_defers(run_world):
    async def work(world):
        world.agent.script["bob@virtual.test"] = BOUNCE
        await world.enqueue()
        await world.settled()
        (message,) = await world.listed()
        assert message.pending[0].dsn == "4.1.1"

    run_world(work, soft_bounce=True)


def test_too_old_is_returned(run_world):
    async def work(world):
        world.agent.script["bob@virtual.test"] = DEFER
        await world.enqueue()
        await world.settled()
        await world.later(1001)
        assert await world.listed() == []

    world = run_world(work, maximal_queue_lifetime=1000.0)
    assert world.reporter.reports == [(Event.FAILURE, ["bob@virtual.test"])]
    assert any(line.endswith("from=<alice@virtual.test>, status=expired, returned to sender") for line in world.lines)


def test_one_delay_warning(run_world):
    async def work(world):
        world.agent.script["bob@virtual.test"] = DEFER
        await world.enqueue()
        await world.settled()
        for _ in range(3):
            await world.later(5000)

    world = run_world(work, delay_warning_time=3600.0)
    assert world.reporter.reports == [(Event.DELAY, ["bob@virtual.test"])]


@pytest.mark.parametrize(
    ("notify", "told"), [(Notify.UNSAID, 1), (Notify.DELAY, 1), (Notify.NEVER, 0), (Notify.FAILURE, 0)]
)
def test_the_end_of_a_delay_is_told(run_world, notify, told):
    async def work(world):
        world.agent.script["bob@virtual.test"] = DEFER
        await world.enqueue(notify=notify)
        await world.settled()
        await world.later(5000)
        del world.agent.script["bob@virtual.test"]
        await world.later(5000)
        assert await world.listed() == []

    world = run_world(work, delay_warning_time=3600.0, confirm_delay_cleared=True)
    assert world.reporter.reports[1:] == [(Event.SUCCESS, ["bob@virtual.test"])] * told
    world = run_world(work, delay_warning_time=3600.0)
    assert world.reporter.reports[1:] == []


def test_a_destination_that_fills_the_queue_is_told_of_once(run_world):
    async def work(world):
        world.agent.gate = asyncio.Event()
        for _ in range(8):
            await world.enqueue()
        while "using up" not in "".join(world.lines):
            await asyncio.sleep(0)
        world.agent.gate.set()
        await world.settled()

    world = run_world(work, limits={"virtual": Limits(initial=1, concurrency_limit=2)}, qmgr_message_active_limit=10)
    first, *warnings = [line.partition("warning: ")[2] for line in world.lines if "warning" in line]
    told = re.fullmatch(r"mail for virtual\.test is using up (\d) of (\d) active queue entries", first)
    assert warnings == [
        "you may need to reduce virtual connect and helo timeouts",
        "so that Postfix quickly skips unavailable hosts",
        # the messages that are still being resolved are active, too
        *(["you may need a separate master.cf transport for virtual.test"] if told[1] != told[2] else []),
        "please avoid flushing the whole queue when you have",
        "lots of deferred mail, that is bad for performance",
        "to turn off these warnings specify: qmgr_clog_warn_time = 0",
    ]
    assert not any("using up" in line for line in run_world(work_quickly, qmgr_message_active_limit=10).lines)


async def work_quickly(world):
    await world.enqueue()
    await world.settled()


def test_a_timer_that_fires_early_is_set_again(run_world):
    """Event loops count milliseconds, so that a timer may come before its time."""

    async def work(world):
        loop = asyncio.get_running_loop()
        call_later = loop.call_later
        loop.call_later = lambda delay, *rest: call_later(0 if 5 < delay < 20 else delay, *rest)
        for _ in range(2):
            await world.enqueue()
        while len(world.agent.delivered) < 1:
            await asyncio.sleep(0)
        for _ in range(20):
            await asyncio.sleep(0.001)
        assert len(world.agent.delivered) == 1
        for clock in (world.clock, world.steady):
            clock.now += 10.0
        while len(world.agent.delivered) < 2:
            await asyncio.sleep(0.001)

    run_world(work, limits={"virtual": Limits(rate_delay=10.0)})


def test_success_is_reported_when_asked_for(run_world):
    async def work(world):
        await world.enqueue(notify=Notify.SUCCESS)
        await world.settled()

    assert run_world(work).reporter.reports == [(Event.SUCCESS, ["bob@virtual.test"])]


def test_an_agent_that_raises_defers(run_world):
    async def work(world):
        world.agent.script["bob@virtual.test"] = ValueError("oops")
        await world.enqueue()
        await world.settled()
        (message,) = await world.listed()
        assert (message.pending[0].dsn, message.pending[0].reason) == ("4.3.0", "unknown mail transport error")

    world = run_world(work)
    assert any("ValueError: oops" in line for line in world.lines)


def test_an_unknown_transport_defers(run_world):
    async def work(world):
        await world.enqueue("bob@nowhere.test")
        await world.settled()

    world = run_world(work)
    line = next(line for line in world.lines if "status=" in line)
    assert line.startswith("postfix/error: ")
    assert line.endswith("dsn=4.3.0, status=deferred (mail transport unavailable)")


def test_a_lookup_that_fails_defers(run_world):
    async def work(world):
        world.resolver.answers["bob@virtual.test"] = TemporaryError("ldap down", "ldap:users")
        await world.enqueue("bob@virtual.test", "eve@virtual.test")
        await world.settled()
        (message,) = await world.listed()
        assert [pending.reason for pending in message.pending] == ["address resolver failure"]

    assert len(run_world(work).agent.delivered) == 1


def test_a_dead_destination_suspends_the_rest(run_world):
    async def work(world):
        for n in range(4):
            world.agent.script[f"r{n}@smtp.test"] = BROKEN
        for n in range(4):
            await world.enqueue(f"r{n}@smtp.test")
        await world.settled()

    world = run_world(work, limits={"smtp": Limits(initial=1, concurrency_limit=1)})
    assert len(world.agent.requests) == 1
    suspended = [line for line in world.lines if "(delivery temporarily suspended: connect to mx.test" in line]
    assert len(suspended) == 3
    assert all(line.startswith("postfix/error: ") and "dsn=4.4.1" in line for line in suspended)


def test_a_double_bounce_to_ourselves_is_discarded(run_world):
    async def work(world):
        address = "double-bounce@here.test"
        world.resolver.answers[address] = Resolution("virtual", "", address, AddressClass.LOCAL, "", "")
        await world.enqueue(address, sender="")
        await world.settled()

    world = run_world(work)
    assert world.agent.requests == []
    assert any("status=sent (undeliverable postmaster notification discarded)" in line for line in world.lines)


def test_drain_lets_the_delivery_end_and_gives_back_the_rest(run_world):
    async def work(world):
        world.agent.gate = asyncio.Event()
        for n in range(5):
            await world.enqueue(f"r{n}@smtp.test")
        while not world.agent.requests:
            await asyncio.sleep(0)
        world.manager.drain()
        for _ in range(100):
            await asyncio.sleep(0)
        world.agent.gate.set()

    world = run_world(work, limits={"smtp": Limits(initial=1, concurrency_limit=1)})
    assert len(world.agent.delivered) == 1

    async def rest(world):
        assert {message.queue.value for message in await world.listed()} <= {"incoming", "active"}
        await world.later(0)
        assert len(world.agent.delivered) == 4
        assert await world.listed() == []

    run_world(rest)


def interfere(run_world, change):
    """Have the administrator do ``change(control, queue_id)`` while the attempt, which defers, is under way."""

    async def work(world):
        world.agent.gate = asyncio.Event()
        world.agent.script["bob@virtual.test"] = DEFER
        queue_id = await world.enqueue()
        while not world.agent.requests:
            await asyncio.sleep(0)
        with QueueControl(world.directory) as control:
            change(control, queue_id)
        world.agent.gate.set()
        while world.manager.statistics()["active"]:
            await asyncio.sleep(0)
        world.left = await world.listed()

    return run_world(work).left


def test_held_during_the_attempt_it_stays_on_hold_with_its_reason(run_world):
    (message,) = interfere(run_world, lambda control, queue_id: control.hold([queue_id]))
    assert (message.queue.value, message.pending[0].reason) == ("hold", "mailbox is full")


def test_deleted_during_the_attempt_it_is_gone(run_world):
    assert interfere(run_world, lambda control, queue_id: control.delete([queue_id])) == []


def test_expired_during_the_attempt_it_keeps_the_flag(run_world):
    (message,) = interfere(run_world, lambda control, queue_id: control.expire([queue_id]))
    assert message.forced_expire


def test_requeued_during_the_attempt_it_is_incoming_afterwards(run_world):
    (message,) = interfere(run_world, lambda control, queue_id: control.requeue([queue_id]))
    assert message.queue.value in ("incoming", "active")


def test_released_during_the_attempt_it_is_not_tried_twice_at_once(run_world):
    def change(control, queue_id):
        control.hold([queue_id])
        control.release([queue_id])

    (message,) = interfere(run_world, change)
    assert message.queue.value == "deferred"


def test_forced_expiry_returns_the_message(run_world):
    async def work(world):
        world.agent.script["bob@virtual.test"] = DEFER
        queue_id = await world.enqueue()
        await world.settled()
        with QueueControl(world.directory) as control:
            control.expire([queue_id])
        world.clock.now = time.time() + 1  # the command does not know the test's clock
        world.manager.flush()
        await world.later(0)
        assert await world.listed() == []

    world = run_world(work)
    assert any("status=force-expired, returned to sender" in line for line in world.lines)
    assert world.reporter.reports == [(Event.FAILURE, ["bob@virtual.test"])]


def test_damaged_content_is_put_aside(run_world):
    async def work(world):
        world.resolver.answers["bob@virtual.test"] = TemporaryError("later", "x")
        queue_id = await world.enqueue()
        await world.settled()
        connection = connect(world.directory / "queue.db")
        connection.execute("UPDATE content SET body = NULL")
        connection.close()
        world.resolver.answers.clear()
        await world.queue.flush()
        world.manager.flush()
        await world.later(0)
        assert await world.listed() == []
        with QueueControl(world.directory) as control:
            assert control.identifiers((QueueName.CORRUPT,)) == [queue_id]

    world = run_world(work)
    assert any("neither a body nor a file; moved to the corrupt queue" in line for line in world.lines)


def test_what_the_queue_cannot_record_now_it_records_later(run_world, monkeypatch):
    monkeypatch.setattr("angarium.daemons.qmgr.conclusion.RETRY_QUEUE", 0.01)

    async def work(world):
        record = world.queue.record_attempt
        failures = iter((OSError("disk full"), OSError("disk full"), None))

        async def failing(attempt):
            if (error := next(failures, None)) is not None:
                raise error
            return await record(attempt)

        monkeypatch.setattr(world.queue, "record_attempt", failing)
        await world.enqueue()
        await world.settled()
        assert await world.listed() == []

    world = run_world(work)
    assert len(world.agent.delivered) == 1
    assert sum("cannot record the attempt, will try again: disk full" in line for line in world.lines) == 2


def test_etrn_flushes_one_site(run_world):
    async def work(world):
        world.agent.script |= {"bob@virtual.test": DEFER, "eve@smtp.test": DEFER}
        await world.enqueue("bob@virtual.test")
        await world.enqueue("eve@smtp.test")
        await world.settled()
        world.agent.script.clear()
        world.manager._flushed("smtp.test")
        while world.manager._tasks:
            await asyncio.sleep(0.001)
        await world.later(1)
        assert [message.pending[0].queued.recipient.address for message in await world.listed()] == ["bob@virtual.test"]

    run_world(work)


def test_a_lease_of_a_dead_manager_is_taken_over(run_world):
    async def first(world):
        world.agent.gate = asyncio.Event()
        await world.enqueue()
        while not world.agent.requests:
            await asyncio.sleep(0)
        raise KeyboardInterrupt

    async def second(world):
        await world.settled()

    try:
        asyncio_run_aborted(run_world, first)
    finally:
        world = run_world(second)
    assert len(world.agent.delivered) == 1


def asyncio_run_aborted(run_world, work):
    """Run ``work`` and cancel the manager without letting it record anything."""

    async def aborted(world):
        try:
            await work(world)
        except KeyboardInterrupt:
            for task in list(world.manager._tasks):
                task.cancel()
            world.manager._active.clear()

    run_world(aborted)


def test_cancelled_it_gives_back_what_is_under_way(make_world):
    async def main():
        world = make_world()
        world.agent.gate = asyncio.Event()
        service = asyncio.create_task(world.manager.run())
        await world.enqueue()
        while not world.agent.requests:
            await asyncio.sleep(0)
        service.cancel()
        await asyncio.wait([service])
        assert service.cancelled()
        assert [message.queue.value for message in await world.listed()] == ["incoming"]
        await world.queue.close()

    asyncio.run(main())


def test_old_mail_for_a_slow_destination_leaves_new_mail_a_way(run_world):
    async def work(world):
        for n in range(30):
            world.agent.script[f"r{n}@smtp.test"] = DEFER
            await world.enqueue(f"r{n}@smtp.test")
        await world.settled()
        world.agent.gate = asyncio.Event()
        world.clock.now += 1000
        world.manager.wake()
        while world.manager.statistics()["active"] < 8:
            await asyncio.sleep(0.001)
        await world.enqueue("bob@virtual.test")
        while not any(request.transport == "virtual" for request in world.agent.requests):
            await asyncio.sleep(0.001)
        assert world.manager.statistics()["active"] == 9
        world.agent.gate.set()
        await world.settled()

    world = run_world(work, limits={"smtp": Limits(initial=1, concurrency_limit=1)}, qmgr_message_active_limit=10)
    assert "bob@virtual.test" in [address for _, address, _ in world.agent.delivered]


def test_a_clock_that_is_set_back_does_not_stop_the_scans(run_world):
    async def work(world):
        await world.enqueue()
        await world.settled()
        world.clock.now -= 100_000
        world.manager.wake()
        while world.manager._next_scan > world.clock.now + 300:
            await asyncio.sleep(0.001)

    run_world(work)
