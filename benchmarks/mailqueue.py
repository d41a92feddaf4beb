"""Rates and CPU of the queue: enqueue by concurrent callers, then lease, read and record; empty and with a backlog.

python benchmarks/mailqueue.py [--messages 20000] [--callers 10] [--backlog 100000] [--size 4096]
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from pathlib import Path

import uvloop

from angarium.mailqueue.interface import Attempt, NewMessage, QueuedMessage
from angarium.mailqueue.sqlite import SqliteMailQueue
from angarium.model.content import MemoryContent
from angarium.model.delivery import DeliveryResult, Status
from angarium.model.dsn import Dsn
from angarium.model.envelope import Envelope, Origin, Recipient
from angarium.runtime.log import MemoryLog, ServiceLog

ORIGIN = Origin("ESMTP", "client.example.test", "192.0.2.1", 4711, "client", "postfix/smtpd")
OK = Dsn(2, 0, 0)


class Meter:
    """Prints rate and CPU of a block."""

    def __init__(self, what: str, count: int) -> None:
        self.what, self.count = what, count

    def __enter__(self) -> None:
        self.wall, self.cpu = time.perf_counter(), time.process_time()

    def __exit__(self, *_exc: object) -> None:
        wall, cpu = time.perf_counter() - self.wall, time.process_time() - self.cpu
        print(f"{self.what:32s} {self.count / wall:8.0f}/s  {cpu / self.count * 1000:6.3f} ms CPU each", flush=True)


async def fill(queue: SqliteMailQueue, count: int, callers: int, body: bytes) -> None:
    envelope = Envelope("a@example.test", (Recipient("b@example.test", "b@example.test"),), time.time(), ORIGIN)
    prefix = b"Received: from client.example.test by mail.example.test\r\n" * 3
    content = MemoryContent(body)

    async def caller(share: int) -> None:
        for _ in range(share):
            await queue.enqueue(NewMessage(queue.allocate_id(), envelope, prefix, content))

    await asyncio.gather(*(caller(count // callers) for _ in range(callers)))


async def drain(queue: SqliteMailQueue, count: int, batch: int = 100) -> None:
    async def one(message: QueuedMessage) -> None:
        _prefix, content = await queue.content(message.queue_id)
        assert content.size
        result = DeliveryResult(message.pending[0].queued, Status.SENT, OK, "virtual", "delivered")
        assert await queue.record_attempt(Attempt(message.queue_id, [result], 0.0))

    left = count
    while left:
        messages = await queue.lease(min(batch, left), time.time())
        await asyncio.gather(*(one(message) for message in messages))
        left -= len(messages)


async def measure(directory: Path, options: argparse.Namespace) -> None:
    queue = SqliteMailQueue(directory, ServiceLog(MemoryLog(), "postfix/qmgr"))
    await queue.take_over()
    body = (b"x" * 76 + b"\r\n") * (options.size // 78)
    for label in ("empty", f"backlog {options.backlog}"):
        if label != "empty":
            with Meter("  filling the backlog", options.backlog):
                await fill(queue, options.backlog, 200, body)
        with Meter(f"enqueue, {label}", options.messages):
            await fill(queue, options.messages, options.callers, body)
        with Meter(f"lease + read + record, {label}", options.messages):
            await drain(queue, options.messages)
    print("size of queue.db:", (directory / "queue.db").stat().st_size >> 20, "MiB", queue.statistics())
    await queue.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--callers", type=int, default=10)
    parser.add_argument("--backlog", type=int, default=100_000)
    parser.add_argument("--size", type=int, default=4096)
    parser.add_argument("--directory", type=Path, default=None)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.directory) as name:
        uvloop.run(measure(Path(name), arguments))
