"""Which messages of the queue a command means: the filters of ``angarium queue``, and their reading.

All filters that are given must hold. Addresses, domains and reasons are compared without regard to case; recipients
that have the message already do not count. Pure: the clock comes in as an argument.

Fails with ``FilterError`` for a filter that makes no sense.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass

from angarium.mailqueue.interface import QueuedMessage, QueueName

_AGE = re.compile(r"([0-9]{1,10})([smhdw]?)", re.ASCII)
_AGE_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_LONGEST = 1000


class FilterError(ValueError):
    """The text is for the administrator."""


@dataclass(frozen=True, slots=True)
class Span:
    """Numbers from ``least`` on, below ``below``."""

    least: float = -math.inf
    below: float = math.inf

    def __contains__(self, value: float) -> bool:
        return self.least <= value < self.below


def parse_span(text: str, number: Callable[[str], float]) -> Span:
    """``2h`` is that and more, ``:2h`` less than that, ``2h:1d`` between. Raises what ``number`` does."""
    least, colon, below = text.partition(":")
    if not least and not below:
        msg = f"not a range: {text!r}"
        raise FilterError(msg)
    return Span(number(least) if least else -math.inf, number(below) if colon and below else math.inf)


def parse_age(text: str) -> float:
    """``90``, ``90s``, ``15m``, ``2h``, ``3d``, ``1w`` in seconds. Raises FilterError."""
    match = _AGE.fullmatch(text)
    if match is None:
        msg = f"not a time: {text!r} (for example 90s, 15m, 2h, 3d, 1w)"
        raise FilterError(msg)
    return int(match[1]) * _AGE_UNITS[match[2]]


def address_test(pattern: str) -> Callable[[str], bool]:
    """What an address must look like.

    ``user@example.org`` is that address, ``@example.org`` each in the domain, ``<>`` the null sender; ``*`` and ``?``
    stand for any text and any character.

    Raises:
        FilterError: it is too long, or empty.
    """
    if not pattern or len(pattern) > _LONGEST:
        msg = f"not an address: {pattern[:100]!r} (the null sender is '<>')"
        raise FilterError(msg)
    folded = "" if pattern == "<>" else pattern.lower()
    if "*" in folded or "?" in folded:
        from fnmatch import translate  # late: seldom needed

        matcher = re.compile(translate(folded.replace("[", "[[]")))
        return lambda address: matcher.match(address.lower()) is not None
    if folded.startswith("@"):
        return lambda address: address.lower().endswith(folded)
    return lambda address: address.lower() == folded


def domain_test(pattern: str) -> Callable[[str], bool]:
    """``example.org`` is that domain, ``.example.org`` each one below it."""
    folded = pattern.lower()
    if folded.startswith("."):
        return lambda address: domain_of(address).endswith(folded)
    return lambda address: domain_of(address) == folded


def domain_of(address: str) -> str:
    """The domain in lower case; empty for an address without one."""
    return address.rpartition("@")[2].lower() if "@" in address else ""


@dataclass(frozen=True, slots=True)
class QueueFilter:
    """A choice of messages; a field that is None is no condition.

    Attributes:
        queues: the names of the queues that count.
        sender: what the sender's address must be.
        recipients: what one pending recipient's address must be, all of these for the same one.
        age: seconds since the message arrived.
        size: bytes.
        reason: a part of what is said of why a recipient waits, in lower case.
    """

    queues: frozenset[QueueName] | None = None
    sender: Callable[[str], bool] | None = None
    recipients: tuple[Callable[[str], bool], ...] = ()
    age: Span | None = None
    size: Span | None = None
    reason: str | None = None

    def __bool__(self) -> bool:
        """Whether there is a condition."""
        return self != QueueFilter()

    def matches(self, message: QueuedMessage, now: float) -> bool:
        """Whether the message is meant. ``now``: seconds since the epoch."""
        if self.queues is not None and message.queue not in self.queues:
            return False
        if self.age is not None and now - message.envelope.arrival not in self.age:
            return False
        if self.size is not None and message.size not in self.size:
            return False
        if self.sender is not None and not self.sender(message.envelope.sender):
            return False
        if not self.recipients and self.reason is None:
            return True
        return any(
            (self.reason is None or self.reason in pending.reason.lower())
            and all(test(pending.queued.recipient.address) for test in self.recipients)
            for pending in message.pending
        )
