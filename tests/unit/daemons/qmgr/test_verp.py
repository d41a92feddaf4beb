"""Messages with a sender for each recipient, from the lease to the record."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from angarium.agents.bounce.interface import Event
from angarium.daemons.qmgr.conclusion import _addressed
from angarium.daemons.qmgr.scheduler import Limits
from angarium.mailqueue import rows
from angarium.mailqueue.control import QueueControl
from angarium.mailqueue.interface import NewMessage, QueuedMessage, QueueName
from angarium.model.content import MemoryContent
from angarium.model.delivery import DeliveryResult, QueuedRecipient, Status
from angarium.model.dsn import Dsn
from angarium.model.envelope import Envelope, Origin, Recipient

PEOPLE = ("a@smtp.test", "b@smtp.test", "c@virtual.test")
LATER = (Status.DEFERRED, "4.2.2", "mailbox is full")
SINGLY = [
    ("list+a=smtp.test@l.test", ["a@smtp.test"]),
    ("list+b=smtp.test@l.test", ["b@smtp.test"]),
    ("list+c=virtual.test@l.test", ["c@virtual.test"]),
]


async def enqueue(world, recipients=(), sender="list@l.test", verp="+="):
    recipients = recipients or tuple(Recipient(each, each) for each in PEOPLE)
    envelope = Envelope(sender, recipients, world.clock(), Origin("local"), verp=verp)
    message = NewMessage(world.queue.allocate_id(), envelope, b"", MemoryContent(b"Subject: x\r\n\r\nhi\r\n"))
    await world.queue.enqueue(message)
    world.manager.wake()
    return message.queue_id


def asked(world):
    return sorted(
        (request.envelope.sender, [queued.recipient.address for queued in request.recipients])
        for request in world.agent.requests
    )


@pytest.mark.parametrize("limit", [50, 1, 0])
def test_each_recipient_has_a_delivery_and_a_sender_of_its_own(run_world, limit):
    async def work(world):
        await enqueue(world)
        await world.settled()

    world = run_world(work, limits={"smtp": Limits(recipient_limit=limit)})
    assert asked(world) == SINGLY
    assert all(request.envelope.verp == "" for request in world.agent.requests)  # or it would be done twice
    assert any("from=<list@l.test>, size=" in line and "nrcpt=3 (queue active)" in line for line in world.lines)


def test_without_verp_they_go_together(run_world):
    async def work(world):
        await enqueue(world, verp="")
        await world.settled()

    assert asked(run_world(work)) == [
        ("list@l.test", ["a@smtp.test", "b@smtp.test"]),
        ("list@l.test", ["c@virtual.test"]),
    ]


def test_who_is_deferred_keeps_his_sender_and_the_others_are_not_asked_again(run_world):
    async def work(world):
        world.agent.script["b@smtp.test"] = LATER
        await enqueue(world)
        await world.settled()
        world.agent.script.clear()
        await world.later(301)

    assert asked(run_world(work)) == sorted([*SINGLY, SINGLY[1]])


def test_a_requeued_message_is_still_one(run_world, tmp_path):
    async def work(world):
        world.agent.script["b@smtp.test"] = LATER
        queue_id = await enqueue(world)
        await world.settled()
        with QueueControl(tmp_path) as control:
            assert control.requeue([queue_id]) == [queue_id]
        world.agent.script.clear()
        world.manager.wake()
        await world.settled()

    assert asked(run_world(work)) == sorted([*SINGLY, SINGLY[1]])


def test_nobody_has_no_verp(run_world):
    async def work(world):
        world.queue_id = await enqueue(world, sender="")
        await world.settled()

    world = run_world(work)
    assert asked(world) == [("", ["a@smtp.test", "b@smtp.test"]), ("", ["c@virtual.test"])]
    assert f"postfix/qmgr: warning: {world.queue_id}: ignoring VERP request for null sender" in world.lines


def test_the_alias_that_the_sender_wrote_is_named(run_world):
    async def work(world):
        await enqueue(world, (Recipient("a@smtp.test", "all@x.test"), Recipient("b@smtp.test", "all@x.test")))
        await world.settled()

    assert asked(run_world(work)) == [
        ("list+all=x.test@l.test", ["a@smtp.test"]),
        ("list+all=x.test@l.test", ["b@smtp.test"]),
    ]


def test_what_the_owner_of_a_list_is_told_is_no_verp_report():
    people = [QueuedRecipient(number, Recipient(each, each)) for number, each in enumerate(PEOPLE)]
    results = [DeliveryResult(each, Status.BOUNCED, Dsn(5, 1, 1), "local", "no") for each in people]
    results[1] = replace(results[1], owner="owner@l.test")
    envelope = Envelope("list@l.test", tuple(each.recipient for each in people), 0.0, Origin("local"), verp="+=")
    message = QueuedMessage("4F2A", QueueName.ACTIVE, envelope, 1, 0.0, 0.0, 1, ())
    told = [
        (to.envelope.sender, to.envelope.verp, [result.recipient.number for result in part])
        for to, part in _addressed(Event.FAILURE, message, results)
    ]
    assert told == [("list@l.test", "+=", [0, 2]), ("owner@l.test", "", [1])]


def test_a_queue_from_before_there_was_verp_can_be_read():
    """The delimiters are a part of the envelope that may be missing, so that the queue needs no new version."""
    envelope = Envelope("a@b.test", (Recipient("c@d.test", "c@d.test"),), 1.0, Origin("ESMTP"))
    old = msgspec.msgpack.decode(rows._encode(envelope))
    assert old.pop("verp") == ""
    assert rows._decode(msgspec.msgpack.encode(old)) == envelope
