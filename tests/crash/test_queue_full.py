"""The queue on file systems that fill up at different points: WAL, checkpoint, its index, content files, notices.

What ``enqueue`` has acknowledged is there when there is room again, whole; what was recorded stays recorded; a
refusal is always "full", so that clients hear 452 4.3.1.
"""

from __future__ import annotations

import asyncio
import errno
import subprocess
import tempfile
from collections import defaultdict
from pathlib import Path

import pytest

from angarium.mailqueue.interface import Attempt, NewMessage
from angarium.mailqueue.sqlite import SqliteMailQueue
from angarium.model.content import MemoryContent
from angarium.model.delivery import DeliveryResult, Status
from angarium.model.dsn import Dsn
from angarium.model.envelope import Envelope, Origin, Recipient
from angarium.runtime.log import MemoryLog, ServiceLog
from angarium.runtime.spool import Spool
from angarium.runtime.sqlite import connect, integrity

LATER = 4_000_000_000.0
SMALL, LARGE, NOTICE = 20_000, 300_000, 600


@pytest.fixture(params=[180, 420, 700, 1300, 2100, 2900])
def place(request):
    """A file system of so many kilobytes."""
    directory = Path(tempfile.mkdtemp(prefix="angfull"))
    mount = ["mount", "-t", "tmpfs", "-o", f"size={request.param}k,mode=755", "angarium-test", str(directory)]
    done = subprocess.run(mount, capture_output=True, text=True)
    if done.returncode != 0:
        directory.rmdir()
        pytest.skip(f"a file system of its own cannot be mounted: {done.stderr.strip()}")
    yield directory
    subprocess.run(["umount", "-l", str(directory)], check=True)
    directory.rmdir()


class Load:
    """Enqueues and records, and remembers what was acknowledged."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.stored: set[str] = set()
        self.done: defaultdict[str, set[int]] = defaultdict(set)
        self.refusals: set[int | None] = set()
        (place / "spool").mkdir()
        self.spool = Spool(place / "spool")
        self.queue = self.open()

    def open(self) -> SqliteMailQueue:
        return SqliteMailQueue(self.place, ServiceLog(MemoryLog(), "postfix/qmgr"))

    def content(self, *, large: bool):
        if not large:
            return MemoryContent(b"x" * SMALL)
        file = self.spool.create()
        try:
            file.write(b"x" * LARGE)
        except OSError:
            file.abandon()
            raise
        return file.finish()

    async def put(self, *, large: bool = False) -> bool:
        people = tuple(Recipient(f"b{k}@x.test", f"b{k}@x.test") for k in range(3))
        envelope = Envelope("a@x.test", people, 1.0, Origin("ESMTP"))
        try:
            queue_id = self.queue.allocate_id()
            await self.queue.enqueue(NewMessage(queue_id, envelope, b"P: p\r\n", self.content(large=large)))
        except OSError as error:
            self.refusals.add(error.errno)
            return False
        self.stored.add(queue_id)
        return True

    async def attempt(self) -> None:
        """One recipient gets it, two wait, and the sender hears of it."""
        try:
            for message in await self.queue.lease(4, LATER):
                _prefix, content = await self.queue.content(message.queue_id)
                assert len(content.read()) in (SMALL, LARGE, NOTICE)
                first, *others = message.pending
                sent = DeliveryResult(first.queued, Status.SENT, Dsn(2, 0, 0), "none", "t")
                later = [DeliveryResult(each.queued, Status.DEFERRED, Dsn(4, 0, 0), "none", "t") for each in others]
                notice = NewMessage(self.queue.allocate_id(), message.envelope, b"", MemoryContent(b"x" * NOTICE))
                await self.queue.record_attempt(Attempt(message.queue_id, [sent], 0.0, final=False))
                self.done[message.queue_id].add(first.queued.number)
                await self.queue.record_attempt(Attempt(message.queue_id, [sent, *later], 1.0, [notice]))
        except OSError as error:
            self.refusals.add(error.errno)


def test_nothing_is_lost_wherever_the_disk_is_full(place):
    async def main():
        load = Load(place)
        await load.queue.take_over()
        refused = 0
        for number in range(400):
            refused += not await load.put(large=number % 7 == 0)
            if number % 5 == 0 or refused:
                await load.attempt()
            if refused > 5:
                break
        assert load.refusals == {errno.ENOSPC}
        await asyncio.to_thread(subprocess.run, ["mount", "-o", "remount,size=64m", str(place)], check=True)
        assert await load.put()
        await load.queue.close()
        queue = load.open()
        await queue.take_over()
        found = {message.queue_id: message async for message in queue.messages()}
        gone = {queue_id for queue_id, numbers in load.done.items() if len(numbers) == 3}
        assert load.stored <= set(found) | gone
        for queue_id, message in found.items():
            _prefix, content = await queue.content(queue_id)
            assert len(content.read()) == content.size
            assert not load.done[queue_id] & {pending.queued.number for pending in message.pending}
        await queue.close()

    asyncio.run(main())
    connection = connect(place / "queue.db")
    assert integrity(connection) == []
    connection.close()
