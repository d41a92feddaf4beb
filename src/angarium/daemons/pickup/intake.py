"""A whole submission becomes a queued message.

Guarantees: the answer ``250`` comes after the queue has the message on stable storage. Who submits is what the
kernel says, not what the client says; the sender's address is the client's choice, as with Postfix.

Failures: every refusal is a ``Reply``; what nobody has classified is temporary.
"""

from __future__ import annotations

import asyncio
import errno
import time
from collections.abc import Awaitable, Callable

from angarium.cleanup.process import CleanupService
from angarium.daemons.pickup.access import Access, User
from angarium.daemons.pickup.extract import argument_addresses, bare, header_recipients
from angarium.mailqueue.interface import MailQueue
from angarium.model.content import Content
from angarium.model.envelope import Envelope, Origin, Recipient
from angarium.model.error import MailError
from angarium.model.reply import Reply
from angarium.model.verp import USUAL_RULES, VerpRules
from angarium.protocols.pickup.commandline import verp_fault
from angarium.protocols.pickup.session import RECIPIENT_LIMIT, Ask, Question, Submission
from angarium.protocols.smtp.path import quote_address
from angarium.runtime.log import ServiceLog

_AT_ONCE = 64 * 1024
"""Characters that may hold addresses and are read in the loop's turn; what is more is read on a thread."""

Verify = Callable[[str, tuple[str, ...]], Awaitable[None]]
"""Mails a delivery status report: to whom, about which recipients. Raises MailError and OSError."""

Flush = Callable[[Question], None]
"""Makes waiting mail due. Raises OSError."""


class Intake:
    """Takes submissions.

    Args:
        queue: stores them.
        cleanup: finishes them.
        access: who may do what.
        log: of the service, ``postfix/pickup``.
        verify: what ``sendmail -bv`` asks for; None: it is refused.
        flush: makes mail due, on a thread; None: that is refused.
        collect: has somebody look into maildrop soon.
        clock: seconds since the epoch.
        verp: which delimiters ``-XV`` may have.
    """

    def __init__(
        self,
        queue: MailQueue,
        cleanup: CleanupService,
        access: Access,
        log: ServiceLog,
        verify: Verify | None = None,
        flush: Flush | None = None,
        collect: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.time,
        verp: VerpRules = USUAL_RULES,
    ) -> None:
        self._queue = queue
        self._cleanup = cleanup
        self._access = access
        self._log = log
        self._verify = verify
        self._flush = flush
        self._collect = collect
        self._clock = clock
        self._verp = verp

    async def answer(self, user: User, question: Question) -> Reply:
        """Do what a user asks who has no access to the queue; the reply is for the client."""
        if question.about is Ask.MAY_LIST:
            return await self._access.to_list(user.uid, user.name) or Reply.of(250, "2.0.0", "Ok")
        if question.about is Ask.COLLECT:
            self._collect()
            return Reply.of(250, "2.0.0", "Ok")
        refused = await self._access.to_flush(user.uid, user.name)
        if refused is not None:
            return refused
        if self._flush is None:
            return Reply.of(502, "5.5.1", "flushing is not supported")
        try:
            await asyncio.to_thread(self._flush, question)
        except OSError as error:
            self._log.warning(f"uid={user.uid}: cannot flush the queue: {error}")
            return storage_failure(error)
        return Reply.of(250, "2.0.0", "Ok")

    async def take(self, user: User, submission: Submission, content: Content) -> Reply:
        """Queue a submission; the reply is for the client."""
        refused = await self._access.to_submit(user.name, user.uid)
        if refused is not None:
            return refused
        recipients = await _recipients(submission, content)
        if not recipients:
            return Reply.of(451, "4.5.1", "No recipient addresses found in message header")
        if len(recipients) > RECIPIENT_LIMIT:
            return Reply.of(452, "4.5.3", "Error: too many recipients")
        sender = user.name if submission.sender is None else bare(submission.sender)
        if (refused := self._unusable(submission, sender, recipients)) is not None:
            return refused
        if (refused := await self._access.to_send_as(user.name, user.uid, sender)) is not None:
            return refused
        if submission.verify:
            return await self._report(sender, tuple(recipients))
        envelope = Envelope(
            sender=sender,
            recipients=tuple(Recipient(each, each, submission.notify) for each in recipients),
            arrival=self._clock(),
            origin=Origin(protocol="local", service=self._log.tag, uid=user.uid),
            body=submission.body,
            ret=submission.ret,
            envid=submission.envid,
            smtputf8=not all(each.isascii() for each in (sender, *recipients)),
            traced=submission.report,
            verp="" if submission.verp is None else submission.verp or self._verp.default,
        )
        full_name = user.full_name if submission.full_name is None else submission.full_name
        queue_id = "NOQUEUE"
        try:
            queue_id = self._queue.allocate_id()
            text = f"{queue_id}: uid={user.uid} from=<{quote_address(sender)}>"
            self._log.info(text, queue_id=queue_id, uid=user.uid, sender=sender)
            message = await self._cleanup.process(
                queue_id, envelope, content, full_name=full_name, gateway=submission.gateway
            )
            if not message.discard:
                await self._queue.enqueue(message)
        except MailError as error:
            return error.reply
        except OSError as error:
            self._log.warning(f"{queue_id}: queue file write error: {error}", queue_id=queue_id)
            return storage_failure(error)
        return Reply.of(250, "2.0.0", queue_id)

    def _unusable(self, submission: Submission, sender: str, recipients: list[str]) -> Reply | None:
        """What is wrong with a submission, whoever it is from."""
        for each in (sender, submission.envid, *recipients):
            if fault := _fault(each):
                return Reply.of(501, "5.1.3", f"Bad address syntax: {fault}")
        if submission.verp is None:
            return None
        error = verp_fault(submission.verp, self._verp.allowed, sender)
        return None if error is None else Reply.of(501, "5.5.4", str(error))

    async def _report(self, sender: str, recipients: tuple[str, ...]) -> Reply:
        if self._verify is None:
            return Reply.of(502, "5.5.1", "address verification is not supported")
        try:
            await self._verify(sender, recipients)
        except MailError as error:
            return error.reply
        except OSError as error:
            self._log.warning(f"queue file write error: {error}")
            return storage_failure(error)
        return Reply.of(250, "2.0.0", sender)


def storage_failure(error: OSError) -> Reply:
    """What the client is told of an error of our storage."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return Reply.of(452, "4.3.1", "Insufficient system storage")
    return Reply.of(451, "4.3.0", "Error: queue file write error")


async def _recipients(submission: Submission, content: Content) -> list[str]:
    """Who gets it: of the command line, and with ``-t`` of the headers. What takes long does not hold up the loop."""

    def find() -> list[str]:
        found = [each for word in submission.recipients for each in argument_addresses(word)]
        if submission.extract:
            found.extend(header_recipients(content))
        return found

    text = sum(len(word) for word in submission.recipients) + (content.size if submission.extract else 0)
    return find() if text < _AT_ONCE else await asyncio.to_thread(find)


def _fault(text: str) -> str:
    """Why it cannot be an address: it holds what would break a line of a protocol, a header or the log."""
    if text.isprintable():
        return ""
    if any(char < " " or char == "\x7f" for char in text):
        return "a control character"
    return "not UTF-8" if any("\ud800" <= char <= "\udfff" for char in text) else ""
