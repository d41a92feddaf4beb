"""The end of an attempt: what is recorded, who is told, when the next one is.

Guarantees: the outcome and the notices that it owes enter the queue in one transaction, and only then are they
logged. A notice that cannot be made, and a record that cannot be written, keep the message in the queue. A fault of
ours in making the record leaves out one thing after another, notices and bounces first, what was delivered last: the
message is then deferred, and not stuck.

Follows qmgr(8) (retry times, lifetimes), RFC 5321 section 4.5.4.1 and RFC 3461 section 5.2.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from angarium.agents import deliverylog
from angarium.agents.bounce.interface import Event, Notice, Reporter, expansion
from angarium.daemons.qmgr.active import ActiveMessage
from angarium.daemons.qmgr.parameters import QmgrParameters
from angarium.mailqueue.interface import Attempt, MailQueue, QueuedMessage
from angarium.model.delivery import DeliveryResult, Status
from angarium.model.dsn import Dsn
from angarium.model.envelope import Notify
from angarium.protocols.smtp.path import quote_address
from angarium.runtime.log import ServiceLog

RETRY_QUEUE = 5.0
"""Seconds until a queue that could not be used is tried again."""

_LONGEST_PAUSE = 60.0
_SYSTEM_FAILURE = Dsn(4, 3, 0)


class Conclusion:
    """Concludes attempts.

    Args:
        parameters: of main.cf.
        queue: where they are recorded.
        reporter: makes the notices.
        log: ``postfix/qmgr``.
        clock: seconds since the epoch.

    Attributes:
        ending: the queue manager drains: what cannot be recorded now is left to its successor.
    """

    def __init__(
        self,
        parameters: QmgrParameters,
        queue: MailQueue,
        reporter: Reporter,
        log: ServiceLog,
        clock: Callable[[], float],
    ) -> None:
        self._parameters = parameters
        self._queue = queue
        self._reporter = reporter
        self._log = log
        self._bounce_log = log.child(log.tag.rpartition("/")[0] + "/bounce")
        self._clock = clock
        self.ending = False

    async def conclude(self, active: ActiveMessage) -> bool:
        """Record the attempt and log what it came to; whether notices entered the queue.

        Raises:
            OSError: it cannot be recorded, and there is no time to wait.
        """
        now = self._clock()
        message = active.message
        expired = self._expire(active, now)
        notices, warned = await self._notices(active, now)
        attempt = Attempt(
            message.queue_id,
            active.results,
            now + self._backoff(now - message.queued),
            [notice.message for notice in notices],
            warned=warned,
            expansion_reported=bool(notices) and bool(message.envelope.expanded),
            requeue_failed=active.requeue_failed,
        )
        removed, recorded = await self._record(attempt)
        if expired and active.of(Status.BOUNCED):
            sender = quote_address(message.envelope.sender)
            self._log.info(f"{message.queue_id}: from=<{sender}>, status={expired}, returned to sender")
        self._tell(message.queue_id, notices if recorded.notices else ())
        if removed:
            deliverylog.removed(self._log, message.queue_id)
        return bool(recorded.notices)

    async def conclude_part(self, active: ActiveMessage) -> None:
        """Record what is decided of an attempt that ends early, with the notices that it owes; the rest is given back.

        Without this, whoever asked for a report of success would get the message again from the next queue manager.

        Raises:
            OSError: it cannot be recorded.
        """
        decided = ActiveMessage(active.message, active.started)
        decided.results = [result for result in active.results if result.status is not Status.DEFERRED]
        if not decided.results:
            return
        notices, _late = await self._notices(decided, self._clock())
        attempt = Attempt(
            active.message.queue_id,
            [result for result in decided.results if result.status is not Status.DEFERRED],
            0.0,
            [notice.message for notice in notices],
            final=False,
            expansion_reported=bool(notices) and bool(active.message.envelope.expanded),
        )
        await self._queue.record_attempt(attempt)
        self._tell(active.message.queue_id, notices)

    def _tell(self, queue_id: str, notices: Sequence[Notice]) -> None:
        for notice in notices:
            self._bounce_log.info(f"{queue_id}: {notice.text}: {notice.message.queue_id}")

    async def _record(self, attempt: Attempt) -> tuple[bool, Attempt]:
        """Record the end of an attempt, however long the disk is full: nothing may be forgotten.

        Returns:
            whether the message was removed, and what was recorded.
        """
        pause = RETRY_QUEUE
        while True:
            try:
                return await self._queue.record_attempt(attempt), attempt
            except OSError as error:
                self._log.error(f"{attempt.queue_id}: cannot record the attempt, will try again: {error}")
                if self.ending:
                    raise
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)  # thousands of messages may be waiting here
            except Exception as error:  # a fault of ours
                self._log.panic(f"{attempt.queue_id}: cannot record the attempt: {type(error).__name__}: {error}")
                if not attempt.results:
                    raise
                delivered = [result for result in attempt.results if result.status is Status.SENT]
                again = len(delivered) == len(attempt.results) and not attempt.notices
                attempt = Attempt(
                    attempt.queue_id,
                    () if again else delivered,
                    attempt.next_attempt,
                    requeue_failed=attempt.requeue_failed,
                )

    def _backoff(self, age: float) -> float:
        """How long to wait: as long as the message is old, within bounds (qmgr(8), minimal_backoff_time)."""
        return min(max(age, self._parameters.minimal_backoff_time), self._parameters.maximal_backoff_time)

    def _expire(self, active: ActiveMessage, now: float) -> str:
        """Turn deferred results into bounces when the message has been here too long; the word for the log."""
        message = active.message
        parameters = self._parameters
        lifetime = parameters.maximal_queue_lifetime if message.envelope.sender else parameters.bounce_queue_lifetime
        if message.forced_expire:
            word = "force-expired"
        elif now > message.queued + lifetime:
            word = "expired"
        else:
            return ""
        if not active.of(Status.DEFERRED):
            return ""
        active.results = [_mapped(result, _returned) for result in active.results]
        return word

    async def _notices(self, active: ActiveMessage, now: float) -> tuple[list[Notice], bool]:
        """What the sender is to be told; and whether a delay warning is among it."""
        message = active.message
        bounced = active.of(Status.BOUNCED)
        sent = [
            result
            for result in active.of(Status.SENT)
            if result.recipient.recipient.notify & Notify.SUCCESS and not result.relayed_dsn
        ]
        if self._parameters.confirm_delay_cleared and message.warned:
            sent += [_relieved(result) for result in active.of(Status.SENT) if _wants_relief(result)]
        if message.envelope.expanded and not message.expansion_reported:
            sent = [*map(expansion, message.envelope.expanded), *sent]
        deferred = active.of(Status.DEFERRED)
        delay = self._parameters.delay_warning_time
        late = bool(deferred) and 0 < delay < now - message.queued and not message.warned
        first = message.envelope.traced and message.attempts <= 1
        traced = [each for result in active.results for each in result.each()] if first else []
        if not (bounced or sent or late or traced):
            return [], False
        due = [
            (Event.FAILURE, bounced),
            (Event.SUCCESS, sent),
            (Event.DELAY, deferred if late else []),
            (Event.TRACE, traced),
        ]
        try:
            prefix, content = await self._queue.content(message.queue_id)
            notices: list[Notice] = []
            for event, results in due:
                for told, part in _addressed(event, message, results):
                    notices += await self._reporter.report(event, told, prefix, content, part)
        except KeyError:
            return [], False  # deleted by the administrator meanwhile: nothing will be recorded either
        except Exception as error:  # noqa: BLE001 - MailError and OSError, or a fault of ours: no bounce may be lost
            self._log.warning(f"{message.queue_id}: cannot make a notification: {error}")
            active.results = [_mapped(result, _unreported) for result in active.results]
            return [], False
        return notices, late


def _returned(result: DeliveryResult) -> DeliveryResult:
    return replace(result, status=Status.BOUNCED) if result.status is Status.DEFERRED else result


def _unreported(result: DeliveryResult) -> DeliveryResult:
    """A recipient whose failure cannot be told stays, whatever became of his other destinations."""
    if all(each.status is not Status.BOUNCED for each in result.each()):
        return result
    return replace(result, status=Status.DEFERRED, dsn=_SYSTEM_FAILURE, text="bounce or trace service failure")


def _mapped(result: DeliveryResult, change: Callable[[DeliveryResult], DeliveryResult]) -> DeliveryResult:
    """A result with its others changed."""
    changed = change(result)
    return replace(changed, others=tuple(map(change, changed.others))) if changed.others else changed


def _addressed(
    event: Event, message: QueuedMessage, results: Sequence[DeliveryResult]
) -> Iterator[tuple[QueuedMessage, Sequence[DeliveryResult]]]:
    """Results by who is told of them: the sender, and of failures in their lists the owners of those."""
    owners = dict.fromkeys(result.owner if event is Event.FAILURE else "" for result in results)
    for owner in owners:
        part = results if len(owners) == 1 else [result for result in results if result.owner == owner]
        envelope = message.envelope
        yield replace(message, envelope=replace(envelope, sender=owner, verp="")) if owner else message, part


def _wants_relief(result: DeliveryResult) -> bool:
    """Who would hear of a delay, and is not told of the success for another reason, is told that it is over."""
    notify = result.recipient.recipient.notify
    return notify is Notify.UNSAID or (bool(notify & Notify.DELAY) and not notify & Notify.SUCCESS)


def _relieved(result: DeliveryResult) -> DeliveryResult:
    """A result that is reported as if a report of success had been asked for."""
    queued = result.recipient
    recipient = replace(queued.recipient, notify=queued.recipient.notify | Notify.SUCCESS)
    return replace(result, recipient=replace(queued, recipient=recipient))
