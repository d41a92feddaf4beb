"""Fills a mailbox or the queue through the stores themselves, where over SMTP it would take many minutes."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import uvloop

from angarium.mailqueue.interface import Attempt, NewMessage, QueuedMessage
from angarium.mailqueue.sqlite import SqliteMailQueue
from angarium.mailstore.interface import NewMail
from angarium.mailstore.main import open_mailstore
from angarium.mailstore.parameters import MailstoreParameters
from angarium.model.content import MemoryContent
from angarium.model.delivery import DeliveryResult, Status
from angarium.model.dsn import Dsn
from angarium.model.envelope import Envelope, Origin, Recipient
from angarium.runtime.log import MemoryLog, ServiceLog
from benchmarks.messages import message

_TOGETHER = 1000
_SIZE = 600
_DAYS = 86400.0


def mailbox(base: Path, account: str, count: int) -> None:
    """Append that many small messages to the account's INBOX."""
    uvloop.run(_mailbox(base, account, count))


async def _mailbox(base: Path, account: str, count: int) -> None:
    store = open_mailstore(MailstoreParameters(base), ServiceLog(MemoryLog(), "benchmark"))
    handle = await store.open(account)
    now = time.time()
    for start in range(0, count, _TOGETHER):
        numbers = range(start, min(start + _TOGETHER, count))
        await handle.append(
            [
                NewMail("INBOX", b"", MemoryContent(message(number, account, _SIZE)), frozenset(), now, 0, f"f{number}")
                for number in numbers
            ]
        )
    await store.close()


def queue(directory: Path, count: int) -> None:
    """Leave that many messages to a thousand domains in the queue, deferred until tomorrow."""
    uvloop.run(_queue(directory, count))


async def _queue(directory: Path, count: int) -> None:
    queued = SqliteMailQueue(directory, ServiceLog(MemoryLog(), "postfix/qmgr"))
    await queued.take_over()
    now = time.time()
    origin = Origin("ESMTP", "client.example.test", "192.0.2.1", 4711, "client", "postfix/smtpd")

    def new(number: int) -> NewMessage:
        address = f"user@domain{number % 1000}.example"
        envelope = Envelope(f"sender{number % 97}@example.org", (Recipient(address, address),), now, origin)
        return NewMessage(queued.allocate_id(), envelope, b"", MemoryContent(message(number, address, _SIZE)))

    async def defer(one: QueuedMessage) -> None:
        refused = "connect to mail.example[192.0.2.2]:25: Connection refused"
        results = [DeliveryResult(each.queued, Status.DEFERRED, Dsn(4, 4, 1), "smtp", refused) for each in one.pending]
        await queued.record_attempt(Attempt(one.queue_id, results, now + _DAYS))

    for start in range(0, count, _TOGETHER):
        numbers = range(start, min(start + _TOGETHER, count))
        await asyncio.gather(*(queued.enqueue(new(number)) for number in numbers))
        while leased := await queued.lease(_TOGETHER, now + 1):
            await asyncio.gather(*map(defer, leased))
    await queued.close()
