"""Accepting no more connections than a limit."""

from __future__ import annotations

import asyncio
import errno
import socket

import pytest
import uvloop
from hypothesis import given
from hypothesis import strategies as st

from angarium.runtime import admission
from angarium.runtime.admission import Admission, share


@given(st.integers(0, 500), st.integers(1, 64))
def test_shares_add_up(limit, workers):
    shares = [share(limit, number, workers) for number in range(workers)]
    assert sum(shares) == limit
    assert max(shares) - min(shares) <= 1


def listener():
    made = socket.create_server(("127.0.0.1", 0))
    made.setblocking(False)
    return made


def connect(to):
    return socket.create_connection(to.getsockname(), 5)


@pytest.mark.parametrize("limit", [1, 2, 5])
def test_no_more_than_the_limit_is_inside(limit):
    async def test():
        inside, warnings = [], []
        came = asyncio.Condition()

        def admit(client, _peer):
            inside.append(client)
            asyncio.get_running_loop().create_task(tell())

        async def tell():
            async with came:
                came.notify_all()

        async def wait(number):
            async with asyncio.timeout(5), came:
                await came.wait_for(lambda: len(inside) >= number)

        doors = [listener(), listener()]
        gate = Admission(limit, admit, warnings.append)
        gate.open(doors)
        clients = [connect(doors[number % 2]) for number in range(2 * limit + 1)]
        await wait(limit)
        for _turn in range(10):
            await asyncio.sleep(0)
        assert gate.statistics() == {"inside": limit, "limit": limit}
        for number in range(limit + 1):
            inside[number].close()
            gate.leave()
            await wait(limit + 1 + number)
        assert len(inside) == len(clients)
        gate.close()
        for each in (*clients, *inside):
            each.close()
        assert warnings == []

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(test())


def test_nobody_is_let_in_where_the_share_is_nought():
    async def test():
        door = listener()
        gate = Admission(0, lambda *_args: pytest.fail("admitted"), pytest.fail)
        gate.open([door])
        with connect(door):
            for _turn in range(10):
                await asyncio.sleep(0)
        gate.close()

    asyncio.run(test())


def test_without_file_descriptors_it_waits_and_goes_on(monkeypatch):
    monkeypatch.setattr(admission, "_PAUSE", 0.01)

    class Door:
        failures = 1

        def __init__(self, real):
            self.real = real
            self.fileno, self.close = real.fileno, real.close

        def accept(self):
            if self.failures:
                self.failures -= 1
                raise OSError(errno.EMFILE, "Too many open files")
            return self.real.accept()

    async def test():
        door = listener()
        warnings = []
        admitted = asyncio.get_running_loop().create_future()
        gate = Admission(1, lambda client, _peer: admitted.set_result(client), warnings.append)
        gate.open([Door(door)])
        with connect(door):
            async with asyncio.timeout(5):
                (await admitted).close()
        gate.close()
        assert warnings == ["accept connection: Too many open files"]

    asyncio.run(test())
