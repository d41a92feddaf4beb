"""``sendmail -bv``: a report by mail of what would become of mail to some addresses; nothing is delivered.

Aliases are expanded, each address is resolved and looked up as RCPT would do it. Other servers are not asked: for
their addresses the report says where the mail would go.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from angarium.cleanup.process import CleanupService
from angarium.cleanup.received import mail_date, message_id, quote_local
from angarium.mailqueue.interface import MailQueue
from angarium.model.content import MemoryContent
from angarium.model.delivery import DeliveryResult
from angarium.model.envelope import Envelope, Origin, Recipient
from angarium.model.lookup import TemporaryError
from angarium.policy.evaluation import Evaluation, Subject
from angarium.policy.interface import Facts
from angarium.policy.parameters import PolicyParameters
from angarium.policy.recipients import RecipientTables
from angarium.protocols.dsn import Notification, RecipientStatus, Report, Returned, render_notification
from angarium.runtime.log import ServiceLog
from angarium.tables.matchlist import MatchList
from angarium.tables.opener import TableOpener

_TEXT = """\
This is the mail system at host {host}.

Enclosed is the mail delivery report that you requested.

                   The mail system
"""
_MAILBOX_TRANSPORTS = frozenset({"virtual", "local"})


@dataclass(frozen=True, slots=True)
class Finding:
    """What would become of mail to one address."""

    recipient: Recipient
    transport: str
    dsn: str
    text: str

    @property
    def action(self) -> str:
        """The word of the report and of the log."""
        return "deliverable" if self.dsn.startswith("2") else "undeliverable"

    @property
    def said(self) -> str:
        """What the report says of it."""
        return f"delivery via {self.transport}: {self.text}"

    @property
    def who(self) -> str:
        """The recipient, and what he has been before."""
        address, original = quote_local(self.recipient.address), quote_local(self.recipient.original)
        return f"<{address}>" + (
            f" (expanded from <{original}>)" if original.lower() not in ("", address.lower()) else ""
        )


Become = Callable[[str, Envelope], Awaitable[Sequence[DeliveryResult]]]
"""``(transport, envelope of one recipient)`` -> what would become of it; nothing: the transport cannot be asked."""


class Verifier:
    """Makes the reports.

    Args:
        parameters: the tables that know our addresses, and the texts of refusals.
        cleanup: expands aliases, finishes the report.
        opener: opens tables.
        queue: takes the report.
        log: of pickup.
        clock: seconds since the epoch.
        ask: asks a transport that knows more than its tables say.
    """

    def __init__(
        self,
        parameters: PolicyParameters,
        cleanup: CleanupService,
        opener: TableOpener,
        queue: MailQueue,
        log: ServiceLog,
        clock: Callable[[], float] = time.time,
        ask: Become | None = None,
    ) -> None:
        self._parameters = parameters
        self._cleanup = cleanup
        self._tables = RecipientTables(parameters, opener, cleanup.resolver.is_own)
        self._nobody = MatchList("mynetworks", (), opener)
        self._queue = queue
        self._log = log
        self._clock = clock
        self._ask = ask

    async def report(self, sender: str, recipients: tuple[str, ...]) -> None:
        """Look the addresses up and mail the report to ``sender``. Raises MailError, OSError."""
        now = self._clock()
        origin = Origin("local", service="postfix/bounce")
        asked = Envelope(sender, tuple(Recipient(each, each) for each in recipients), now, origin)
        probe_id = self._queue.allocate_id()
        people = await self._cleanup.final_recipients(asked)
        findings = [found for each in people for found in await self._look(each, sender)]
        for each in findings:
            original = each.recipient.original
            aliased = original and original.lower() != each.recipient.address.lower()
            way = f" orig_to=<{quote_local(original)}>," if aliased else ""
            self._log.child(f"postfix/{each.transport}").info(
                f"{probe_id}: to=<{quote_local(each.recipient.address)}>,{way} relay={each.transport}, "
                f"delay=0, delays=0/0/0/0, dsn={each.dsn}, status={each.action} ({each.text})",
                queue_id=probe_id,
            )
        queue_id = self._queue.allocate_id()
        data = self._render(probe_id, queue_id, sender, findings, now)
        target = Envelope("", (Recipient(sender, sender),), now, origin)
        message = await self._cleanup.process(queue_id, target, MemoryContent(data))
        await self._queue.enqueue(message)
        text = f"{probe_id}: sender delivery status notification: {queue_id}"
        self._log.child("postfix/bounce").info(text, queue_id=probe_id)

    async def _look(self, recipient: Recipient, sender: str) -> Sequence[Finding]:
        facts = Facts("localhost", "127.0.0.1", sender="", recipient=recipient.address)
        resolver = self._cleanup.resolver
        evaluation = Evaluation(facts, self._parameters, resolver, self._nobody, subject=Subject.RECIPIENT)
        way = await evaluation.resolve(recipient.address)
        if isinstance(way, TemporaryError):
            return [Finding(recipient, "error", "4.3.0", f"{way.source}: {way.cause}")]
        asked = Envelope(sender, (recipient,), self._clock(), Origin("local"))
        told = await self._ask(way.transport, asked) if self._ask is not None else ()
        if told:
            return [Finding(each.recipient.recipient, each.relay, str(each.dsn), each.text) for each in told]
        refusal = await self._tables.check(evaluation, recipient.address, verb="sendmail -bv")
        if refusal is not None and refusal.reply is not None:
            text = refusal.reply.lines[0].partition(" rejected: ")
            return [Finding(recipient, way.transport, str(refusal.reply.dsn), text[2] or text[0])]
        if way.transport in _MAILBOX_TRANSPORTS:
            return [Finding(recipient, way.transport, "2.0.0", "delivers to mailbox")]
        return [Finding(recipient, way.transport, "2.0.0", f"goes to {way.nexthop} ({way.reason})")]

    def _render(self, probe_id: str, queue_id: str, sender: str, findings: list[Finding], now: float) -> bytes:
        host = self._parameters.myhostname
        complete = self._cleanup.resolver.rewrite
        statuses = tuple(
            RecipientStatus(
                final=quote_local(each.recipient.address),
                action=each.action,
                status=each.dsn,
                diagnostic_type="X-Postfix",
                diagnostic=each.said,
                original=f"rfc822;{quote_local(each.recipient.original)}" if each.recipient.original else "",
            )
            for each in findings
        )
        probe = f"From: {quote_local(complete(sender))}\r\nSubject: probe\r\nDate: {mail_date(int(now))}\r\n"
        return render_notification(
            Notification(
                date=mail_date(int(now)),
                sender_header=f"Mail Delivery System <{complete('MAILER-DAEMON')}>",
                subject="Mail Delivery Status Report",
                to=quote_local(complete(sender)),
                auto_submitted="auto-replied",
                message_id=message_id(queue_id, host, now),
                boundary=f"{probe_id}.{int(now)}/{host}",
                text=_TEXT.format(host=host),
                explanations=tuple(f"{each.who}: {each.said}" for each in findings),
                report=Report(
                    reporting_mta=host,
                    queue_id=probe_id,
                    sender=complete(sender),
                    arrival_date=mail_date(int(now)),
                    recipients=statuses,
                ),
                returned=Returned(probe.encode("utf-8", "surrogateescape"), whole=False, description="Message"),
            )
        )
