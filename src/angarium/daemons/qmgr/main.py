"""The queue manager: takes messages from the queue, has the agents deliver them, records what came of it.

Owns the active queue. While one drains another may begin (``MailQueue.take_over``). Each leased message goes through:
resolve its recipients, schedule them, run the agents as tasks, and when the last has ended record the outcome, with
the notices that are due, in one transaction.

Guarantees: a message leaves the queue only when each of its recipients was delivered, or was bounced and the bounce
is in the queue. An agent that fails in an unforeseen way, or has no outcome within ``daemon_timeout``, defers its
recipients; so does any other fault of ours: no message stays in active, and no place with the scheduler is lost.
Nothing is lost when this process dies: ``docs/queue-states.md``.

Fails, when the queue cannot be used, by logging and trying again; mail waits.

Follows qmgr(8), SCHEDULER_README, and the log contract's lines for qmgr and the agents.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from typing import Any

from angarium.agents import deliverylog
from angarium.agents.bounce.interface import Reporter
from angarium.daemons.qmgr.active import ActiveMessage
from angarium.daemons.qmgr.alarm import Alarm
from angarium.daemons.qmgr.attempt import (
    SYSTEM_FAILURE,
    Transport,
    attempt,
    softened,
    unforeseen,
    without_agent,
)
from angarium.daemons.qmgr.clog import ClogWatch
from angarium.daemons.qmgr.conclusion import RETRY_QUEUE, Conclusion
from angarium.daemons.qmgr.parameters import QmgrParameters
from angarium.daemons.qmgr.requeue import Requeuer
from angarium.daemons.qmgr.routing import Router
from angarium.daemons.qmgr.scheduler import Action, Cause, Delivery, Route, Scheduler, Start
from angarium.daemons.qmgr.sites import Sites
from angarium.mailqueue.interface import Attempt, MailQueue, QueuedMessage
from angarium.model.delivery import DeliveryRequest, DeliveryResult, Status
from angarium.model.dsn import Dsn
from angarium.model.error import MailError
from angarium.rewrite.interface import Resolver
from angarium.runtime.bus import Bus
from angarium.runtime.log import ServiceLog

BATCH = 200
"""Messages leased at once."""

_CLOCK_ERROR = 60.0
"""Seconds by which the clock may be set back unnoticed."""

_TURN = 100
"""Recipients that are resolved in one turn of the loop."""


class QueueManager:
    """The queue manager service (``runtime.service.Service``).

    Args:
        parameters: of main.cf.
        queue: the queue; this service becomes its manager.
        resolver: finds transport and nexthop of each recipient.
        transports: by service name.
        reporter: makes bounces and the other notices.
        requeuer: sends messages through cleanup again.
        log: ``postfix/qmgr``.
        bus: wakes us up when other processes enqueue (topic ``queue``) or flush (topic ``flush``).
        clock: seconds since the epoch; it may jump.
        steady: seconds that only pass, for pauses.
    """

    def __init__(
        self,
        parameters: QmgrParameters,
        queue: MailQueue,
        resolver: Resolver,
        transports: Mapping[str, Transport],
        reporter: Reporter,
        requeuer: Requeuer,
        log: ServiceLog,
        bus: Bus | None = None,
        clock: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._parameters = parameters
        self._queue = queue
        self._router = Router(parameters, resolver, transports, log, clock)
        self._transports = transports
        self._requeuer = requeuer
        self._log = log
        self._error_log = log.child(log.tag.rpartition("/")[0] + "/error")
        self._conclusion = Conclusion(parameters, queue, reporter, log, clock)
        self._bus = bus
        self._clock = clock
        self._steady = steady
        self._scheduler = Scheduler(lambda name: transports[name].limits, parameters.minimal_backoff_time)
        self._clog = ClogWatch(parameters.qmgr_clog_warn_time, parameters.qmgr_message_active_limit, log)
        self._active: dict[str, ActiveMessage] = {}
        self._recipients = 0
        self._tasks: dict[asyncio.Task[None], ActiveMessage | None] = {}
        self._wake_event: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._alarm: Alarm | None = None
        self._next_scan = 0.0
        self._retry_at = 0.0
        self._more_deferred = False
        self._draining = False
        self._sites = Sites(queue, log, self.flush)
        self.finished = 0

    @property
    def name(self) -> str:
        """For the log."""
        return self._log.tag

    def statistics(self) -> dict[str, int]:
        """Messages active and finished, and what the scheduler counts."""
        return {"active": len(self._active), "finished": self.finished, **self._scheduler.statistics()}

    # --- the service ---------------------------------------------------------------------------------------------

    async def run(self, sockets: Sequence[socket.socket] = ()) -> None:
        """Manage the queue until drained. The sockets are not used: qmgr listens on the bus alone."""
        del sockets
        self._loop = asyncio.get_running_loop()
        self._wake_event = asyncio.Event()
        self._alarm = Alarm(self._loop, self._clock, self.wake)
        if self._bus is not None:
            self._bus.subscribe("queue", self._woken)
            self._bus.subscribe("flush", self._flushed)
        try:
            self.wake()
            await self._pump()
            await self._drained()
        finally:
            if self._bus is not None:
                self._bus.unsubscribe("queue", self._woken)
                self._bus.unsubscribe("flush", self._flushed)
            self._alarm.cancel()
            await self._abandon()

    async def _abandon(self) -> None:
        """Cancelled: what is under way is given up, and tried again by the next queue manager."""
        self._draining = True
        self._scheduler.withdraw()  # or the end of one delivery would begin another
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        try:
            await self._queue.give_back()
        except OSError as error:
            self._log.warning(f"cannot give back what is under way: {error}")  # its owner's death will

    def drain(self) -> None:
        """Take up nothing new; ``run`` returns when the deliveries under way have ended."""
        self._draining = True
        self._sites.drain()
        self._conclusion.ending = True
        self._scheduler.withdraw()
        self.wake()

    def wake(self) -> None:
        """There may be something in the queue. Cheap; call it after each enqueue in this process."""
        if self._wake_event is not None:
            self._wake_event.set()

    def flush(self) -> None:
        """Look at the deferred queue now, and forget which destinations are dead."""
        self._next_scan = 0.0
        self._scheduler.revive()
        self.wake()

    def _woken(self, _queue_id: str) -> None:
        self.wake()

    def _flushed(self, site: str) -> None:
        """Without a site, whoever sent it has made the mail due already (postqueue)."""
        if not site:
            self.flush()
        elif self._sites.claim(site):
            self._spawn(self._sites.flush(site))

    async def _take_over(self) -> None:
        """Be the manager, and take back what managers that are gone have left: at the start, and now and then."""
        leases = await self._queue.take_over()
        if leases:
            self._log.info(f"{leases} messages of an earlier queue manager return to incoming")

    async def _pump(self) -> None:
        """Lease what there is whenever there may be something and there is room for it."""
        assert self._wake_event is not None
        while not self._draining:
            await self._wake_event.wait()
            self._wake_event.clear()
            if self._steady() >= self._retry_at:
                await self._fill_or_wait()
            self._act(self._scheduler.tick(self._steady()))
            self._set_timer()

    async def _fill_or_wait(self) -> None:
        """Lease; a queue that cannot be used is left alone for a while, whoever wakes us."""
        try:
            await self._fill()
        except OSError as error:
            self._log.error(f"cannot read the queue: {error}")
            self._retry_at = self._steady() + RETRY_QUEUE
        except Exception as error:  # noqa: BLE001 - a fault of ours: what is under way had better go on
            unforeseen(self._log, "queue", error)
            self._retry_at = self._steady() + RETRY_QUEUE

    async def _fill(self) -> None:
        now = self._clock()
        # The second: the system's clock was set back.
        if now >= self._next_scan or now < self._next_scan - self._parameters.queue_run_delay:
            await self._take_over()
            # Nothing waits longer than this but what was deferred by a clock that was ahead.
            await self._queue.bring_forward(now + self._parameters.longest_backoff + _CLOCK_ERROR)
            self._next_scan = now + self._parameters.queue_run_delay
            self._more_deferred = True
            if not self._active:
                await self._compact()
        while not self._draining:
            room = min(BATCH, self._parameters.qmgr_message_active_limit - len(self._active))
            if room <= 0 or self._is_full:
                return  # the end of a message wakes us
            more = await self._lease(room, now, deferred=False) == room
            share = self._room_for_deferred(room)
            if self._more_deferred and share > 0 and not self._is_full:
                taken = await self._lease(share, now, incoming=False)
                self._more_deferred = taken == share or self._is_full
                more |= self._more_deferred
            if not more:
                return

    async def _lease(self, limit: int, now: float, *, incoming: bool = True, deferred: bool = True) -> int:
        """Take messages up as soon as they are ours; how many."""
        room = self._parameters.most_recipients - self._recipients
        messages = await self._queue.lease(limit, now, recipients=room, incoming=incoming, deferred=deferred)
        for message in messages:
            self._take_up(message)
        return len(messages)

    @property
    def _is_full(self) -> bool:
        """So many recipients are in memory that no message may join them."""
        return self._recipients >= self._parameters.most_recipients

    def _room_for_deferred(self, room: int) -> int:
        """How much old mail to take: half of the room, and never the last fifth of the active queue.

        So old mail cannot hold up new mail, nor new mail it, and a heap of mail for a slow destination leaves a way
        through for the others.
        """
        most = max(1, self._parameters.qmgr_message_active_limit * 4 // 5)
        return min(max(1, room // 2), most - len(self._active))

    async def _compact(self) -> None:
        try:
            await self._queue.compact()
        except OSError as error:
            self._log.warning(f"cannot give back the queue's unused space: {error}")

    def _set_timer(self) -> None:
        """Wake up for the next deferred scan or the scheduler's next tick, whichever is first."""
        assert self._alarm is not None
        ahead = self._clock() - self._steady()
        at = max(self._next_scan, self._retry_at + ahead) if self._retry_at > self._steady() else self._next_scan
        if self._scheduler.wake_at is not None:
            at = min(at, self._scheduler.wake_at + ahead)
        self._alarm.set(at)

    async def _drained(self) -> None:
        """Wait for what is under way; give back what is not done."""
        while self._tasks:
            await asyncio.wait(self._tasks)
        for active in list(self._active.values()):
            try:
                await self._conclusion.conclude_part(active)
            except OSError as error:
                self._log.warning(f"{active.message.queue_id}: cannot record a part of the attempt: {error}")
        if await self._queue.give_back() and self._bus is not None:
            self._bus.publish("queue", "")  # to the next queue manager

    # --- one message -----------------------------------------------------------------------------------------------

    def _spawn(self, work: Coroutine[Any, Any, None], active: ActiveMessage | None = None) -> None:
        """Run a task, which is about that message."""
        assert self._loop is not None
        task = self._loop.create_task(work)
        self._tasks[task] = active
        task.add_done_callback(self._task_done)

    def _task_done(self, task: asyncio.Task[None]) -> None:
        active = self._tasks.pop(task)
        if task.cancelled() or (error := task.exception()) is None:
            return
        if isinstance(error, OSError) and self._draining:
            return  # the end could not be recorded, which is said already: the lease is given back
        unforeseen(self._log, "task" if active is None else active.message.queue_id, error)
        if active is None or self._draining:
            return  # the lease is given back
        if self._let_go(active.message.queue_id):
            self._scheduler.drop(active.message.queue_id)
            self._spawn(self._put_back(active))

    async def _put_back(self, active: ActiveMessage) -> None:
        """A fault of ours ended the work on a message: record what was delivered, and have it tried again later.

        Deliveries of it that are still under way record their part when they end (``_ended``).
        """
        again = self._clock() + self._parameters.minimal_backoff_time
        attempt = Attempt(active.message.queue_id, active.recordable(), again)
        try:
            try:
                await self._queue.record_attempt(attempt)
            except Exception as error:  # noqa: BLE001 - the results are what is wrong with it
                unforeseen(self._log, active.message.queue_id, error)
                await self._queue.record_attempt(replace(attempt, results=()))
        except OSError as error:
            self._log.error(f"{active.message.queue_id}: cannot be deferred, waits for a restart: {error}")
        self.wake()

    def _take_up(self, message: QueuedMessage) -> None:
        if message.queue_id in self._active:
            return  # requeued while we work on it: the record of the attempt under way decides
        active = ActiveMessage(message, self._clock())
        self._active[message.queue_id] = active
        self._recipients += len(message.pending)
        if message.requeue and message.pending:
            self._spawn(self._requeue(active), active)
            return
        sender = message.envelope.sender
        if message.envelope.verp and not active.verp:
            self._log.warning(f"{message.queue_id}: ignoring VERP request for null sender")
        deliverylog.taken_up(self._log, message.queue_id, sender, message.size, len(message.pending))
        self._spawn(self._resolve(active), active)

    def _let_go(self, queue_id: str) -> bool:
        """The message is not active any more; False when it was not."""
        active = self._active.pop(queue_id, None)
        if active is not None:
            self._recipients -= len(active.message.pending)
        return active is not None

    async def _requeue(self, active: ActiveMessage) -> None:
        """Send it through cleanup again; what cleanup refuses for good is returned to its sender."""
        message = active.message
        dsn, text, status = SYSTEM_FAILURE, "", Status.DEFERRED
        try:
            await self._requeuer.requeue(message)
        except MailError as error:
            dsn, text = error.reply.dsn or dsn, error.reply.lines[0]
            status = Status.DEFERRED if error.temporary else Status.BOUNCED
        except OSError as error:
            text = str(error)
        if not text:
            self._let_go(message.queue_id)
            self.wake()
            return
        self._log.warning(f"{message.queue_id}: cannot be requeued: {text}")
        active.requeue_failed = True
        results = [without_agent(self._clock(), pending.queued, status, dsn, text) for pending in message.pending]
        queued = tuple(pending.queued for pending in message.pending)
        delivery = Delivery(message.queue_id, "error", "", queued, ())
        self._settle(active, active.request(delivery), results, self._error_log)
        active.outstanding = 1
        await self._ended(active)

    async def _resolve(self, active: ActiveMessage) -> None:
        """Find each recipient's route and hand them to the scheduler; what has none ends here."""
        message = active.message
        routes: list[Route] = []
        refused: list[tuple[Delivery, DeliveryResult]] = []
        for count, pending in enumerate(message.pending, 1):
            if not count % _TURN:
                await asyncio.sleep(0)
            found = await self._router.route(message, pending.queued)
            if isinstance(found, Route):
                routes.append(found)
            else:
                refused.append((Delivery(message.queue_id, "error", "", (found.recipient,), ()), found))
        for delivery, result in refused:
            self._settle(active, active.request(delivery), [result], self._error_log)
        deliveries = self._scheduler.group(message.queue_id, routes, singly=bool(active.verp))
        active.outstanding = len(deliveries) + 1  # one more: it must not end before all of it is scheduled
        self._act(self._scheduler.arrival(deliveries))
        if len(self._active) > self._clog.threshold:
            for delivery in deliveries[:1]:
                limits = self._transports[delivery.transport].limits
                share = self._scheduler.share(delivery)
                self._clog.look(delivery, share, limits, len(self._active), self._steady())
        await self._ended(active)

    # --- deliveries --------------------------------------------------------------------------------------------------

    def _act(self, actions: Sequence[Action]) -> None:
        """Do what the scheduler wants."""
        for action in actions:
            active = self._active.get(action.delivery.queue_id)
            if isinstance(action, Start):
                self._spawn(self._deliver(action.delivery, active), active)
            elif active is not None:
                self._spawn(self._suspended(action.delivery, active, action.cause), active)

    async def _suspended(self, delivery: Delivery, active: ActiveMessage, cause: Cause) -> None:
        text = f"delivery temporarily suspended: {cause.text}"
        dsn = Dsn.parse(cause.dsn)
        results = [without_agent(self._clock(), queued, Status.DEFERRED, dsn, text) for queued in delivery.recipients]
        self._settle(active, active.request(delivery), results, self._error_log)
        await self._ended(active)

    async def _deliver(self, delivery: Delivery, active: ActiveMessage | None) -> None:
        """Run one delivery, tell the scheduler, and end the message if this was its last."""
        cause: Cause | None = None
        transport = self._transports[delivery.transport]
        try:
            if active is None or self._active.get(delivery.queue_id) is not active:
                return  # another delivery of the message has seen that it is gone
            try:
                prefix, content = await self._queue.content(delivery.queue_id)
            except (KeyError, OSError) as error:
                await self._unreadable(active, error)
                return
            request = active.request(delivery, prefix, content)
            results = await attempt(transport, request, self._parameters.daemon_timeout, self._clock)
            broken = next((result for result in results if result.destination_broken), None)
            cause = None if broken is None else Cause(str(broken.dsn), broken.text)
        finally:  # whatever happens: who has been given a place must give it back
            self._act(self._scheduler.result(delivery, cause, self._steady()))
            if self._scheduler.wake_at is not None:
                self._set_timer()
        self._settle(active, request, results, transport.log)
        await self._ended(active)

    def _settle(
        self, active: ActiveMessage, request: DeliveryRequest, results: Sequence[DeliveryResult], log: ServiceLog
    ) -> None:
        """Log the results and keep them until the message ends."""
        for given in results:
            result = softened(given) if self._parameters.soft_bounce else given
            active.results.append(result)
            for each in result.each():
                named = self._transports.get(each.transport) if each.transport else None
                whose = named.log if named is not None else log
                deliverylog.outcome(whose, request, each, self._parameters.delay_logging_resolution_limit)

    async def _unreadable(self, active: ActiveMessage, error: Exception) -> None:
        """The content is gone: deleted by the administrator (KeyError), or damaged."""
        queue_id = active.message.queue_id
        if not self._let_go(queue_id):
            return  # another delivery of the same message has seen it before
        self._scheduler.drop(queue_id)
        if isinstance(error, OSError):
            self._log.warning(f"{queue_id}: {error}; moved to the corrupt queue")
            try:
                await self._queue.quarantine(queue_id)
            except OSError as failure:
                self._log.error(f"{queue_id}: cannot be moved to the corrupt queue: {failure}")
        self.wake()

    # --- the end of an attempt ----------------------------------------------------------------------------------------

    async def _ended(self, active: ActiveMessage) -> None:
        """One delivery of the message has ended: record a part, or the whole when it was the last."""
        active.outstanding -= 1
        if not active.outstanding and self._active.get(active.message.queue_id) is active:
            await self._finish(active)
        else:  # or its content was gone, or it was put back
            await self._record_part(active)

    async def _record_part(self, active: ActiveMessage) -> None:
        """Record what was delivered since the last time."""
        part = active.recordable()
        if not part:
            return
        queue_id = active.message.queue_id
        try:
            await self._queue.record_attempt(Attempt(queue_id, part, 0.0, final=False))
        except OSError as error:
            self._log.warning(f"{queue_id}: cannot record a part of the attempt: {error}")  # the end will

    async def _finish(self, active: ActiveMessage) -> None:
        noticed = await self._conclusion.conclude(active) or self._is_full
        self._let_go(active.message.queue_id)
        self.finished += 1
        if noticed or self._more_deferred or len(self._active) + 1 >= self._parameters.qmgr_message_active_limit:
            self.wake()
