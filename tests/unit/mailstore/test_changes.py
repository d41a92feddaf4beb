"""Changes reach the listeners of other processes, here by a bus."""

from __future__ import annotations

import asyncio
import threading

from angarium.runtime.bus import Bus


def test_a_change_in_one_process_reaches_another(open_store, run, mail, tmp_path):
    directory = tmp_path / "bus"
    directory.mkdir()

    async def test():
        buses = [Bus(directory), Bus(directory)]
        for bus in buses:
            await bus.start()
        here, there = [open_store(bus=bus) for bus in buses]
        told = asyncio.Queue()
        there.subscribe("bob@example.test", told.put_nowait)
        here.subscribe("bob@example.test", told.put_nowait)
        account = await here.open("bob@example.test")
        (where,) = await account.append([mail()])
        changes = [await asyncio.wait_for(told.get(), 5) for _time in range(2)]
        assert {(change.account, change.mailbox, change.modseq) for change in changes} == {
            ("bob@example.test", where.mailbox, where.modseq)
        }
        other = await there.open("bob@example.test")
        assert (await other.changes(where.mailbox, 0)).states[0].uid == where.uid
        await here.close()
        await there.close()
        for bus in buses:
            bus.close()

    run(test())


def test_nonsense_on_the_bus_is_ignored(open_store, run, tmp_path):
    directory = tmp_path / "bus"
    directory.mkdir()

    async def test():
        bus = Bus(directory)
        await bus.start()
        store = open_store(bus=bus)
        told = []
        store.subscribe("bob@example.test", told.append)
        for payload in (
            "",
            "bob@example.test",
            "bob@example.test\0x\0y",
            "bob@example.test\0" + "1",
            "other@x\0" + "1\0" + "2",
        ):
            bus.publish("mailbox", payload)
        bus.publish("mailbox", "bob@example.test\0" + "1\0" + "2")
        for _turn in range(3):
            await asyncio.sleep(0)
        assert [(change.mailbox, change.modseq) for change in told] == [(1, 2)]
        await store.close()
        bus.close()

    run(test())


def test_keys_are_forgotten_after_their_lifetime(open_store, run, mail):
    now = [1_795_500_000.0]

    async def test():
        store = open_store(clock=lambda: now[0], duplicate_lifetime=100.0)
        account = await store.open("bob@example.test")
        await account.append([mail(key="first")])
        now[0] += 200
        for number in range(300):
            await account.append([mail(key=f"later {number}")])
        assert not (await account.append([mail(key="first")]))[0].duplicate
        assert (await account.append([mail(key="later 5")]))[0].duplicate
        await store.close()

    run(test())


def test_long_searches_of_one_account_wait_for_each_other(open_store, run):
    """Else one client with many connections keeps all threads from the others."""

    async def test():
        store = open_store()
        for name in ("alice", "bob"):
            await store.open(f"{name}@example.test")
        running, most, ended = 0, 0, threading.Event()

        def search(_connection):
            nonlocal running, most
            running += 1
            most = max(most, running)
            ended.wait(10)
            running -= 1

        many = [asyncio.ensure_future(store.read_aside("alice@example.test", search)) for _ in range(10)]
        while not running:
            await asyncio.sleep(0)
        assert await store.read_aside("bob@example.test", lambda _connection: 7) == 7
        ended.set()
        await asyncio.gather(*many)
        assert most == 1
        await store.close()

    run(test())
