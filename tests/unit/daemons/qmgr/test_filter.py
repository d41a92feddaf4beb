"""A message with a content filter goes there, whatever its addresses resolve to (FILTER_README)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from angarium.mailqueue.interface import NewMessage
from angarium.model.content import MemoryContent
from angarium.model.envelope import Envelope, Origin, Recipient


async def enqueue(world, content_filter, *addresses):
    people = tuple(Recipient(each, each) for each in addresses)
    envelope = Envelope("alice@virtual.test", people, world.clock(), Origin("ESMTP"), content_filter=content_filter)
    message = NewMessage(world.queue.allocate_id(), envelope, b"", MemoryContent(b"Subject: x\r\n\r\nhi\r\n"))
    await world.queue.enqueue(message)
    world.manager.wake()
    await world.settled()
    return message.queue_id


@pytest.mark.parametrize(
    ("content_filter", "default", "hops"),
    [
        ("smtp:[127.0.0.1]:10024", "", ["[127.0.0.1]:10024"]),
        ("smtp:", "", ["other.test", "virtual.test"]),
        ("smtp", "", ["other.test", "virtual.test"]),
        ("smtp:", "filter.test", ["filter.test"]),
    ],
)
def test_it_goes_to_the_filter(run_world, content_filter, default, hops):
    async def work(world):
        world.parameters = replace(world.parameters, default_filter_nexthop=default)
        world.manager._router._parameters = world.parameters
        await enqueue(world, content_filter, "bob@virtual.test", "joe@other.test")

    world = run_world(work)
    assert {request.transport for request in world.agent.requests} == {"smtp"}
    assert sorted(request.nexthop for request in world.agent.requests) == hops


@pytest.mark.parametrize(
    ("content_filter", "reason"),
    [("none:x", "mail transport unavailable"), ("smtp:x", "deferred transport")],
)
def test_without_the_filter_it_waits(run_world, content_filter, reason):
    async def work(world):
        world.manager._router._parameters = replace(world.parameters, defer_transports=frozenset({"smtp"}))
        await enqueue(world, content_filter, "bob@virtual.test")
        (message,) = await world.listed()
        assert [pending.reason for pending in message.pending] == [reason]

    world = run_world(work)
    assert not world.agent.requests
