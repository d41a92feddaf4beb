"""Which delivery starts when: concurrency, fairness and dead destinations, without I/O and without a clock.

The scheduler is told of three things, arrivals, results and the passing of time, and answers each with actions:
``Start`` a delivery, ``Suspend`` recipients whose destination is dead. ``wake_at`` says when to call ``tick`` next.

A *destination* is a (transport, nexthop), or with a recipient limit of 1 a (transport, nexthop, recipient). What it
may do at once, its window, follows SCHEDULER_README: it starts at ``initial``, grows with positive feedback by
deliveries that reached the destination and shrinks with negative feedback by those that did not; after
``failed_cohort_limit`` pseudo-cohorts of failures the destination is dead until ``minimal_backoff`` has passed.

Guarantees: never more deliveries than the window of the destination and the process limit of the transport; a rate
delay, of a destination or of a transport, is kept between two deliveries; transports, the destinations of a transport,
and the messages of a destination take turns, so nobody waits behind somebody else's long list; each recipient that
arrives comes back in exactly one Start or Suspend, unless its message is dropped. All steps but that one cost the same
whatever is queued.

States of a destination:

=========  ===========================  =====================================================
state      deliveries                   leaves it
=========  ===========================  =====================================================
ready      up to its window             all done: forgotten; a dead cohort: dead; rate delay: paused
paused     none start                   ``tick`` at the end of the rate delay: ready
dead       none; arrivals suspended     ``tick`` after minimal_backoff: ready with a new window
=========  ===========================  =====================================================
"""

from __future__ import annotations

import enum
import heapq
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from angarium.model.delivery import QueuedRecipient

_EPSILON = 1e-6
"""Feedback of 1/3 three times is meant to be 1."""


class Scale(enum.Enum):
    """How feedback depends on the window it is given at."""

    CONSTANT = "1"
    CONCURRENCY = "concurrency"
    SQRT_CONCURRENCY = "sqrt_concurrency"


@dataclass(frozen=True, slots=True)
class Feedback:
    """``number``, ``number / concurrency`` or ``number / sqrt_concurrency``; the number is in [0, 1]."""

    amount: float = 1.0
    scale: Scale = Scale.CONCURRENCY

    def at(self, window: int) -> float:
        """The feedback of one delivery at this window."""
        if self.scale is Scale.CONSTANT:
            return self.amount
        return self.amount / (window if self.scale is Scale.CONCURRENCY else window**0.5)

    @classmethod
    def parse(cls, text: str) -> Feedback:
        """Read the value of ``*_destination_concurrency_positive_feedback``. Raises ValueError."""
        number, slash, scale = (part.strip() for part in text.partition("/"))
        amount = float(number)
        if not 0 <= amount <= 1:
            msg = f"feedback is not between 0 and 1: {text!r}"
            raise ValueError(msg)
        return cls(amount, Scale(scale) if slash else Scale.CONSTANT)


@dataclass(frozen=True, slots=True)
class Limits:
    """What a transport allows; 0 is no limit, unless said otherwise.

    Attributes:
        process_limit: deliveries of the transport at once (master.cf).
        concurrency_limit: deliveries to one destination at once.
        initial: the window of a new destination; at least 1.
        recipient_limit: recipients in one delivery.
        positive: feedback of a delivery that reached the destination.
        negative: feedback of one that did not.
        failed_cohort_limit: pseudo-cohorts of failures until a destination is dead; 0 is never.
        rate_delay: seconds between deliveries to one destination; deliveries then go one at a time.
        transport_rate_delay: the same for all deliveries of the transport.
    """

    process_limit: int = 100
    concurrency_limit: int = 20
    initial: int = 5
    recipient_limit: int = 50
    positive: Feedback = Feedback()
    negative: Feedback = Feedback()
    failed_cohort_limit: int = 1
    rate_delay: float = 0.0
    transport_rate_delay: float = 0.0

    @property
    def most(self) -> int:
        """Deliveries of the transport at once; 0 is no limit."""
        return 1 if self.transport_rate_delay > 0 else self.process_limit

    @property
    def ceiling(self) -> int:
        """The largest window; 0 is none."""
        return 1 if self.rate_delay > 0 else self.concurrency_limit

    @property
    def first_window(self) -> int:
        """The window of a new destination."""
        return max(1, min(self.initial, self.ceiling) if self.ceiling else self.initial)


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a destination is dead: the status and text of the result that killed it."""

    dsn: str
    text: str


@dataclass(frozen=True, slots=True)
class Route:
    """Where one recipient of a message goes."""

    transport: str
    nexthop: str
    queued: QueuedRecipient


@dataclass(frozen=True, slots=True, eq=False)
class Delivery:
    """Some recipients of one message to one destination: what an agent gets."""

    queue_id: str
    transport: str
    nexthop: str
    recipients: tuple[QueuedRecipient, ...]
    key: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Share:
    """What one destination holds: deliveries that wait, deliveries under way, and how many there may be."""

    waiting: int
    busy: int
    window: int


@dataclass(frozen=True, slots=True)
class Start:
    """Start this delivery; its result must be told."""

    delivery: Delivery


@dataclass(frozen=True, slots=True)
class Suspend:
    """The destination is dead: defer these recipients. No result is to be told."""

    delivery: Delivery
    cause: Cause


Action = Start | Suspend


class _Destination:
    """One destination with its window and what waits for it; ``until``: when its pause, or its death, ends."""

    __slots__ = (
        "busy",
        "cause",
        "fail_cohorts",
        "failure",
        "jobs",
        "key",
        "listed",
        "paused",
        "success",
        "transport",
        "until",
        "waiting",
        "window",
    )

    def __init__(self, key: tuple[str, ...], transport: _Transport) -> None:
        self.key = key
        self.transport = transport
        self.window = transport.limits.first_window
        self.success = 0.0
        self.failure = 0.0
        self.fail_cohorts = 0.0
        self.busy = 0
        self.waiting = 0
        self.paused = False
        self.until = 0.0
        self.listed = False
        self.cause: Cause | None = None
        self.jobs: OrderedDict[str, deque[Delivery]] = OrderedDict()

    @property
    def eligible(self) -> bool:
        return bool(self.jobs) and not self.paused and self.cause is None and self.busy < self.window

    def put(self, delivery: Delivery) -> None:
        job = self.jobs.get(delivery.queue_id)
        if job is None:
            job = self.jobs[delivery.queue_id] = deque()
        job.append(delivery)
        self.waiting += 1

    def take(self) -> Delivery:
        """The next delivery; messages take turns."""
        queue_id, job = next(iter(self.jobs.items()))
        delivery = job.popleft()
        self.waiting -= 1
        if job:
            self.jobs.move_to_end(queue_id)
        else:
            del self.jobs[queue_id]
        return delivery

    def reached(self) -> None:
        """Positive feedback."""
        limits = self.transport.limits
        self.fail_cohorts = 0.0
        # Growing beyond what is in use would only delay the effect of negative feedback later.
        if self.window >= self.busy + limits.first_window or (limits.ceiling and self.window >= limits.ceiling):
            return
        self.success += limits.positive.at(self.window)
        while self.success + _EPSILON >= 1:
            self.window += 1
            self.success -= 1
            self.failure = 0.0
        if limits.ceiling:
            self.window = min(self.window, limits.ceiling)

    def missed(self, cause: Cause) -> bool:
        """Negative feedback; True when the destination is dead now."""
        limits = self.transport.limits
        self.fail_cohorts += 1 / self.window
        if limits.failed_cohort_limit and self.fail_cohorts + _EPSILON >= limits.failed_cohort_limit:
            self.cause = cause
            return True
        self.failure -= limits.negative.at(self.window)
        while self.failure < -_EPSILON:
            self.window -= 1
            self.failure += 1
            self.success = 0.0
        self.window = max(1, self.window)
        return False

    def revive(self) -> None:
        """A dead destination gets another chance."""
        self.cause = None
        self.window = self.transport.limits.first_window
        self.success = self.failure = self.fail_cohorts = 0.0

    def resume(self) -> None:
        """The pause, or the death, is over."""
        if self.cause is not None:
            self.revive()
        self.paused = False

    def clear(self) -> list[Delivery]:
        """Take out all that waits."""
        deliveries = [delivery for job in self.jobs.values() for delivery in job]
        self.jobs.clear()
        self.waiting = 0
        return deliveries


class _Transport:
    """One transport: its limits, and the destinations that could start something, in turn.

    ``until``: when the pause of its rate delay ends.
    """

    __slots__ = ("busy", "limits", "listed", "paused", "turn", "until")

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.busy = 0
        self.paused = False
        self.until = 0.0
        self.turn: deque[_Destination] = deque()
        self.listed = False

    @property
    def full(self) -> bool:
        return self.paused or 0 < self.limits.most <= self.busy


class Scheduler:
    """All transports and destinations that have something to do.

    Args:
        limits: the limits of a transport by its name.
        minimal_backoff: seconds that a dead destination is left alone.
    """

    def __init__(self, limits: Callable[[str], Limits], minimal_backoff: float) -> None:
        self._limits = limits
        self._minimal_backoff = minimal_backoff
        self._transports: dict[str, _Transport] = {}
        self._destinations: dict[tuple[str, ...], _Destination] = {}
        self._turn: deque[_Transport] = deque()
        self._timers: list[tuple[float, int, _Destination | _Transport]] = []
        self._timer_number = 0
        self._closed = False

    @property
    def wake_at(self) -> float | None:
        """When ``tick`` has something to do next."""
        return self._timers[0][0] if self._timers else None

    def statistics(self) -> dict[str, int]:
        """Destinations known, deliveries under way, deliveries waiting."""
        return {
            "destinations": len(self._destinations),
            "busy": sum(transport.busy for transport in self._transports.values()),
            "waiting": sum(len(job) for place in self._destinations.values() for job in place.jobs.values()),
        }

    def group(self, queue_id: str, routes: Sequence[Route], *, singly: bool = False) -> list[Delivery]:
        """The deliveries of a message: recipients of one destination go together, up to the recipient limit.

        ``singly``: each has a delivery of his own.
        """
        if len(routes) == 1:  # nearly all messages
            route = routes[0]
            return [Delivery(queue_id, route.transport, route.nexthop, (route.queued,), self._key(route))]
        groups: dict[tuple[str, ...], list[Route]] = {}
        for route in routes:
            groups.setdefault(self._key(route), []).append(route)
        deliveries = []
        for key, group in groups.items():
            limit = 1 if singly else self._transport(group[0].transport).limits.recipient_limit or len(group)
            for start in range(0, len(group), limit):
                recipients = tuple(route.queued for route in group[start : start + limit])
                deliveries.append(Delivery(queue_id, group[0].transport, group[0].nexthop, recipients, key))
        return deliveries

    def arrival(self, deliveries: Sequence[Delivery]) -> list[Action]:
        """These deliveries, of ``group``, are to be made."""
        actions: list[Action] = []
        for delivery in deliveries:
            destination = self._destination(delivery)
            if destination.cause is not None:
                actions.append(Suspend(delivery, destination.cause))
            else:
                destination.put(delivery)
                self._list(destination)
        self._dispatch(actions)
        return actions

    def result(self, delivery: Delivery, broken: Cause | None, now: float) -> list[Action]:
        """A delivery ended; ``broken`` says why its destination as a whole could not be reached."""
        actions: list[Action] = []
        destination = self._destinations[delivery.key]
        transport = destination.transport
        if destination.cause is None:
            if broken is None:
                destination.reached()
            elif destination.missed(broken):
                self._bury(destination, now, actions)
        destination.busy -= 1
        transport.busy -= 1
        if transport.limits.rate_delay > 0 and destination.cause is None:
            destination.paused = True
            self._timer(destination, now + transport.limits.rate_delay)
        if transport.limits.transport_rate_delay > 0:
            transport.paused = True
            self._timer(transport, now + transport.limits.transport_rate_delay)
        self._list(destination)
        self._relist(transport)
        self._forget(destination)
        self._dispatch(actions)
        return actions

    def tick(self, now: float) -> list[Action]:
        """Time has passed."""
        actions: list[Action] = []
        while self._timers and self._timers[0][0] <= now:
            at, _, paused = heapq.heappop(self._timers)
            if at != paused.until:
                continue  # it was revived, and has another timer or none
            paused.until = 0.0
            if isinstance(paused, _Transport):
                paused.paused = False
                self._relist(paused)
                continue
            paused.resume()
            self._list(paused)
            self._forget(paused)
        self._dispatch(actions)
        return actions

    def revive(self) -> None:
        """Give all dead destinations another chance now: the administrator flushes the queue."""
        for destination in list(self._destinations.values()):
            if destination.cause is not None:
                destination.revive()
                destination.until = 0.0
                self._forget(destination)

    def drop(self, queue_id: str) -> None:
        """Forget what waits of one message: it is gone."""
        for destination in list(self._destinations.values()):
            job = destination.jobs.pop(queue_id, None)
            if job is not None:
                destination.waiting -= len(job)
                self._forget(destination)

    def share(self, delivery: Delivery) -> Share:
        """How much the destination of a delivery holds."""
        destination = self._destinations.get(delivery.key)
        if destination is None:
            return Share(0, 0, 0)
        return Share(destination.waiting, destination.busy, destination.window)

    def withdraw(self) -> None:
        """Start nothing any more, and forget what has not started: the queue manager is about to end."""
        self._closed = True
        for destination in list(self._destinations.values()):
            destination.clear()

    def _key(self, route: Route) -> tuple[str, ...]:
        if self._transport(route.transport).limits.recipient_limit == 1:
            return (route.transport, route.nexthop, route.queued.recipient.address)
        return (route.transport, route.nexthop)

    def _transport(self, name: str) -> _Transport:
        transport = self._transports.get(name)
        if transport is None:
            transport = self._transports[name] = _Transport(self._limits(name))
        return transport

    def _destination(self, delivery: Delivery) -> _Destination:
        destination = self._destinations.get(delivery.key)
        if destination is None:
            destination = _Destination(delivery.key, self._transport(delivery.transport))
            self._destinations[delivery.key] = destination
        return destination

    def _list(self, destination: _Destination) -> None:
        """Give a destination a place in its transport's turn, if it could start something."""
        if not destination.listed and destination.eligible:
            destination.listed = True
            destination.transport.turn.append(destination)
            self._relist(destination.transport)

    def _relist(self, transport: _Transport) -> None:
        if not transport.listed and transport.turn and not transport.full:
            transport.listed = True
            self._turn.append(transport)

    def _dispatch(self, actions: list[Action]) -> None:
        """Start whatever may start; transports take turns, and so do the destinations of each."""
        while self._turn and not self._closed:
            transport = self._turn.popleft()
            transport.listed = False
            destination = transport.turn.popleft()
            destination.listed = False
            if destination.eligible:
                destination.busy += 1
                transport.busy += 1
                actions.append(Start(destination.take()))
                self._list(destination)
            self._relist(transport)

    def _bury(self, destination: _Destination, now: float, actions: list[Action]) -> None:
        """A destination died: what waits for it is suspended."""
        assert destination.cause is not None
        actions.extend(Suspend(delivery, destination.cause) for delivery in destination.clear())
        self._timer(destination, now + self._minimal_backoff)

    def _timer(self, paused: _Destination | _Transport, at: float) -> None:
        paused.until = at
        self._timer_number += 1
        heapq.heappush(self._timers, (at, self._timer_number, paused))

    def _forget(self, destination: _Destination) -> None:
        """A destination with nothing to do, and nothing to remember, goes."""
        if not destination.busy and not destination.jobs and not destination.paused and destination.cause is None:
            self._destinations.pop(destination.key, None)
