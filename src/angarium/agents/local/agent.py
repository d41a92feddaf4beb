"""The local delivery agent of the queue manager: has a deliverer deliver, queues what is to be forwarded (local(8)).

Forwarded mail is a new message, with a Delivered-To header that ends loops; it goes through cleanup. A recipient that
became several deliveries has one result all the same, the gravest: deferred, else bounced, else sent; the others stand
beside it.

A recipient that is deferred is expanded again the next time, so that what was delivered meanwhile is delivered twice,
as with Postfix; what can be foreseen is, before anything is delivered. Forwarded mail goes out only when nothing is
deferred: so the status filter and soft_bounce are asked here, before that, and not around the agent.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Protocol

from angarium.agents.local.deliverer import Part
from angarium.cleanup.interface import Cleanup
from angarium.mailqueue.interface import Intake
from angarium.model.content import MemoryContent
from angarium.model.delivery import CIRCLES, DeliveryAgent, DeliveryRequest, DeliveryResult, QueuedRecipient, Status
from angarium.model.dsn import Dsn
from angarium.model.envelope import Forwarded, Origin, Recipient
from angarium.model.error import MailError
from angarium.runtime.log import ServiceLog

RELAY = "local"
_GRAVEST = (Status.DEFERRED, Status.BOUNCED, Status.SENT)


_FORWARDED = Forwarded(local=False)
"""Forwarded mail has had its headers completed when it came in, if anybody's business it was."""


class Deliverer(Protocol):
    """Delivers what a plan says; ``deliverer.LocalDeliverer``, or one in another process."""

    async def deliver(self, request: DeliveryRequest) -> Sequence[Sequence[Part]]:
        """The parts of each recipient, in the order of the request."""
        ...


class LocalAgent:
    """``model.delivery.DeliveryAgent`` for system users.

    Args:
        deliverer: who delivers.
        queue: where forwarded mail goes.
        cleanup: finishes it.
        log: ``postfix/local``.
        clock: seconds since the epoch.
        prepends: forwarded mail gets a Delivered-To header (prepend_delivered_header).
        others: the agent of another transport of master.cf (mailbox_transport, fallback_transport).
        status: local_delivery_status_filter; None: there is none.
        soft_bounce: what would be returned is tried again.
    """

    def __init__(
        self,
        deliverer: Deliverer,
        queue: Intake,
        cleanup: Cleanup,
        log: ServiceLog,
        clock: Callable[[], float] = time.time,
        *,
        prepends: bool = True,
        others: Callable[[str], DeliveryAgent | None] = lambda _name: None,
        status: Callable[[DeliveryResult], Awaitable[DeliveryResult]] | None = None,
        soft_bounce: bool = False,
    ) -> None:
        self._deliverer = deliverer
        self._queue = queue
        self._cleanup = cleanup
        self._log = log
        self._clock = clock
        self._prepends = prepends
        self._others = others
        self._status = status
        self._soft_bounce = soft_bounce

    async def deliver(self, request: DeliveryRequest) -> Sequence[DeliveryResult]:
        """Deliver to each recipient; one result each."""
        started = self._clock()
        told = await self._deliverer.deliver(request)
        return [
            await self._conclude(request, queued, parts, started)
            for queued, parts in zip(request.recipients, told, strict=True)
        ]

    async def _conclude(
        self, request: DeliveryRequest, queued: QueuedRecipient, parts: Sequence[Part], started: float
    ) -> DeliveryResult:
        results: list[DeliveryResult] = []
        for part in parts:
            if part.transport:
                results.append(await self._put(await self._pass_on(request, queued, part, started)))
            elif not part.forward:
                results.append(await self._put(self._result(queued, part, started)))
        if all(result.status is not Status.DEFERRED for result in results):  # else all of it is tried again
            forwarded = [await self._forward(request, queued, part) for part in parts if part.forward]
            results += [await self._put(self._result(queued, part, started)) for part in forwarded]
        gravest = min(results, key=lambda result: _GRAVEST.index(result.status))
        others = tuple(result for result in results if result is not gravest)
        return replace(gravest, others=others) if others else gravest

    async def _put(self, result: DeliveryResult) -> DeliveryResult:
        """An outcome as the administrator wants it."""
        if self._status is not None:
            result = await self._status(result)
        if self._soft_bounce and result.status is Status.BOUNCED:
            return replace(result, status=Status.DEFERRED, dsn=result.dsn.with_class(4))
        return result

    async def _pass_on(
        self, request: DeliveryRequest, queued: QueuedRecipient, part: Part, started: float
    ) -> DeliveryResult:
        """Have another transport deliver it."""
        agent = self._others(part.transport)
        asked = request.handed_on(part.transport, part.nexthop, (self._renamed(queued, part),))
        if agent is None or asked is None:
            if agent is None:
                self._log.warning(f"{request.queue_id}: no transport {part.transport} that could take mail from local")
                text = "mail transport unavailable"
            else:
                self._log.warning(request.circle(part.transport))
                text = CIRCLES
            failed = replace(part, status=Status.DEFERRED, dsn=Dsn(4, 3, 0), text=text)
            return replace(self._result(queued, failed, started), relay="none")
        (result,) = await agent.deliver(asked)
        return replace(result, transport=part.transport)

    def _result(self, queued: QueuedRecipient, part: Part, started: float) -> DeliveryResult:
        return DeliveryResult(
            recipient=self._renamed(queued, part),
            status=part.status,
            dsn=part.dsn,
            relay=RELAY,
            text=part.text,
            agent_ready=started,
            connected=started,
            finished=self._clock(),
            command_output=part.output,
            owner=part.owner,
        )

    @staticmethod
    def _renamed(queued: QueuedRecipient, part: Part) -> QueuedRecipient:
        """The recipient under the address that an alias gave him; below an owner- alias he has had no other."""
        recipient = queued.recipient
        if part.sender is not None and not part.forward:
            return replace(queued, recipient=replace(recipient, address=part.address, original="", orcpt=""))
        if part.address == recipient.address:
            return queued
        original = recipient.original or recipient.address
        return replace(queued, recipient=replace(recipient, address=part.address, original=original))

    async def _forward(self, request: DeliveryRequest, queued: QueuedRecipient, part: Part) -> Part:
        """Queue a new message; the part as it ended."""
        try:
            queue_id = await self._enqueue(request, queued, part)
        except MailError as error:
            self._log.warning(f"{request.queue_id}: cannot forward: {error}")
            code = error.reply.dsn or Dsn(4 if error.temporary else 5, 3, 0)
            status = Status.DEFERRED if error.temporary else Status.BOUNCED
            return replace(part, status=status, dsn=code, text="unable to forward message")
        except OSError as error:
            self._log.warning(f"{request.queue_id}: cannot forward: {error}")
            return replace(part, status=Status.DEFERRED, dsn=Dsn(4, 3, 0), text="unable to forward message")
        return replace(part, text=f"forwarded as {queue_id}")

    async def _enqueue(self, request: DeliveryRequest, queued: QueuedRecipient, part: Part) -> str:
        recipient = queued.recipient
        original = "" if part.sender is not None else recipient.original or recipient.address
        people = tuple(
            Recipient(
                address, original or address, recipient.notify, "" if part.sender is not None else recipient.orcpt
            )
            for address in part.forward
        )
        sender = request.envelope.sender if part.sender is None else part.sender
        ours = replace(
            request.envelope,
            sender=sender,
            recipients=people,
            arrival=self._clock(),
            origin=Origin("local", service=self._log.tag, forwarded=_FORWARDED),
            expanded=(),
            content_filter="",
        )
        delivered = f"Delivered-To: {(part.delivered or recipient.address).lower()}\r\n" if self._prepends else ""
        queue_id = self._queue.allocate_id()
        data = delivered.encode("utf-8", "surrogateescape") + request.prefix + request.content.read()
        finished = await self._cleanup.process(queue_id, ours, MemoryContent(data))
        if not finished.discard:
            await self._queue.enqueue(finished)
        return queue_id
