"""The listing over its socket, as exporters and postqueue read it."""

from __future__ import annotations

import asyncio
import stat

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from angarium.daemons.qmgr import showq
from angarium.daemons.qmgr.showq import ShowqService
from angarium.mailqueue.interface import Attempt, NewMessage, PendingRecipient, QueuedMessage, QueueName
from angarium.mailqueue.listing import FAREWELL, GREETING, ListingError, ListingReader, encode
from angarium.mailqueue.sqlite import SqliteMailQueue
from angarium.model.content import MemoryContent
from angarium.model.delivery import DeliveryResult, QueuedRecipient, Status
from angarium.model.dsn import Dsn
from angarium.model.envelope import Envelope, Origin, Recipient
from angarium.runtime.log import MemoryLog, ServiceLog


async def listing(path) -> bytes:
    reader, writer = await asyncio.open_unix_connection(path)
    data = await reader.read()
    writer.close()
    await writer.wait_closed()
    return data


def served(tmp_path, fill):
    async def main():
        log = ServiceLog(MemoryLog(), "postfix/showq")
        queue = SqliteMailQueue(tmp_path, log)
        await fill(queue)
        path = tmp_path / "showq"
        service = ShowqService(queue, path, log)
        running = asyncio.create_task(service.run())
        while not path.exists() or stat.S_IMODE(path.stat().st_mode) != 0o666:
            await asyncio.sleep(0)
        data = await listing(path)
        service.drain()
        await running
        assert not path.exists()
        await queue.close()
        return data

    return asyncio.run(main())


def test_the_stream_is_postfixs(tmp_path):
    """But for ids and times, what showq of Postfix 3.7 wrote for the like."""

    async def fill(queue):
        recipients = tuple(Recipient(each, each) for each in ("a@slow.test", "b@two.test"))
        envelope = Envelope("alice@example.test", recipients, 1_795_507_866.5, Origin("ESMTP"))
        message = NewMessage(queue.allocate_id(), envelope, b"", MemoryContent(b"x" * 322))
        await queue.enqueue(message)
        await queue.lease(1, 2e9)
        deferred = [
            DeliveryResult(QueuedRecipient(n, each), Status.DEFERRED, Dsn(4, 4, 1), "none", reason)
            for n, (each, reason) in enumerate(zip(recipients, ("try again later", "other"), strict=True))
        ]
        await queue.record_attempt(Attempt(message.queue_id, deferred, 3e9))
        fill.queue_id = message.queue_id

    data = served(tmp_path, fill)
    assert data.replace(fill.queue_id.encode(), b"9B92320C3AC") == (
        b"protocol\0mail_queue_list_protocol\0\0queue_name\0deferred\0queue_id\0009B92320C3AC\0time\0001795507866\0"
        b"size\000322\0forced_expire\0000\0sender\0alice@example.test\0recipient\0a@slow.test\0reason\0"
        b"try again later\0recipient\0b@two.test\0reason\0other\0\0\0"
    )


def test_an_empty_queue(tmp_path):
    async def fill(queue):
        pass

    assert served(tmp_path, fill) == b"protocol\0mail_queue_list_protocol\0\0\0"


TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=30)
MESSAGE = st.builds(
    lambda queue_id, queue, sender, size, forced, people: QueuedMessage(
        queue_id,
        queue,
        Envelope(sender, tuple(Recipient(address, "") for address, _ in people), 12.0, Origin("")),
        size,
        12.0,
        0.0,
        0,
        tuple(
            PendingRecipient(QueuedRecipient(n, Recipient(address, "")), reason)
            for n, (address, reason) in enumerate(people)
        ),
        forced,
    ),
    TEXT,
    st.sampled_from(QueueName),
    st.one_of(st.just(""), TEXT.filter(lambda text: text != "MAILER-DAEMON")),
    st.integers(0, 2**40),
    st.booleans(),
    st.lists(st.tuples(TEXT, st.one_of(st.just(""), TEXT)), max_size=4),
)


@given(st.lists(MESSAGE, max_size=4), st.integers(1, 50))
@settings(max_examples=60)
def test_what_is_written_reads_back_in_any_pieces(messages, step):
    data = GREETING + b"".join(map(encode, messages)) + FAREWELL
    reader = ListingReader()
    read = []
    for at in range(0, len(data), step):
        read += reader.receive_data(data[at : at + step])
    assert read == messages
    assert reader.finished


@given(st.binary(max_size=200))
@settings(max_examples=60)
def test_other_bytes_are_refused_and_nothing_worse(data):
    reader = ListingReader()
    try:
        list(reader.receive_data(data))
    except ListingError:
        return
    assert not reader.finished


def test_a_string_without_end_is_refused():
    reader = ListingReader()
    with pytest.raises(ListingError):
        list(reader.receive_data(b"x" * 100_000))


def test_who_does_not_read_keeps_nobody_from_the_listing(tmp_path, monkeypatch):
    monkeypatch.setattr(showq, "CLIENTS", 3)

    async def main():
        log = ServiceLog(MemoryLog(), "postfix/showq")
        queue = SqliteMailQueue(tmp_path, log)
        people = tuple(Recipient(f"r{n}@x.test" + "y" * 200, "r") for n in range(5000))
        envelope = Envelope("a@x.test", people, 1.0, Origin("ESMTP"))
        await queue.enqueue(NewMessage(queue.allocate_id(), envelope, b"", MemoryContent(b"x")))
        path = tmp_path / "showq"
        service = ShowqService(queue, path, log)
        running = asyncio.create_task(service.run())
        while not path.exists():
            await asyncio.sleep(0)
        idle = [await asyncio.open_unix_connection(path) for _ in range(2)]
        while service._clients < 2:
            await asyncio.sleep(0)
        whole = await listing(path)
        assert whole.endswith(FAREWELL)
        assert len(whole) > 1_000_000
        idle.append(await asyncio.open_unix_connection(path))
        while service._clients < 3:
            await asyncio.sleep(0)
        assert await listing(path) == b""
        service.drain()
        await running
        for _reader, writer in idle:
            writer.transport.abort()
        while service._clients:
            await asyncio.sleep(0)
        await queue.close()

    asyncio.run(asyncio.wait_for(main(), 20))


def test_who_never_reads_is_cut_off(tmp_path, monkeypatch):
    monkeypatch.setattr(showq, "PATIENCE", 0.05)
    monkeypatch.setattr(showq, "LINGER", 0.05)

    async def main():
        log = ServiceLog(MemoryLog(), "postfix/showq")
        queue = SqliteMailQueue(tmp_path, log)
        people = tuple(Recipient(f"r{n}@x.test" + "y" * 200, "r") for n in range(5000))
        envelope = Envelope("a@x.test", people, 1.0, Origin("ESMTP"))
        await queue.enqueue(NewMessage(queue.allocate_id(), envelope, b"", MemoryContent(b"x")))
        path = tmp_path / "showq"
        service = ShowqService(queue, path, log)
        running = asyncio.create_task(service.run())
        while not path.exists():
            await asyncio.sleep(0)
        _reader, writer = await asyncio.open_unix_connection(path, limit=1)
        while not service._clients:
            await asyncio.sleep(0)
        (serving,) = (task for task in asyncio.all_tasks() if "_client" in repr(task.get_coro()))
        await serving
        writer.transport.abort()
        service.drain()
        await running
        await queue.close()

    asyncio.run(asyncio.wait_for(main(), 10))
