"""A message in the active queue: what the queue manager knows of it between the lease and the record."""

from __future__ import annotations

from dataclasses import replace

from angarium.daemons.qmgr.scheduler import Delivery
from angarium.mailqueue.interface import QueuedMessage
from angarium.model.content import Content, MemoryContent
from angarium.model.delivery import DeliveryRequest, DeliveryResult, Status
from angarium.model.envelope import Notify
from angarium.model.verp import verp_sender

_NOTHING = MemoryContent(b"")


class ActiveMessage:
    """One leased message with its deliveries under way and the results so far.

    Attributes:
        message: as it was leased.
        started: seconds since the epoch when it was taken up.
        outstanding: deliveries that have not ended, waiting ones included.
        results: of the deliveries that have.
        recorded: how many of ``results`` the queue knows already.
        requeue_failed: it was to be requeued, and could not be.
        verp: the delimiters when each recipient gets it with a sender of his own, else empty.
    """

    __slots__ = ("message", "outstanding", "recorded", "requeue_failed", "results", "started", "verp")

    def __init__(self, message: QueuedMessage, started: float) -> None:
        self.message = message
        self.started = started
        self.outstanding = 0
        self.results: list[DeliveryResult] = []
        self.recorded = 0
        self.requeue_failed = False
        self.verp = message.envelope.verp if message.envelope.sender else ""

    def request(self, delivery: Delivery, prefix: bytes = b"", content: Content = _NOTHING) -> DeliveryRequest:
        """What an agent is asked for; without prefix and content it is for the log alone."""
        message = self.message
        envelope = message.envelope
        if self.verp:
            recipient = delivery.recipients[0].recipient
            envelope = replace(envelope, sender=verp_sender(self.verp, envelope.sender, recipient), verp="")
        return DeliveryRequest(
            message.queue_id,
            delivery.transport,
            delivery.nexthop,
            envelope,
            delivery.recipients,
            prefix,
            content,
            message.queued,
            self.started,
        )

    def recordable(self) -> list[DeliveryResult]:
        """Results that may be recorded before the attempt is over: those that owe the sender no notice.

        What is bounced, or sent with a success report due, is recorded together with its notice alone; until then a
        crash makes it be tried again.
        """
        fresh = self.results[self.recorded :]
        self.recorded = len(self.results)
        return [
            result
            for result in fresh
            if all(each.status is Status.SENT for each in result.each())
            and not result.recipient.recipient.notify & Notify.SUCCESS
        ]

    def of(self, status: Status) -> list[DeliveryResult]:
        """The results with that status, those of a recipient's other destinations among them."""
        return [each for result in self.results for each in result.each() if each.status is status]
