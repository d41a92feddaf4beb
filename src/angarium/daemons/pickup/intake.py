"""A whole submission becomes a queued message.

Guarantees: the answer ``250`` comes after the queue has the message on stable storage. Who submits is what the
kernel says, not what the client says; the sender's address is the client's choice, as with Postfix.

Failures: every refusal is a ``Reply``; what nobody has classified is temporary.
"""

from __future__ import annotations

import pwd
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from angarium.cleanup.process import CleanupService
from angarium.daemons.pickup.extract import argument_addresses, header_recipients
from angarium.mailqueue.interface import MailQueue
from angarium.model.content import Content
from angarium.model.envelope import Envelope, Origin, Recipient
from angarium.model.error import MailError
from angarium.model.lookup import Found, TemporaryError
from angarium.model.reply import Reply
from angarium.protocols.pickup.session import Submission
from angarium.runtime.log import ServiceLog
from angarium.tables.matchlist import MatchList

Verify = Callable[[str, tuple[str, ...]], Awaitable[None]]
"""Mails a delivery status report: to whom, about which recipients. Raises MailError and OSError."""


@dataclass(frozen=True, slots=True)
class User:
    """Who submits."""

    uid: int
    name: str
    full_name: str

    @classmethod
    def of(cls, uid: int) -> User:
        """The user of a uid; one that the system does not know is called ``unknown``."""
        try:
            entry = pwd.getpwuid(uid)
        except KeyError:
            return cls(uid, "unknown", "")
        capital = entry.pw_name[:1].upper() + entry.pw_name[1:]
        return cls(uid, entry.pw_name, entry.pw_gecos.partition(",")[0].replace("&", capital))


class Intake:
    """Takes submissions.

    Args:
        queue: stores them.
        cleanup: finishes them.
        authorized: authorized_submit_users.
        log: of the service, ``postfix/pickup``.
        verify: what ``sendmail -bv`` asks for; None: it is refused.
        clock: seconds since the epoch.
    """

    def __init__(
        self,
        queue: MailQueue,
        cleanup: CleanupService,
        authorized: MatchList,
        log: ServiceLog,
        verify: Verify | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._queue = queue
        self._cleanup = cleanup
        self._authorized = authorized
        self._log = log
        self._verify = verify
        self._clock = clock

    async def refusal(self, user: User) -> Reply | None:
        """Whether the user may not submit mail (authorized_submit_users)."""
        match = await self._authorized.match_string(user.name)
        if isinstance(match, Found):
            return None
        if isinstance(match, TemporaryError):
            return Reply.of(451, "4.3.0", "Temporary lookup failure")
        return Reply.of(550, "5.7.1", f"User {user.name}({user.uid}) is not allowed to submit mail")

    async def take(self, user: User, submission: Submission, content: Content) -> Reply:
        """Queue a submission; the reply is for the client."""
        refused = await self.refusal(user)
        if refused is not None:
            return refused
        recipients = [each for word in submission.recipients for each in argument_addresses(word)]
        if submission.extract:
            recipients.extend(header_recipients(content))
        if not recipients:
            return Reply.of(451, "4.5.1", "No recipient addresses found in message header")
        sender = user.name if submission.sender is None else _bare(submission.sender)
        if any(_has_control(each) for each in (sender, submission.envid, *recipients)):
            return Reply.of(501, "5.1.3", "Bad address syntax: a control character")
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
        )
        queue_id = self._queue.allocate_id()
        self._log.info(f"{queue_id}: uid={user.uid} from=<{sender}>", queue_id=queue_id, uid=user.uid, sender=sender)
        full_name = user.full_name if submission.full_name is None else submission.full_name
        try:
            message = await self._cleanup.process(queue_id, envelope, content, full_name=full_name)
            await self._queue.enqueue(message)
        except MailError as error:
            return error.reply
        except OSError as error:
            self._log.warning(f"{queue_id}: queue file write error: {error}", queue_id=queue_id)
            return Reply.of(451, "4.3.0", "Error: queue file write error")
        return Reply.of(250, "2.0.0", queue_id)

    async def _report(self, sender: str, recipients: tuple[str, ...]) -> Reply:
        if self._verify is None:
            return Reply.of(502, "5.5.1", "address verification is not supported")
        try:
            await self._verify(sender, recipients)
        except MailError as error:
            return error.reply
        except OSError as error:
            self._log.warning(f"queue file write error: {error}")
            return Reply.of(451, "4.3.0", "Error: queue file write error")
        return Reply.of(250, "2.0.0", sender)


def _has_control(text: str) -> bool:
    """Whether it holds what would break a line of a protocol, a header or the log."""
    return not text.isprintable() and any(char < " " or char == "\x7f" for char in text)


def _bare(sender: str) -> str:
    """The address of ``-f``, which may come with a name or in brackets."""
    text = sender.strip()
    if text in ("", "<>"):
        return ""
    return argument_addresses(text)[0]
