"""Warnings by mail that a quota's threshold was passed.

Made by the process whose transaction passed it, after the commit, and put into the queue like any mail: through
cleanup, with a null sender, so that nothing answers and no bounce comes back. What is in the queue with the origin
``model.quota.WARNING_SERVICE`` is stored in full mailboxes too, and passes no threshold itself: no warning causes
another. The store keeps in mind what is owed until ``tell`` says that it is done: what a process that is killed
between the two commits has not told, another tells.

A domain's thresholds are told to its postmaster; an account's to its user and, if
``mailstore_quota_warning_postmaster`` says so, to the postmaster too.

Failures are logged: the mail that passed the threshold is stored all the same. A warning that cleanup refuses is given
up; one that finds the queue full is tried again.
"""

from __future__ import annotations

import time
from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from angarium.agents.warning.templates import Template, Templates, fill
from angarium.cleanup.interface import Cleanup
from angarium.cleanup.received import mail_date, message_id, quote_local
from angarium.mailqueue.interface import Intake, NewMessage
from angarium.model.content import MemoryContent
from angarium.model.envelope import BodyType, Envelope, Origin, Recipient
from angarium.model.error import MailError
from angarium.model.quota import WARNING_SERVICE, Crossing, Resource
from angarium.runtime.log import ServiceLog

if TYPE_CHECKING:
    from angarium.config.config import Config

_ORIGIN = Origin("local", "localhost", service=WARNING_SERVICE)
_WORD = 42
"""Octets of an encoded word before base64: a line with "Subject: " and one has 77 characters (RFC 2047 section 2)."""


@dataclass(frozen=True, slots=True)
class WarningParameters:
    """Attributes are parameters of main.cf, without ``mailstore_quota_``."""

    myhostname: str
    warning_postmaster: bool = False
    template_directory: Path | None = None

    @classmethod
    def from_config(cls, conf: Config) -> WarningParameters:
        """Read them."""
        directory = conf.text("mailstore_quota_template_directory")
        return cls(
            conf.text("myhostname"),
            conf.boolean("mailstore_quota_warning_postmaster"),
            Path(directory) if directory else None,
        )


class QuotaWarner:
    """Sends warnings. Belongs to one event loop.

    Args:
        parameters: of main.cf.
        cleanup: finishes the mail.
        queue: takes it.
        log: ``postfix/quota-warning``.
        clock: seconds since the epoch.
    """

    def __init__(
        self,
        parameters: WarningParameters,
        cleanup: Cleanup,
        queue: Intake,
        log: ServiceLog,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._parameters = parameters
        self._templates = Templates(parameters.template_directory, log.warning)
        self._cleanup = cleanup
        self._queue = queue
        self._log = log
        self._clock = clock

    async def tell(self, passed: Sequence[Crossing]) -> bool:
        """Send what there is to be said of these thresholds; False: all of it is to be tried again.

        Nothing is queued before all of it is ready: whoever could be told would be told again each time.
        """
        ready: list[tuple[Crossing, str, NewMessage]] = []
        if not all([await self._prepare(crossing, ready) for crossing in passed]):
            return False
        return all([await self._queued(*each) for each in ready])

    async def _prepare(self, crossing: Crossing, ready: list[tuple[Crossing, str, NewMessage]]) -> bool:
        """Make the mail about a threshold; whether no part of it is to be tried again."""
        postmaster = f"postmaster@{crossing.account.rpartition('@')[2]}"
        recipients = [postmaster] if crossing.domain else [crossing.account]
        if self._parameters.warning_postmaster and postmaster not in recipients:
            recipients.append(postmaster)
        kind = ("domain-" if crossing.domain else "") + ("below" if crossing.below else "warning")
        template = self._templates.find(kind, crossing.account)
        done = True
        for recipient in recipients:
            copy = recipient == postmaster and not crossing.domain
            try:
                message = await self._made(crossing, template, recipient, to_postmaster=copy)
            except MailError as error:
                self._log.warning(f"a warning to {recipient} is refused: {error}")
                done = done and not error.temporary
            except OSError as error:
                self._log.warning(f"a warning to {recipient} cannot be made: {error}")
                done = False
            else:
                if not message.discard:
                    ready.append((crossing, recipient, message))
        return done

    async def _made(self, crossing: Crossing, template: Template, recipient: str, *, to_postmaster: bool) -> NewMessage:
        now = self._clock()
        queue_id = self._queue.allocate_id()
        envelope = Envelope("", (Recipient(recipient, recipient),), now, _ORIGIN, body=BodyType.EIGHTBITMIME)
        data = self._render(crossing, template, recipient, queue_id, now, to_postmaster=to_postmaster)
        return await self._cleanup.process(queue_id, envelope, MemoryContent(data))

    async def _queued(self, crossing: Crossing, recipient: str, message: NewMessage) -> bool:
        try:
            await self._queue.enqueue(message)
        except OSError as error:
            self._log.warning(f"a warning to {recipient} cannot be queued: {error}")
            return False
        whose = f"domain {crossing.account.rpartition('@')[2]}" if crossing.domain else crossing.account
        which = "below" if crossing.below else "at"
        self._log.info(
            f"{message.queue_id}: to=<{recipient}>, {whose} is {which} {crossing.percent}% of its quota:"
            f" {crossing.resource.value} {crossing.used} of {crossing.limit}"
        )
        return True

    def _render(
        self, crossing: Crossing, template: Template, recipient: str, queue_id: str, now: float, *, to_postmaster: bool
    ) -> bytes:
        host = self._parameters.myhostname
        values = _values(crossing, host)
        subject = fill(template.postmaster_subject if to_postmaster else template.subject, values)
        header = (
            f"Date: {mail_date(int(now))}",
            f"From: {_sender(template.sender, host)}",
            f"To: {quote_local(recipient)}",
            f"Subject: {_encoded(subject)}",
            f"Message-Id: {message_id(queue_id, host, now)}",
            "Auto-Submitted: auto-generated",
            "MIME-Version: 1.0",
            "Content-Type: text/plain; charset=utf-8",
            "Content-Transfer-Encoding: 8bit",
        )
        lines = (*header, "", *fill(template.text, values).splitlines())
        return "".join(f"{line}\r\n" for line in lines).encode("utf-8", "surrogateescape")


def _values(crossing: Crossing, host: str) -> dict[str, str]:
    user, _, domain = crossing.account.rpartition("@")
    storage = crossing.resource is Resource.STORAGE
    return {
        "account": crossing.account,
        "user": user,
        "domain": domain,
        "resource": "storage" if storage else "messages",
        "percent": str(crossing.percent),
        "used": _size(crossing.used) if storage else str(crossing.used),
        "limit": _size(crossing.limit) if storage else str(crossing.limit),
        "share": str(crossing.used * 100 // crossing.limit),
        "myhostname": host,
    }


def _size(size: int) -> str:
    """The size in the largest unit of which there is one."""
    value, unit = float(size), "bytes"
    for name in ("KB", "MB", "GB", "TB"):
        if value < 1024:
            break
        value, unit = value / 1024, name
    return f"{value:.1f} {unit}" if unit != "bytes" else f"{size} bytes"


def _sender(text: str, host: str) -> str:
    name, bracket, address = text.rpartition("<")
    address = address.rstrip(">").strip() if bracket else text
    address = address if "@" in address else f"{address}@{host}"
    return f"{_encoded(name.strip())} <{address}>" if name.strip() else address


def _encoded(text: str) -> str:
    """A header's text, as encoded words when it is not ASCII (RFC 2047)."""
    if text.isascii():
        return text
    words: list[bytes] = [b""]
    for char in text:
        octets = char.encode("utf-8", "surrogateescape")
        if len(words[-1]) + len(octets) > _WORD:
            words.append(b"")
        words[-1] += octets
    return "\r\n ".join(f"=?utf-8?B?{b64encode(word).decode()}?=" for word in words)
