"""error(8) and retry."""

from __future__ import annotations

import asyncio

import pytest

from angarium.agents.error.main import ErrorAgent
from angarium.model.content import MemoryContent
from angarium.model.delivery import DeliveryRequest, QueuedRecipient, Status
from angarium.model.envelope import Envelope, Origin, Recipient


def deliver(agent, nexthop):
    recipients = tuple(Recipient(address, address) for address in ("a@x", "b@x"))
    envelope = Envelope("s@x", recipients, 0.0, Origin("ESMTP"))
    queued = tuple(QueuedRecipient(number, item) for number, item in enumerate(recipients))
    request = DeliveryRequest("QID", "error", nexthop, envelope, queued, b"", MemoryContent(b""), 0.0, 0.0)
    return asyncio.run(agent.deliver(request))


@pytest.mark.parametrize(
    ("temporary", "nexthop", "status", "dsn", "text"),
    [
        (False, "5.7.1 this domain is closed", Status.BOUNCED, "5.7.1", "this domain is closed"),
        (False, "4.7.1 x", Status.BOUNCED, "5.7.1", "x"),
        (False, "no mail here", Status.BOUNCED, "5.0.0", "no mail here"),
        (False, "450 x", Status.BOUNCED, "5.0.0", "450 x"),
        (True, "4.4.1 try again later", Status.DEFERRED, "4.4.1", "try again later"),
        (True, "later", Status.DEFERRED, "4.0.0", "later"),
    ],
)
def test_each_recipient_fails_with_the_nexthop(temporary, nexthop, status, dsn, text):
    results = deliver(ErrorAgent(temporary=temporary, clock=lambda: 1.0), nexthop)
    assert [item.recipient.number for item in results] == [0, 1]
    assert {(item.status, str(item.dsn), item.text, item.relay) for item in results} == {(status, dsn, text, "none")}
