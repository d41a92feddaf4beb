"""Delivery in the session: a message with one recipient in the mailstore goes there before its 250, not to the queue.

``DirectDelivery`` stands where the queue does (``mailqueue.interface.Intake``). The mailstore's commit takes the place
of the queue's, which saves a flush, a lease, a record and a hop to the queue manager for the commonest message.

Guarantees: when ``enqueue`` returns, the message is on stable storage, in the mailbox or in the queue. What is not
delivered at once (a damaged database, a user who is gone) is queued as it is, and the queue manager tries, defers and
bounces as for any other message. A full mailbox that is found out now is refused as RCPT would have done, so that
no bounce is sent to who may not have sent it. The delivery is keyed by queue id, arrival and recipient number as
the queue manager's is, so an attempt here that was committed and yet reported as failed is not repeated there.

A message is queued when it is to be held, has several recipients (whose outcomes may differ), wants a report of success
(RFC 3461 section 4.1) or a sender of each recipient's own (VERP), goes to a content filter, to another transport or to
one of ``defer_transports``.

The log shows the lines that the queue manager and the agent would have written. Decided and measured in
``docs/adr/0014-delivery-in-the-session.md``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from angarium.agents import deliverylog
from angarium.mailqueue.interface import Intake, NewMessage
from angarium.model.delivery import DeliveryAgent, DeliveryRequest, DeliveryResult, QueuedRecipient, Status
from angarium.model.envelope import Notify
from angarium.model.error import MailError
from angarium.model.reply import Reply
from angarium.rewrite.interface import Resolution, Resolver
from angarium.runtime.log import ServiceLog

_TOO_LARGE = 3
_NO_ROOM = {(2, 2): "Mailbox is full", (2, _TOO_LARGE): "Message is too large for the mailbox"}
"""What is said to the client, by subject and detail of the agent's status (RFC 3463 section 3.3)."""


@dataclass(frozen=True, slots=True)
class DirectTransport:
    """A transport that may deliver in the session: its agent, and the log that its lines stand in."""

    agent: DeliveryAgent
    log: ServiceLog


class DirectDelivery:
    """An ``Intake`` that delivers what it can and queues the rest.

    Args:
        queue: takes what is not delivered here; also hands out the queue ids.
        resolver: finds the transport.
        transports: those that deliver into the mailstore, by service name.
        log: ``postfix/qmgr``.
        clock: seconds since the epoch.
        over_quota_reject_code: of main.cf.
    """

    def __init__(
        self,
        queue: Intake,
        resolver: Resolver,
        transports: Mapping[str, DirectTransport],
        log: ServiceLog,
        clock: Callable[[], float],
        over_quota_reject_code: int = 552,
    ) -> None:
        self._queue = queue
        self._resolver = resolver
        self._transports = transports
        self._log = log
        self._clock = clock
        self._over_quota_reject_code = over_quota_reject_code

    def allocate_id(self) -> str:
        """A queue id, of the queue behind."""
        return self._queue.allocate_id()

    async def enqueue(self, message: NewMessage) -> None:
        """Deliver, or queue. Raises what the queue raises, and MailError for a mailbox that has no room."""
        if not await self._deliver(message):
            await self._queue.enqueue(message)

    async def _deliver(self, message: NewMessage) -> bool:
        """True when the message is in its mailbox."""
        envelope = message.envelope
        if message.hold or len(envelope.recipients) != 1 or envelope.recipients[0].notify & Notify.SUCCESS:
            return False
        if envelope.expanded or envelope.content_filter or envelope.verp:  # a report of success is owed for an alias
            return False
        [recipient] = envelope.recipients
        resolution = await self._resolver.resolve(envelope.sender, recipient.address)
        if not isinstance(resolution, Resolution) or resolution.recipient != recipient.address:
            return False
        transport = self._transports.get(resolution.transport)
        if transport is None:
            return False
        if self._log.detailed:
            deliverylog.routed(self._log, message.queue_id, resolution)
        now = self._clock()
        request = DeliveryRequest(
            queue_id=message.queue_id,
            transport=resolution.transport,
            nexthop=resolution.nexthop,
            envelope=envelope,
            recipients=(QueuedRecipient(0, recipient),),
            prefix=message.prefix,
            content=message.content,
            queued=now,
            started=now,
        )
        try:
            [result] = await transport.agent.deliver(request)
        except Exception as error:  # noqa: BLE001 - an agent's fault must not cost the message its queue
            transport.log.panic(f"{message.queue_id}: {type(error).__name__}: {error}")
            return False
        if result.status is not Status.SENT:
            if (result.dsn.subject, result.dsn.detail) in _NO_ROOM:
                raise self._refusal(transport, request, result)
            return False
        deliverylog.taken_up(self._log, message.queue_id, envelope.sender, message.size, 1)
        deliverylog.outcome(transport.log, request, result)
        deliverylog.removed(self._log, message.queue_id)
        return True

    def _refusal(self, transport: DirectTransport, request: DeliveryRequest, result: DeliveryResult) -> MailError:
        """What the client hears in place of the 250, as it would have at RCPT."""
        code, detail = self._over_quota_reject_code, result.dsn.detail
        if detail == _TOO_LARGE:
            code = 552
        address = result.recipient.recipient.original or result.recipient.recipient.address
        reply = Reply.of(
            code, f"{code // 100}.2.{detail}", f"<{address}>: Recipient address rejected: {_NO_ROOM[2, detail]}"
        )
        envelope = request.envelope
        # In the name of the service that the client speaks to: what counts rejections looks there.
        self._log.child(envelope.origin.service or transport.log.tag).info(
            f"{request.queue_id}: reject: END-OF-MESSAGE from {envelope.origin.client}: {reply};"
            f" from=<{envelope.sender}> to=<{address}> proto={envelope.origin.protocol} helo=<{envelope.origin.helo}>"
        )
        return MailError(reply)
