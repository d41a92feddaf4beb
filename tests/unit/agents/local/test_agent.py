"""What the agent makes of the parts of a recipient: when mail is forwarded, and how often."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from angarium.agents.local.agent import LocalAgent
from angarium.agents.local.deliverer import Part
from angarium.mailqueue.interface import NewMessage
from angarium.model.content import MemoryContent
from angarium.model.delivery import DeliveryRequest, QueuedRecipient, Status
from angarium.model.dsn import Dsn
from angarium.model.envelope import Envelope, Origin, Recipient
from angarium.runtime.log import MemoryLog, ServiceLog

FORWARD = Part("list@x", Status.SENT, Dsn(2, 0, 0), "", forward=("far@away",))


class Around:
    """A deliverer, a cleanup and a queue, of which the latter remembers."""

    def __init__(self, *parts):
        self.parts = parts
        self.queued = []

    async def deliver(self, request):
        return [self.parts] * len(request.recipients)

    async def process(self, queue_id, envelope, content):
        return NewMessage(queue_id, envelope, b"", content)

    def allocate_id(self):
        return "4F2B"

    async def enqueue(self, message):
        self.queued += [each.address for each in message.envelope.recipients]


def deliver(around, **settings):
    log = ServiceLog(MemoryLog(), "postfix/local")
    agent = LocalAgent(around, around, around, log, **settings)
    person = QueuedRecipient(0, Recipient("list@x", "list@x"))
    envelope = Envelope("s@y", (person.recipient,), 1.0, Origin("ESMTP"))
    request = DeliveryRequest("4F2A", "local", "x", envelope, (person,), b"", MemoryContent(b"a: b\r\n"), 1.0, 2.0)
    (result,) = asyncio.run(agent.deliver(request))
    return result


def test_a_deferral_that_becomes_a_bounce_keeps_nobody_from_his_copy():
    async def status(result):
        if result.status is Status.DEFERRED:
            return replace(result, status=Status.BOUNCED, dsn=Dsn(5, 2, 2))
        return result

    around = Around(Part("bob@x", Status.DEFERRED, Dsn(4, 2, 2), "full"), FORWARD)
    result = deliver(around, status=status)
    assert (result.status, [each.status for each in result.others]) == (Status.BOUNCED, [Status.SENT])
    assert around.queued == ["far@away"]


@pytest.mark.parametrize(
    ("soft", "status", "queued"), [(True, Status.DEFERRED, []), (False, Status.BOUNCED, ["far@away"])]
)
def test_a_bounce_that_is_tried_again_forwards_nothing_each_time(soft, status, queued):
    around = Around(Part("bob@x", Status.BOUNCED, Dsn(5, 1, 1), "unknown"), FORWARD)
    assert deliver(around, soft_bounce=soft).status is status
    assert around.queued == queued
