"""discard(8)."""

from __future__ import annotations

import asyncio

from angarium.agents.discard.main import DiscardAgent
from angarium.model.content import MemoryContent
from angarium.model.delivery import DeliveryRequest, QueuedRecipient, Status
from angarium.model.envelope import Envelope, Origin, Recipient


def test_each_recipient_is_told_sent():
    recipient = Recipient("a@x", "a@x")
    envelope = Envelope("s@x", (recipient,), 0.0, Origin("ESMTP"))
    request = DeliveryRequest(
        "QID", "discard", "gone", envelope, (QueuedRecipient(0, recipient),), b"", MemoryContent(b""), 0.0, 0.0
    )
    (result,) = asyncio.run(DiscardAgent(clock=lambda: 1.0).deliver(request))
    assert (result.status, str(result.dsn), result.text, result.relay) == (Status.SENT, "2.0.0", "gone", "none")
