"""bounce(8): makes the notices of an attempt, which enter the queue together with the attempt's record.

Who hears of what: the sender of failures (unless NOTIFY forbids it), of delays, and of successes when NOTIFY asks for
them (RFC 3461 section 4.1); the null sender of nothing, so no notice is ever answered by another. ``notify_classes``
adds the postmaster: ``bounce`` and ``delay`` send the headers, ``2bounce`` the mail that had no sender to go back to.
Notices to the postmaster come from ``double_bounce_sender``; one of those that fails is thrown away.

Returned is the message, or its header alone: when the sender wants that (RET=HDRS), when it is over
``bounce_size_limit``, and in all but reports of failure.

Failures of a message with a sender for each recipient (VERP) are reported one by one, each to its recipient's sender,
unless ``disable_verp_bounces`` says otherwise; all else is told to the message's own sender, and reports show him.

Fails with MailError (cleanup refuses the notice) or OSError; the recipients then stay in the queue.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from angarium.agents.bounce.interface import NO_AGENT, Event, Notice, is_expansion
from angarium.agents.bounce.parameters import BounceParameters
from angarium.agents.bounce.templates import Template, expand
from angarium.cleanup.headers import HeaderBlock
from angarium.cleanup.interface import Cleanup
from angarium.cleanup.received import mail_date, message_id, quote_local
from angarium.mailqueue.interface import QueuedMessage
from angarium.model.content import Content, MemoryContent
from angarium.model.delivery import DeliveryResult, Status
from angarium.model.envelope import BodyType, Envelope, Notify, Origin, Recipient, Ret
from angarium.model.verp import verp_sender
from angarium.protocols.dsn import Notification, RecipientStatus, Report, Returned, render_notification
from angarium.runtime.log import ServiceLog

_LONGEST_ID = 900
"""Of a message id that may stand in a header of ours, whose lines have 998 octets at most (RFC 5322 section 2.1.1)."""

_ORIGIN = Origin("local", "localhost", service="postfix/bounce")
_WANTED = {
    Event.FAILURE: (Notify.FAILURE, True),
    Event.DELAY: (Notify.DELAY, True),
    Event.SUCCESS: (Notify.SUCCESS, False),
    Event.TRACE: (~Notify.UNSAID, True),
}
"""Which bit of NOTIFY asks for an event, and whether the sender hears of it without NOTIFY."""


class BounceService:
    """Makes notices (``interface.Reporter``).

    Args:
        parameters: of main.cf.
        cleanup: finishes the notice as it does any message.
        allocate_id: ``MailQueue.allocate_id``.
        log: ``postfix/bounce``.
        clock: seconds since the epoch.
    """

    def __init__(
        self,
        parameters: BounceParameters,
        cleanup: Cleanup,
        allocate_id: Callable[[], str],
        log: ServiceLog,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._parameters = parameters
        self._cleanup = cleanup
        self._allocate_id = allocate_id
        self._log = log
        self._clock = clock

    async def report(
        self,
        event: Event,
        message: QueuedMessage,
        prefix: bytes,
        content: Content,
        results: Sequence[DeliveryResult],
    ) -> Sequence[Notice]:
        """The notices that are due."""
        parameters = self._parameters
        sender = message.envelope.sender
        if sender.lower() == parameters.double_bounce_address.lower():
            if event is Event.FAILURE:
                self._log.warning(f"{message.queue_id}: undeliverable postmaster notification discarded")
            return []
        letter = _Letter(parameters, event, message, prefix, content, self._clock())
        verp = message.envelope.verp if event is Event.FAILURE and not parameters.disable_verp_bounces else ""
        notices: list[Notice] = []
        if verp and sender:
            for result in results:
                target = verp_sender(verp, sender, result.recipient.recipient)
                notices += await self._told(letter, target, (result,))
        else:
            notices += await self._told(letter, sender, results)
        return [notice for notice in notices if not notice.message.discard]  # which a check of cleanup may want

    async def _told(self, letter: _Letter, sender: str, results: Sequence[DeliveryResult]) -> list[Notice]:
        """The notices to one sender, and to the postmaster, about some recipients."""
        parameters = self._parameters
        classes = parameters.notify_classes
        event = letter.event
        notices: list[Notice] = []
        wanted = [result for result in results if _wants(event, result)]
        if sender and wanted:
            whole = event is Event.FAILURE and letter.message.envelope.ret is not Ret.HDRS
            notices.append(await self._notice(letter, "", sender, wanted, whole=whole, to_postmaster=False))
        if event is Event.FAILURE and not sender:
            if classes & {"2bounce", "bounce"}:
                target = parameters.second_bounce_notice_recipient
                notices.append(await self._copy(letter, target, results, whole=True))
        elif event is Event.FAILURE and "bounce" in classes:
            notices.append(await self._copy(letter, parameters.bounce_notice_recipient, results, whole=False))
        elif event is Event.DELAY and "delay" in classes:
            notices.append(await self._copy(letter, parameters.delay_notice_recipient, results, whole=False))
        return notices

    async def _copy(self, letter: _Letter, target: str, results: Sequence[DeliveryResult], *, whole: bool) -> Notice:
        sender = self._parameters.double_bounce_address
        return await self._notice(letter, sender, target, results, whole=whole, to_postmaster=True)

    async def _notice(
        self,
        letter: _Letter,
        sender: str,
        target: str,
        results: Sequence[DeliveryResult],
        *,
        whole: bool,
        to_postmaster: bool,
    ) -> Notice:
        queue_id = self._allocate_id()
        now = self._clock()
        original = letter.message.envelope
        envelope = Envelope(
            sender,
            (Recipient(target, target),),
            now,
            _ORIGIN,
            body=BodyType.EIGHTBITMIME,
            smtputf8=original.smtputf8,
        )
        data = letter.render(queue_id, target, results, whole=whole, to_postmaster=to_postmaster)
        finished = await self._cleanup.process(queue_id, envelope, MemoryContent(data))
        who = "postmaster" if to_postmaster else "sender"
        return Notice(finished, f"{who} {letter.event.noun}")


def _wants(event: Event, result: DeliveryResult) -> bool:
    bit, unsaid = _WANTED[event]
    notify = result.recipient.recipient.notify
    return bool(notify & bit) or (unsaid and notify is Notify.UNSAID)


class _Letter:
    """What the notices of one event have in common."""

    def __init__(
        self,
        parameters: BounceParameters,
        event: Event,
        message: QueuedMessage,
        prefix: bytes,
        content: Content,
        now: float,
    ) -> None:
        self.event = event
        self.message = message
        self._parameters = parameters
        self._template: Template = parameters.templates[event]
        self._prefix = prefix
        self._content = content
        self._now = now
        self._sender = message.envelope.sender or f"MAILER-DAEMON@{parameters.myhostname}"

    def render(
        self, queue_id: str, target: str, results: Sequence[DeliveryResult], *, whole: bool, to_postmaster: bool
    ) -> bytes:
        """The notice's header and body."""
        parameters = self._parameters
        template = self._template
        host = parameters.myhostname
        header = HeaderBlock.read(self._content)
        address, name = template.sender
        address = parameters.complete(address)
        return render_notification(
            Notification(
                date=mail_date(int(self._now)),
                sender_header=f"{name} <{address}>" if name else address,
                subject=template.postmaster_subject if to_postmaster else template.subject,
                to=quote_local(parameters.complete(target)),
                auto_submitted="auto-generated" if to_postmaster else "auto-replied",
                message_id=message_id(queue_id, host, self._now),
                boundary=f"{self.message.queue_id}.{int(self._now)}/{host}",
                text="" if to_postmaster else expand(template.text, parameters.value),
                charset=template.charset,
                explanations=tuple(self._explain(result) for result in results),
                report=self._report(results),
                returned=self._returned(header, whole=whole),
                references=self._references(header),
            )
        )

    def _references(self, header: HeaderBlock) -> str:
        if not self._parameters.enable_threaded_bounces:
            return ""
        value = header.value(b"message-id") or ""
        fits = value.startswith("<") and value.endswith(">") and value.isprintable() and len(value) <= _LONGEST_ID
        return value if fits else ""

    def _returned(self, header: HeaderBlock, *, whole: bool) -> Returned:
        path = f"Return-Path: <{quote_local(self._sender)}>\r\n".encode("utf-8", "surrogateescape") + self._prefix
        if whole and self.message.size <= self._parameters.bounce_size_limit:
            return Returned(path + self._content.read(), whole=True, description=self._template.returned)
        raw = header.raw
        limit = self._parameters.bounce_size_limit
        if len(raw) > limit:
            raw = raw[: raw.rfind(b"\n", 0, limit) + 1]
        return Returned(path + raw, whole=False, description=self._template.returned)

    def _explain(self, result: DeliveryResult) -> str:
        recipient = result.recipient.recipient
        origin = f" (expanded from <{quote_local(recipient.original)}>)" if _aliased(recipient) else ""
        return f"<{quote_local(recipient.address)}>{origin}: {self._text(result)}"

    def _text(self, result: DeliveryResult) -> str:
        if self.event in (Event.FAILURE, Event.DELAY) or result.relay == NO_AGENT:
            return result.text
        return f"delivery via {result.relay}: {result.text}"

    def _report(self, results: Sequence[DeliveryResult]) -> Report:
        message = self.message
        return Report(
            reporting_mta=self._parameters.myhostname,
            queue_id=message.queue_id,
            sender=quote_local(self._sender),
            arrival_date=mail_date(int(message.envelope.arrival)),
            recipients=tuple(self._status(result) for result in results),
            envelope_id=message.envelope.envid,
            smtputf8=message.envelope.smtputf8,
        )

    def _status(self, result: DeliveryResult) -> RecipientStatus:
        recipient = result.recipient.recipient
        until = ""
        kind = "smtp" if result.remote_reply else "x-unix" if result.command_output else "X-Postfix"
        if self.event is Event.DELAY:
            until = mail_date(int(self.message.envelope.arrival + self._parameters.maximal_queue_lifetime))
        return RecipientStatus(
            final=quote_local(recipient.address),
            action=self._action(result),
            status=str(result.dsn),
            diagnostic_type=kind,
            diagnostic=result.remote_reply or result.command_output or self._text(result),
            original=recipient.orcpt or (f"rfc822;{quote_local(recipient.original)}" if recipient.original else ""),
            remote_mta=result.remote_mta,
            will_retry_until=until,
        )

    def _action(self, result: DeliveryResult) -> str:
        if self.event is Event.FAILURE or result.status is Status.BOUNCED:
            return "failed"
        if self.event is Event.DELAY or result.status is Status.DEFERRED:
            return "delayed"
        if is_expansion(result):
            return "expanded"
        return "relayed" if result.relayed or (result.remote_mta and not result.final) else "delivered"


def _aliased(recipient: Recipient) -> bool:
    return bool(recipient.original) and recipient.original.lower() != recipient.address.lower()
