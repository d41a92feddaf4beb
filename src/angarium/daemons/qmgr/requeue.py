"""``postsuper -r``: a queued message goes through cleanup again, and on as a new one.

What Postfix does by way of maildrop and pickup(8): the addresses that are left are rewritten and expanded anew, the
message gets a queue id of its own and a Received line before the others, its lifetime begins again; the arrival time,
the sender's wishes for reports and what is known of the client stay. The checks of cleanup are made again and choose
the content filter, milters are not asked. postsuper(1), option -r.

Guarantees: the new message takes the old one's place in one transaction; without it the old one is as it was.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace

from angarium.cleanup.interface import Cleanup
from angarium.mailqueue.interface import Attempt, MailQueue, QueuedMessage
from angarium.model.delivery import DeliveryResult, Status
from angarium.model.dsn import Dsn
from angarium.model.envelope import Envelope, Origin
from angarium.protocols.smtp.path import quote_address
from angarium.runtime.log import ServiceLog

Received = Callable[[str, Envelope], bytes]
"""The Received header of a message: of a queue id and an envelope."""


class Requeuer:
    """Requeues messages.

    Args:
        queue: where they are.
        cleanup: finishes them.
        received: makes the Received line.
        log: ``postfix/pickup``, in whose name Postfix says it.
        clock: seconds since the epoch.
    """

    def __init__(
        self,
        queue: MailQueue,
        cleanup: Cleanup,
        received: Received,
        log: ServiceLog,
        clock: Callable[[], float],
    ) -> None:
        self._queue = queue
        self._cleanup = cleanup
        self._received = received
        self._log = log
        self._clock = clock

    async def requeue(self, message: QueuedMessage) -> None:
        """Put a message that is leased back as a new one; one that is gone is left alone.

        Raises:
            MailError: cleanup refuses it, for now or for good.
            OSError: the queue cannot store it, or cannot read it.
        """
        try:
            prefix, content = await self._queue.content(message.queue_id)
        except KeyError:
            return  # deleted meanwhile
        queue_id = self._queue.allocate_id()
        uid = os.getuid()
        envelope = message.envelope
        reported = () if message.expansion_reported else envelope.expanded
        people = tuple(pending.queued.recipient for pending in message.pending)
        left = replace(envelope, recipients=people, expanded=(), content_filter="")
        self._log.info(
            f"{queue_id}: uid={uid} from=<{quote_address(envelope.sender)}> orig_id={message.queue_id}",
            queue_id=queue_id,
        )
        finished = await self._cleanup.process(queue_id, left, content)
        ours = replace(left, arrival=self._clock(), origin=Origin("local", service=self._log.tag, uid=uid))
        finished = replace(
            finished,
            envelope=replace(finished.envelope, expanded=(*reported, *finished.envelope.expanded)),
            prefix=self._received(queue_id, ours) + prefix,
        )
        if finished.discard:
            await self._queue.record_attempt(Attempt(message.queue_id, _thrown_away(message), 0.0))
        else:
            await self._queue.replace(message.queue_id, finished)


def _thrown_away(message: QueuedMessage) -> list[DeliveryResult]:
    """The results of a message that a check of cleanup wants discarded."""
    sent = Dsn(2, 0, 0)
    return [DeliveryResult(each.queued, Status.SENT, sent, "none", "discarded") for each in message.pending]
