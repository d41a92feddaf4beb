"""What the rest of the server may ask of the mail queue. Every back end passes ``tests/contract/mailqueue``.

Guarantees: when ``enqueue`` returns, the message is on stable storage. ``record_attempt`` is one atomic update and
idempotent by (queue id, recipient number). A crash at any instruction leaves a state that ``docs/queue-states.md``
names, and opening the queue repairs it.
"""

from __future__ import annotations

import enum
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from angarium.model.content import Content
from angarium.model.delivery import DeliveryResult, QueuedRecipient
from angarium.model.envelope import Envelope


class QueueName(enum.Enum):
    """The queues of qmgr(8). A message is in exactly one."""

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
    """

    queue_id: str
    envelope: Envelope
    prefix: bytes
    content: Content
    hold: bool = False

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
    """A message as the queue manager and ``mailq`` see it; the content is fetched apart."""

    queue_id: str
    queue: QueueName
    envelope: Envelope
    size: int
    queued: float
    next_attempt: float
    attempts: int
    pending: tuple[PendingRecipient, ...]
    forced_expire: bool = False


@dataclass(frozen=True, slots=True)
class Attempt:
    """The outcome of one attempt, to be recorded at once.

    Attributes:
        queue_id: which message.
        results: one a recipient tried; sent and bounced ones are done, deferred ones keep their reason.
        next_attempt: when to try the deferred ones again, seconds since the epoch.
        notices: messages of ours (bounces, delay warnings) that enter the queue in the same transaction, so that a
            crash neither loses nor repeats them.
    """

    queue_id: str
    results: Sequence[DeliveryResult]
    next_attempt: float
    notices: Sequence[NewMessage] = ()


class MailQueue(Protocol):
    """The durable queue."""

    def allocate_id(self) -> str:
        """A queue id that is not in use: upper-case hex, as Postfix's short form. No I/O; nothing is stored yet."""
        ...

    async def enqueue(self, message: NewMessage) -> None:
        """Store durably; group commit across callers. Raises QueueFullError or OSError when it cannot."""
        ...

    async def lease(self, limit: int, now: float) -> Sequence[QueuedMessage]:
        """Move up to ``limit`` incoming, or deferred and due, messages to active and return them."""
        ...

    async def content(self, queue_id: str) -> tuple[bytes, Content]:
        """The prefix and the content of a message. Raises KeyError when it is gone."""
        ...

    async def record_attempt(self, attempt: Attempt) -> bool:
        """Record results; True when the last recipient was done and the message was removed."""
        ...

    def messages(self) -> AsyncIterator[QueuedMessage]:
        """All messages, for ``mailq``: incoming, active, deferred, hold."""
        ...

    async def close(self) -> None:
        """Finish what is being written, then close."""
        ...
