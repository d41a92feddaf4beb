"""What the queue manager asks when an attempt leaves something to tell the sender."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from angarium.mailqueue.interface import NewMessage, QueuedMessage
from angarium.model.content import Content
from angarium.model.delivery import DeliveryResult


class Event(enum.Enum):
    """What there is to report; the value is how the log calls the notice."""

    FAILURE = "non-delivery notification"
    DELAY = "delay notification"
    SUCCESS = "delivery status notification"


@dataclass(frozen=True, slots=True)
class Notice:
    """A message of ours, to be queued in the transaction that records the attempt, and its line for the log."""

    message: NewMessage
    text: str


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
