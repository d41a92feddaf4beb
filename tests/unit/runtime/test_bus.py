import asyncio
import os
import time

import pytest

from angarium.runtime.bus import Bus


async def settle(condition):
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0)


def test_a_wake_up_reaches_others_and_ourselves(tmp_path):
    async def talk():
        first, second = Bus(tmp_path), Bus(tmp_path)
        await first.start()
        await second.start()
        heard = []
        first.subscribe("queue", lambda payload: heard.append(("first", payload)))
        second.subscribe("queue", lambda payload: heard.append(("second", payload)))
        second.subscribe("other", lambda payload: heard.append(("wrong", payload)))
        first.publish("queue", "4F2A")
        await settle(lambda: len(heard) == 2)
        first.close()
        second.close()
        return sorted(heard)

    assert asyncio.run(talk()) == [("first", "4F2A"), ("second", "4F2A")]
    assert list(tmp_path.iterdir()) == []


def test_the_socket_of_a_dead_process_is_removed(tmp_path):
    async def talk():
        dead, alive = Bus(tmp_path), Bus(tmp_path)
        await dead.start()
        await alive.start()
        path, dead._path = dead._path, tmp_path / "elsewhere"  # as a kill -9 leaves it
        dead.close()
        alive.publish("queue", "1")
        alive.close()
        return path.exists()

    assert asyncio.run(talk()) is False


def test_a_full_peer_drops_and_does_not_block(tmp_path):
    async def talk():
        deaf, loud = Bus(tmp_path), Bus(tmp_path)
        await deaf.start()
        await loud.start()
        for number in range(5000):
            loud.publish("queue", f"{number} " + "x" * 4090)
        loud._flush()
        counted = loud.statistics()
        deaf.close()
        loud.close()
        return counted

    counted = asyncio.run(talk())
    assert counted["dropped"] > 0
    assert counted["sent"] + counted["dropped"] == 5000


def test_wake_ups_of_one_turn_share_a_datagram(tmp_path):
    async def talk():
        first, second = Bus(tmp_path), Bus(tmp_path)
        await first.start()
        await second.start()
        heard = []
        second.subscribe("queue", heard.append)
        for payload in ("1", "2", "2", "3"):
            first.publish("queue", payload)
        await settle(lambda: len(heard) >= 3)
        first.publish("queue", "4")  # within the time that the next ones are gathered
        first.publish("queue", "5")
        await settle(lambda: len(heard) >= 5)
        first.publish("queue", "6")
        first.close()  # what waits is sent
        await settle(lambda: len(heard) >= 6)
        second.close()
        return heard, first.statistics()["sent"]

    assert asyncio.run(talk()) == (["1", "2", "3", "4", "5", "6"], 3)


def test_a_payload_has_a_bound(tmp_path):
    async def talk():
        bus = Bus(tmp_path)
        await bus.start()
        try:
            bus.publish("queue", "x" * 10_000)
        finally:
            bus.close()

    with pytest.raises(ValueError, match="wake-up"):
        asyncio.run(talk())


def test_a_path_that_is_too_long_for_a_socket_is_named(tmp_path):
    deep = tmp_path / ("d" * 100)
    deep.mkdir()
    with pytest.raises(OSError, match="d" * 100):
        asyncio.run(Bus(deep).start())


def test_one_who_joins_in_the_tick_of_a_look_around_is_heard_of(tmp_path):
    """Coarse clocks of file systems give two changes one time: a new queue manager must not go unheard for that."""

    async def talk():
        loud, late = Bus(tmp_path), Bus(tmp_path)
        await loud.start()
        stamp = time.time_ns()
        os.utime(tmp_path, ns=(stamp, stamp))
        loud.publish("queue", "1")
        loud._flush()
        await late.start()
        os.utime(tmp_path, ns=(stamp, stamp))
        heard = []
        late.subscribe("queue", heard.append)
        loud.publish("queue", "2")
        loud._flush()
        await settle(lambda: heard)
        loud.close()
        late.close()
        return heard

    assert asyncio.run(talk()) == ["2"]
