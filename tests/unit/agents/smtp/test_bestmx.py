"""Mail that would come back to this server goes to best_mx_transport."""

from __future__ import annotations

import asyncio

import pytest

from angarium.agents.smtp.bestmx import BestMxAgent
from angarium.model.content import MemoryContent
from angarium.model.delivery import DeliveryRequest, DeliveryResult, QueuedRecipient, Status
from angarium.model.dsn import Dsn
from angarium.model.envelope import Envelope, Origin, Recipient
from angarium.runtime.log import MemoryLog, ServiceLog

PEOPLE = tuple(QueuedRecipient(number, Recipient(f"u{number}@x.test", f"u{number}@x.test")) for number in range(2))

LOG = ServiceLog(MemoryLog(), "postfix/smtp")


class Agent:
    """Answers every recipient alike, and remembers what it was asked."""

    def __init__(self, status, dsn, text, **more):
        self.answer = status, dsn, text, more
        self.asked = []

    async def deliver(self, request):
        self.asked.append(request)
        status, dsn, text, more = self.answer
        return [DeliveryResult(person, status, dsn, "none", text, **more) for person in request.recipients]


def looping(**more):
    return Agent(Status.BOUNCED, Dsn(5, 4, 6), "mail for x.test loops back to myself", **more)


def deliver(agent, target, **others):
    envelope = Envelope("a@y.test", tuple(person.recipient for person in PEOPLE), 1.0, Origin("local"))
    request = DeliveryRequest("Q", "smtp", "x.test", envelope, PEOPLE, b"", MemoryContent(b""), 1.0, 1.0)
    return asyncio.run(BestMxAgent(agent, target, others.get, LOG).deliver(request))


@pytest.mark.parametrize(("target", "nexthop"), [("local", "x.test"), ("local:here", "here")])
def test_what_loops_goes_to_the_transport(target, nexthop):
    local = Agent(Status.SENT, Dsn(2, 0, 0), "delivered")
    results = deliver(looping(), target, local=local)
    assert [result.status for result in results] == [Status.SENT, Status.SENT]
    (asked,) = local.asked
    assert (asked.transport, asked.nexthop, asked.recipients) == ("local", nexthop, PEOPLE)


@pytest.mark.parametrize(
    "agent",
    [
        Agent(Status.SENT, Dsn(2, 0, 0), "250 ok"),
        looping(remote_mta="mx.x.test"),
        Agent(Status.BOUNCED, Dsn(5, 4, 6), "too many hops"),
    ],
)
def test_nothing_else_does(agent):
    local = Agent(Status.SENT, Dsn(2, 0, 0), "delivered")
    results = deliver(agent, "local", local=local)
    assert [result.text for result in results] == [agent.answer[2]] * 2
    assert local.asked == []


def test_a_transport_that_is_missing_defers():
    results = deliver(looping(), "nowhere")
    assert [(result.status, result.text) for result in results] == [(Status.DEFERRED, "mail transport unavailable")] * 2


def test_transports_that_hand_on_to_each_other_end():
    agents = {}
    agents["smtp"] = first = BestMxAgent(looping(), "relay", agents.get, LOG)
    agents["relay"] = BestMxAgent(looping(), "smtp", agents.get, LOG)
    envelope = Envelope("a@y.test", tuple(person.recipient for person in PEOPLE), 1.0, Origin("local"))
    request = DeliveryRequest("Q", "smtp", "x.test", envelope, PEOPLE, b"", MemoryContent(b""), 1.0, 1.0)
    results = asyncio.run(first.deliver(request))
    assert [(result.recipient, result.status, str(result.dsn), result.text) for result in results] == [
        (person, Status.DEFERRED, "4.3.0", "unknown mail transport error") for person in PEOPLE
    ]
