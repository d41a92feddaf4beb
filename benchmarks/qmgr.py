"""CPU that the queue manager costs a message, with an agent that delivers at once: lease, schedule, log, record.

python benchmarks/qmgr.py [--messages 20000] [--profile]
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import pstats
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import uvloop

from angarium.agents.bounce.interface import Notice
from angarium.agents.discard.main import DiscardAgent
from angarium.daemons.qmgr.attempt import Transport
from angarium.daemons.qmgr.main import QueueManager
from angarium.daemons.qmgr.parameters import QmgrParameters
from angarium.daemons.qmgr.requeue import Requeuer
from angarium.daemons.qmgr.scheduler import Limits
from angarium.mailqueue.interface import NewMessage
from angarium.mailqueue.sqlite import SqliteMailQueue
from angarium.model.content import MemoryContent
from angarium.model.envelope import Envelope, Origin, Recipient
from angarium.rewrite.interface import AddressClass, Resolution
from angarium.runtime.log import ServiceLog, open_log

ORIGIN = Origin("ESMTP", "client.example.test", "192.0.2.1", 4711, "client", "postfix/smtpd")
BODY = (b"x" * 76 + b"\r\n") * 52


class FixedResolver:
    """Everything to one place."""

    async def resolve(self, _sender: str, recipient: str) -> Resolution:
        return Resolution("virtual", "example.test", recipient, AddressClass.VIRTUAL_MAILBOX, "", "")

    def rewrite(self, address: str) -> str:
        return address


class NoReporter:
    """Nothing to report."""

    async def report(self, *_arguments: object) -> Sequence[Notice]:
        return []


async def measure(directory: Path, options: argparse.Namespace) -> None:
    log = ServiceLog(open_log(str(directory / "mail.log"), "text", "mail"), "postfix/qmgr")
    queue = SqliteMailQueue(directory, log)
    envelope = Envelope("a@example.test", (Recipient("b@example.test", "b@example.test"),), time.time(), ORIGIN)

    async def fill(count: int) -> None:
        for _ in range(count):
            await queue.enqueue(NewMessage(queue.allocate_id(), envelope, b"Received: x\r\n", MemoryContent(BODY)))

    await asyncio.gather(*(fill(options.messages // 200) for _ in range(200)))
    limits = Limits(process_limit=100, recipient_limit=1)
    transports = {"virtual": Transport(DiscardAgent(), log.child("postfix/virtual"), limits)}
    nothing_requeued = cast("Requeuer", None)
    manager = QueueManager(QmgrParameters(), queue, FixedResolver(), transports, NoReporter(), nothing_requeued, log)
    before = queue.statistics()
    wall, cpu = time.perf_counter(), time.process_time()
    service = asyncio.create_task(manager.run())
    while manager.finished < options.messages // 200 * 200:  # noqa: ASYNC110 - a counter has no event to wait for
        await asyncio.sleep(0.005)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    commits = queue.statistics()["commits"] - before["commits"]
    print(
        f"{options.messages / wall:.0f} messages/s, {cpu / options.messages * 1000:.3f} ms CPU each,"
        f" {commits / options.messages:.3f} commits each"
    )
    manager.drain()
    await service
    await queue.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--directory", type=Path, default=None)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.directory) as name:
        profile = cProfile.Profile()
        if arguments.profile:
            profile.enable()
        uvloop.run(measure(Path(name), arguments))
        if arguments.profile:
            profile.disable()
            pstats.Stats(profile).sort_stats("tottime").print_stats(35)
