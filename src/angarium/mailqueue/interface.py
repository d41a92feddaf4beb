"""What the rest of the server may ask of the mail queue. Every back end passes ``tests/contract/mailqueue``.

Guarantees: when ``enqueue`` returns, the message is on stable storage. ``record_attempt`` is one atomic update and
idempotent by (queue id, recipient number). A crash at any instruction leaves a state that ``docs/queue-states.md``
names, and ``take_over`` repairs it.

Fails with ``QueueFullError`` (an OSError) for a full disk, OSError for other failures of the storage.
"""

from __future__ import annotations

import enum
import errno
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from angarium.model.content import Content
from angarium.model.delivery import DeliveryResult, QueuedRecipient
from angarium.model.envelope import Envelope


class QueueFullError(OSError):
    """The disk is full: nothing was stored. The client hears 452 4.3.1."""

    def __init__(self, cause: str) -> None:
        super().__init__(errno.ENOSPC, cause)


class QueueDamagedError(OSError):
    """The queue as a whole cannot be used: damaged, or of a newer version. The client hears 451 4.3.0."""

    def __init__(self, cause: str) -> None:
        super().__init__(errno.EIO, cause)


MANY = 1_000_000
"""Recipients that one lease may hold in memory, when nothing else is said."""


class QueueName(enum.Enum):
    """The queues of qmgr(8), and the directory that mail waits in which no server has seen. A message is in one."""

    MAILDROP = "maildrop"
    INCOMING = "incoming"
    ACTIVE = "active"
    DEFERRED = "deferred"
    HOLD = "hold"
    CORRUPT = "corrupt"


@dataclass(frozen=True, slots=True)
class NewMessage:
    """What cleanup hands to the queue.

    Attributes:
        queue_id: from ``MailQueue.allocate_id``.
        envelope: final: aliases expanded.
        prefix: header lines of ours before the content, in wire form.
        content: what the client sent.
        hold: put it into the hold queue.
        discard: accept it, and do not enqueue it: a check wants it thrown away.
    """

    queue_id: str
    envelope: Envelope
    prefix: bytes
    content: Content
    hold: bool = False
    discard: bool = False

    @property
    def size(self) -> int:
        """Bytes of the whole message."""
        return len(self.prefix) + self.content.size


@dataclass(frozen=True, slots=True)
class PendingRecipient:
    """A recipient that is not done yet, with why not."""

    queued: QueuedRecipient
    reason: str = ""
    dsn: str = ""


@dataclass(frozen=True, slots=True)
class QueuedMessage:
    """A message as the queue manager and ``mailq`` see it; the content is fetched apart.

    Attributes:
        queue_id: as shown in the log.
        queue: where it is.
        envelope: as it was enqueued: all recipients, done or not.
        size: bytes, prefix and content.
        queued: seconds since the epoch when it was committed to the queue.
        next_attempt: seconds since the epoch.
        attempts: how often it was leased.
        pending: the recipients that are not done.
        forced_expire: the administrator wants it returned now (postsuper -e and -f).
        warned: the sender has had a delay warning.
        expansion_reported: the sender knows of the aliases that were expanded (``envelope.expanded``).
        requeue: the administrator wants it to go through cleanup again, as a new message (postsuper -r).
    """

    queue_id: str
    queue: QueueName
    envelope: Envelope
    size: int
    queued: float
    next_attempt: float
    attempts: int
    pending: tuple[PendingRecipient, ...]
    forced_expire: bool = False
    warned: bool = False
    expansion_reported: bool = False
    requeue: bool = False


@dataclass(frozen=True, slots=True)
class Attempt:
    """The outcome of one attempt, or of a part of one, to be recorded at once.

    Attributes:
        queue_id: which message.
        results: one a recipient tried; sent and bounced ones are done, deferred ones keep their reason.
        next_attempt: when to try the deferred ones again, seconds since the epoch.
        notices: messages of ours (bounces, delay warnings) that enter the queue in the same transaction, so that a
            crash neither loses nor repeats them.
        final: the attempt is over: the message leaves active. False records a part; the message stays active.
        warned: a delay warning is among the notices.
        expansion_reported: a report of the aliases that were expanded is among the notices.
        requeue_failed: the attempt was to requeue the message: it waits for ``next_attempt`` to be requeued.
    """

    queue_id: str
    results: Sequence[DeliveryResult]
    next_attempt: float
    notices: Sequence[NewMessage] = ()
    final: bool = True
    warned: bool = False
    expansion_reported: bool = False
    requeue_failed: bool = False


class Intake(Protocol):
    """Where a new message goes: all that who takes mail in needs of the queue."""

    def allocate_id(self) -> str:
        """A queue id that is not in use: upper-case hex, as Postfix's short form. Nothing is stored yet.

        No I/O, but for taking a new block of numbers once in 65,536 calls (QueueFullError, OSError).
        """
        ...

    async def enqueue(self, message: NewMessage) -> None:
        """Store durably; group commit across callers. Raises QueueFullError or OSError when it cannot."""
        ...


class MailQueue(Intake, Protocol):
    """The durable queue."""

    async def take_over(self) -> int:
        """Become a manager of the queue; how many leases former managers have left behind.

        The leases of managers that are gone return to incoming; those of living ones, which let their last deliveries
        end, stay theirs. Content that no message names is removed. Call it again now and then.
        """
        ...

    async def give_back(self) -> int:
        """Return all that this manager has leased and not recorded to incoming; how many."""
        ...

    async def lease(
        self, limit: int, now: float, *, recipients: int = MANY, incoming: bool = True, deferred: bool = True
    ) -> Sequence[QueuedMessage]:
        """Move up to ``limit`` messages to active: incoming ones, then deferred ones that are due, as asked.

        With the one that makes it ``recipients`` or more in all it ends; a positive number lets at least one through.
        Oldest first. A message that cannot be read goes to corrupt and is not returned.
        """
        ...

    async def content(self, queue_id: str) -> tuple[bytes, Content]:
        """The prefix and the content of a message. Raises KeyError when it is gone, OSError when it is damaged."""
        ...

    async def record_attempt(self, attempt: Attempt) -> bool:
        """Record results; True when the last recipient was done and the message was removed.

        A part that completes what earlier parts have recorded leaves the removal to the final attempt.

        A message that is gone (deleted meanwhile) records nothing and enters no notices; the answer is False.
        A message on hold stays on hold.
        """
        ...

    async def replace(self, queue_id: str, message: NewMessage) -> bool:
        """Put a new message in the place of an active one, in one transaction; False when that is gone.

        Raises QueueFullError or OSError when the new one cannot be stored; the old one is then as it was.
        """
        ...

    async def quarantine(self, queue_id: str) -> None:
        """Move a message that cannot be read to corrupt."""
        ...

    def messages(self) -> AsyncIterator[QueuedMessage]:
        """All messages, for ``mailq``: incoming, active, deferred, hold."""
        ...

    async def next_due(self) -> float | None:
        """When the next deferred message is due, seconds since the epoch; None when there is none."""
        ...

    async def bring_forward(self, latest: float) -> int:
        """Make messages due now that are deferred to a time after ``latest``; how many. A clock was ahead."""
        ...

    async def flush(self, site: str = "") -> int:
        """Make deferred messages due now, all or those with a pending recipient ``@site``; how many."""
        ...

    async def compact(self) -> bool:
        """Give back disk space that is no longer needed, if that is quickly done; whether it was."""
        ...

    async def close(self) -> None:
        """Finish what is being written, then close."""
        ...
