"""What the queue manager asks when an attempt leaves something to tell the sender."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from angarium.mailqueue.interface import NewMessage, QueuedMessage
from angarium.model.content import Content
from angarium.model.delivery import DeliveryResult, QueuedRecipient, Status
from angarium.model.dsn import Dsn
from angarium.model.envelope import Recipient


class Event(enum.Enum):
    """What there is to report."""

    FAILURE = "failure"
    DELAY = "delay"
    SUCCESS = "success"
    TRACE = "trace"

    @property
    def noun(self) -> str:
        """How the log calls the notice."""
        return _NOUNS[self]


_NOUNS = {
    Event.FAILURE: "non-delivery notification",
    Event.DELAY: "delay notification",
    Event.SUCCESS: "delivery status notification",
    Event.TRACE: "delivery status notification",
}


@dataclass(frozen=True, slots=True)
class Notice:
    """A message of ours, to be queued in the transaction that records the attempt, and its line for the log."""

    message: NewMessage
    text: str


NO_AGENT = "none"
"""The relay of a result that no agent made."""


def expansion(recipient: Recipient) -> DeliveryResult:
    """What a success report says of a recipient that was an alias of others: it was ``expanded`` (RFC 3464, 2.3.3)."""
    return DeliveryResult(QueuedRecipient(_EXPANDED, recipient), Status.SENT, Dsn(2, 0, 0), NO_AGENT, "alias expanded")


def is_expansion(result: DeliveryResult) -> bool:
    """Whether it was made by ``expansion``."""
    return result.recipient.number == _EXPANDED


_EXPANDED = -1
"""In place of the number of a recipient: an alias is none of the message's."""


class Reporter(Protocol):
    """Makes the notices of one attempt."""

    async def report(
        self,
        event: Event,
        message: QueuedMessage,
        prefix: bytes,
        content: Content,
        results: Sequence[DeliveryResult],
    ) -> Sequence[Notice]:
        """The notices that are due; none when nobody wants any.

        Raises:
            MailError, OSError: not now; the recipients stay in the queue.
        """
        ...
