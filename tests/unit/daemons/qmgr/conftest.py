"""A queue manager on a real queue with agents, resolver and reporter in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from angarium.agents.bounce.interface import Notice
from angarium.daemons.qmgr.attempt import Transport
from angarium.daemons.qmgr.main import QueueManager
from angarium.daemons.qmgr.parameters import QmgrParameters
from angarium.daemons.qmgr.requeue import Requeuer
from angarium.daemons.qmgr.scheduler import Limits
from angarium.mailqueue.interface import NewMessage
from angarium.mailqueue.sqlite import SqliteMailQueue
from angarium.model.content import MemoryContent
from angarium.model.delivery import DeliveryResult, Status
from angarium.model.dsn import Dsn
from angarium.model.envelope import Envelope, Notify, Origin, Recipient
from angarium.rewrite.interface import AddressClass, Resolution
from angarium.runtime.log import MemoryLog, ServiceLog

ORIGIN = Origin("ESMTP", "client", "192.0.2.1", 1, "client", "postfix/smtpd")


class FakeClock:
    """Time that passes only when told."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


class FakeResolver:
    """Everything goes to the transport that the domain names: ``bob@virtual.test`` to ``virtual``."""

    def __init__(self) -> None:
        self.answers = {}

    async def resolve(self, sender, recipient):
        if recipient in self.answers:
            return self.answers[recipient]
        domain = recipient.rpartition("@")[2]
        transport = domain.removesuffix(".test")
        return Resolution(transport, domain, recipient, AddressClass.DEFAULT, "test", "test")

    def rewrite(self, address):
        return address


class FakeAgent:
    """Delivers into a list, or does what ``script`` says of an address."""

    def __init__(self, clock) -> None:
        self.clock = clock
        self.delivered = []
        self.requests = []
        self.script = {}
        self.gate = None

    async def deliver(self, request):
        self.requests.append(request)
        if self.gate is not None:
            await self.gate.wait()
        results = []
        for queued in request.recipients:
            address = queued.recipient.address
            outcome = self.script.get(address, (Status.SENT, "2.0.0", "delivered to maildir"))
            if isinstance(outcome, Exception):
                raise outcome
            status, dsn, text, *more = outcome
            if status is Status.SENT:
                self.delivered.append((request.queue_id, address, request.prefix + request.content.read()))
            results.append(
                DeliveryResult(
                    queued,
                    status,
                    Dsn.parse(dsn),
                    "virtual",
                    text,
                    finished=self.clock(),
                    destination_broken="broken" in more,
                )
            )
        return results


class FakeReporter:
    """Notices whose body is the list of what they report."""

    def __init__(self, queue) -> None:
        self.queue = queue
        self.reports = []
        self.error = None

    async def report(self, event, message, prefix, content, results):
        if self.error is not None:
            raise self.error
        self.reports.append((event, [result.recipient.recipient.address for result in results]))
        if not message.envelope.sender:
            return []
        envelope = Envelope("", (Recipient(message.envelope.sender, message.envelope.sender),), 0.0, ORIGIN)
        new = NewMessage(self.queue.allocate_id(), envelope, b"", MemoryContent(event.name.encode()))
        return [Notice(new, f"sender {event.noun}")]


class FakeCleanup:
    """Changes recipients as ``aliases`` says, or refuses."""

    def __init__(self) -> None:
        self.aliases = {}
        self.error = None

    async def process(self, queue_id, envelope, content, *, hold=False):
        if self.error is not None:
            raise self.error
        recipients = tuple(
            replace(recipient, address=address)
            for recipient in envelope.recipients
            for address in self.aliases.get(recipient.address, [recipient.address])
        )
        return NewMessage(queue_id, replace(envelope, recipients=recipients), b"Received: again\r\n", content, hold)


class World:
    """One queue with its manager."""

    def __init__(self, directory, **parameters) -> None:
        self.directory = directory
        self.clock = FakeClock()
        self.steady = FakeClock()
        self.memory = MemoryLog()
        self.log = ServiceLog(self.memory, "postfix/qmgr")
        self.queue = SqliteMailQueue(directory, self.log, clock=self.clock, announce=lambda _id: self.manager.wake())
        self.resolver = FakeResolver()
        self.agent = FakeAgent(self.clock)
        self.reporter = FakeReporter(self.queue)
        self.cleanup = FakeCleanup()
        self.limits = {"virtual": Limits(), "smtp": Limits()}
        self.parameters = QmgrParameters(**parameters)
        self.manager = self.make_manager()

    def make_manager(self) -> QueueManager:
        transports = {
            name: Transport(self.agent, self.log.child(f"postfix/{name}"), limits)
            for name, limits in self.limits.items()
        }
        return QueueManager(
            self.parameters,
            self.queue,
            self.resolver,
            transports,
            self.reporter,
            Requeuer(
                self.queue,
                self.cleanup,
                lambda queue_id, envelope: (
                    f"Received: by us, userid {envelope.origin.uid}\r\n\tid {queue_id}\r\n".encode()
                ),
                self.log.child("postfix/pickup"),
                self.clock,
            ),
            self.log,
            clock=self.clock,
            steady=self.steady,
        )

    @property
    def lines(self) -> list[str]:
        return self.memory.lines

    async def enqueue(
        self, *addresses, sender="alice@virtual.test", notify=Notify.UNSAID, body=b"Subject: x\r\n\r\nhi\r\n"
    ):
        recipients = tuple(Recipient(address, address, notify) for address in addresses or ("bob@virtual.test",))
        envelope = Envelope(sender, recipients, self.clock(), ORIGIN)
        message = NewMessage(self.queue.allocate_id(), envelope, b"Received: us\r\n", MemoryContent(body))
        await self.queue.enqueue(message)
        self.manager.wake()
        return message.queue_id

    async def listed(self):
        return [message async for message in self.queue.messages()]

    async def settled(self) -> None:
        """Until nothing is incoming or active, nor under way."""
        for _ in range(10_000):
            await asyncio.sleep(0.001)
            if self.manager.statistics()["active"]:
                continue
            if all(message.queue.value in ("deferred", "hold") for message in await self.listed()):
                return
        raise AssertionError(self.lines)

    async def later(self, seconds: float) -> None:
        """Let time pass, and wait until the queue manager has done what was due."""
        self.clock.now += seconds
        self.steady.now += seconds
        self.manager.wake()
        while self.manager._next_scan <= self.clock.now or self.manager._more_deferred:
            await asyncio.sleep(0.001)
        await self.settled()


@pytest.fixture
def make_world(tmp_path) -> Callable[[], World]:
    """Makes a world whose manager does not run; for use inside a loop."""
    return lambda: World(tmp_path)


@pytest.fixture
def run_world(tmp_path) -> Callable[..., World]:
    """Runs ``work(world)`` beside a running queue manager; drains and closes afterwards."""

    def run(work: Callable[[World], Awaitable[None]], limits=None, **parameters) -> World:
        async def main() -> World:
            world = World(tmp_path, **parameters)
            if limits:
                world.limits.update(limits)
                world.manager = world.make_manager()
            service = asyncio.create_task(world.manager.run())
            try:
                await work(world)
            finally:
                world.manager.drain()
                await service
                await world.queue.close()
            return world

        return asyncio.run(asyncio.wait_for(main(), 20))

    return run
