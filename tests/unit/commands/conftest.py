"""A queue with mail in it, for the commands that look at it and change it."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from angarium.mailqueue.control import QueueControl
from angarium.mailqueue.interface import Attempt, NewMessage, QueuedMessage, QueueName
from angarium.mailqueue.sqlite import SqliteMailQueue
from angarium.model.content import MemoryContent
from angarium.model.delivery import DeliveryResult, QueuedRecipient, Status
from angarium.model.dsn import Dsn
from angarium.model.envelope import Envelope, Origin, Recipient
from angarium.runtime.log import MemoryLog, ServiceLog

ORIGIN = Origin("ESMTP", "localhost", "127.0.0.1", 4711, "client.example.test", "postfix/smtpd")


@dataclass(frozen=True)
class QueueSite:
    """A configuration directory with its queue."""

    etc: Path
    directory: Path
    log: Path

    def put(
        self,
        *recipients: str,
        sender: str = "alice@example.test",
        queue: QueueName = QueueName.DEFERRED,
        age: float = 0,
        reason: str = "try again later",
        done: tuple[str, ...] = (),
        content: bytes = b"Subject: test\r\n\r\nhello\r\n",
    ) -> str:
        """Enqueue a message, in this queue; recipients in ``done`` have it. Its id."""
        return asyncio.run(self._put(recipients, sender, queue, time.time() - age, reason, done, content))

    async def _put(self, recipients, sender, place, arrival, reason, done, content) -> str:
        queue = SqliteMailQueue(self.directory, ServiceLog(MemoryLog(), "postfix/qmgr"))
        envelope = Envelope(sender, tuple(Recipient(each, each) for each in recipients), arrival, ORIGIN)
        message = NewMessage(queue.allocate_id(), envelope, b"", MemoryContent(content), place is QueueName.HOLD)
        await queue.enqueue(message)
        if place in (QueueName.ACTIVE, QueueName.DEFERRED):
            await queue.lease(1000, time.time(), deferred=False)
        if place is QueueName.DEFERRED:
            results = [
                DeliveryResult(
                    QueuedRecipient(number, each),
                    Status.SENT if each.address in done else Status.DEFERRED,
                    Dsn(4, 4, 1),
                    "none",
                    reason,
                )
                for number, each in enumerate(envelope.recipients)
            ]
            await queue.record_attempt(Attempt(message.queue_id, results, time.time() + 1000))
        await queue.close()
        return message.queue_id

    def state(self) -> dict[str, str]:
        """The queue of each message."""
        with QueueControl(self.directory, readonly=True) as queue:
            return {message.queue_id: message.queue.value for message in queue.messages()}

    def message(self, queue_id: str) -> QueuedMessage:
        """One message."""
        with QueueControl(self.directory, readonly=True) as queue:
            found = queue.find(queue_id)
        assert found is not None
        return found


@pytest.fixture
def queue_site(tmp_path: Path) -> QueueSite:
    directory = tmp_path / "queue"
    directory.mkdir()
    etc = tmp_path / "etc"
    etc.mkdir()
    log = tmp_path / "mail.log"
    (etc / "main.cf").write_text(
        f"queue_directory = {directory}\nmyhostname = mail.example.test\nmaillog_file = {log}\n"
    )
    (etc / "master.cf").write_text("")
    return QueueSite(etc, directory, log)
