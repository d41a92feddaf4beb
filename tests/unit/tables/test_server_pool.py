"""The pool of servers, with servers that are made up and a clock that stands still until it is told."""

import asyncio

import pytest

from angarium.tables.database.lookup import LookupFailedError
from angarium.tables.database.servers import Limits, QueryError, Server, ServerError, ServerPool, parse_server

A, B, U = Server("a", host="a"), Server("b", host="b"), Server("/u", path="/u")


class Fake:
    """A driver whose servers are up, down, hung or broken, by name."""

    kind = "fake"

    def __init__(self, **moods):
        self.moods = moods
        self.connects = []
        self.open = 0

    async def connect(self, server):
        self.connects.append(server.name)
        mood = self.moods.get(server.name.strip("/"), "up")
        if mood == "down":
            raise ServerError("Connection refused")
        if mood == "hung":
            await asyncio.sleep(60)
        self.open += 1
        return server.name

    def discard(self, connection):
        self.open -= 1

    async def settle(self):
        pass

    async def close(self, connection):
        self.open -= 1


class Bench:
    def __init__(self, *servers, limits=None, **moods):
        self.driver = Fake(**moods)
        self.now = 1000.0
        self.warnings = []
        self.pool = ServerPool(
            servers,
            self.driver,
            limits or Limits(0.02, 0.02),
            self.warnings.append,
            lambda: self.now,
            lambda all_: all_[0],
        )
        self.faults = {}

    async def work(self, connection):
        fault = self.faults.get(connection)
        if isinstance(fault, list):
            fault = fault.pop(0) if fault else None
        if fault == "hang":
            await asyncio.sleep(60)
        if fault is not None:
            raise fault
        return connection

    async def ask(self):
        try:
            return await self.pool.run("fake:t", self.work)
        except LookupFailedError as error:
            return error


def run(work):
    return asyncio.run(work)


def test_a_connection_is_used_again():
    bench = Bench(A, B)

    async def work():
        return [await bench.ask(), await bench.ask()], await bench.pool.close()

    assert run(work())[0] == ["a", "a"]
    assert bench.driver.connects == ["a"]
    assert bench.driver.open == 0


def test_sockets_come_before_networks_and_those_in_use_before_others():
    bench = Bench(A, U, u="down")

    async def work():
        first = await bench.ask()
        bench.driver.moods.clear()
        bench.now += 61
        second = await bench.ask()
        await bench.pool.close()
        return first, second

    assert run(work()) == ("a", "a")
    assert bench.driver.connects == ["/u", "a"]


def test_a_server_that_is_down_is_left_alone_for_a_minute():
    bench = Bench(A, a="down")

    async def work():
        answers = [await bench.ask(), await bench.ask()]
        bench.driver.moods.clear()
        bench.now += 59
        answers.append(await bench.ask())
        bench.now += 2
        answers.append(await bench.ask())
        await bench.pool.close()
        return answers

    answers = run(work())
    assert str(answers[0]) == "connect to fake server a: Connection refused"
    assert str(answers[1]) == str(answers[2]) == "no fake server is available"
    assert answers[3] == "a"
    assert bench.warnings == ["fake:t: connect to fake server a: Connection refused"]


def test_a_hung_server_is_left_for_another():
    bench = Bench(A, B, a="hung")
    bench.faults["b"] = ["hang"]

    async def work():
        return await bench.ask()

    assert isinstance(run(work()), LookupFailedError)
    assert bench.warnings == [
        "fake:t: connect to fake server a: no connection within 0.02 seconds",
        "fake:t: query failed: b did not answer within 0.02 seconds",
    ]
    assert bench.driver.open == 0


def test_one_query_that_takes_too_long_puts_nobody_aside_but_two_in_a_row_do():
    bench = Bench(A)

    async def work():
        answers = []
        for fault in ("hang", None, "hang", "hang", None):
            bench.faults["a"] = fault
            answers.append(await bench.ask())
        bench.now += 61
        answers.append(await bench.ask())
        await bench.pool.close()
        return [str(each) for each in answers]

    slow, gone = "a did not answer within 0.02 seconds", "no fake server is available"
    assert run(work()) == [slow, "a", slow, slow, gone, "a"]


def test_a_connection_that_broke_while_it_idled_is_replaced_without_a_word():
    bench = Bench(A)

    async def work():
        await bench.ask()
        bench.faults["a"] = [ServerError("gone away")]
        answer = await bench.ask()
        await bench.pool.close()
        return answer

    assert run(work()) == "a"
    assert bench.driver.connects == ["a", "a"]
    assert not bench.warnings


def test_a_new_connection_that_breaks_puts_the_server_aside():
    bench = Bench(A, B)
    bench.faults["a"] = ServerError("gone away")

    async def work():
        answers = [await bench.ask(), await bench.ask()]
        await bench.pool.close()
        return answers

    assert run(work()) == ["b", "b"]
    assert bench.driver.connects == ["a", "b"]
    assert bench.warnings == ["fake:t: query failed: gone away"]


def test_a_refused_query_is_tried_elsewhere_and_puts_nobody_aside():
    bench = Bench(A, B)
    bench.faults["a"] = [QueryError("syntax error")]

    async def work():
        answers = [await bench.ask(), await bench.ask()]
        bench.faults.update(a=QueryError("no"), b=QueryError("never", broken=True))
        answers.append(await bench.ask())
        open_ones = bench.driver.open
        await bench.pool.close()
        return answers, open_ones

    answers, open_ones = run(work())
    assert answers[:2] == ["b", "b"] or answers[:2] == ["b", "a"]
    assert str(answers[2]) in ("no", "never")
    assert open_ones == 1


def test_connections_are_bounded_and_waiting_for_one_too():
    bench = Bench(A, limits=Limits(0.05, 0.05, connections=2))

    async def slow(connection):
        await asyncio.sleep(0.03)
        return connection

    async def work():
        answers = await asyncio.gather(*(bench.pool.run("fake:t", slow) for _ in range(4)))
        most = len(bench.driver.connects)
        late = await asyncio.gather(*(bench.pool.run("fake:t", slow) for _ in range(20)), return_exceptions=True)
        await bench.pool.close()
        return answers, most, late

    answers, most, late = run(work())
    assert answers == ["a"] * 4
    assert most == 2
    assert any(isinstance(each, LookupFailedError) and "busy" in str(each) for each in late)


def test_idle_connections_close():
    bench = Bench(A, limits=Limits(1, 1, idle_interval=0.01))

    async def work():
        await bench.ask()
        bench.now += 1
        while bench.driver.open:
            await asyncio.sleep(0.005)
        return await bench.ask(), await bench.pool.close()

    assert run(work())[0] == "a"
    assert bench.driver.connects == ["a", "a"]


def test_another_loop_starts_anew():
    bench = Bench(A)
    assert run(bench.ask()) == "a"
    assert run(bench.ask()) == "a"
    assert bench.driver.connects == ["a", "a"]


def test_a_caller_that_gives_up_leaves_no_connection_behind():
    bench = Bench(A, limits=Limits(60, 60))
    bench.faults["a"] = "hang"

    async def work():
        task = asyncio.create_task(bench.ask())
        await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        bench.faults.clear()
        answer = await bench.ask()
        await bench.pool.close()
        return answer

    assert run(work()) == "a"
    assert bench.driver.open == 0


@pytest.mark.parametrize(
    ("text", "server"),
    [
        ("unix:/run/s", Server("/run/s", path="/run/s")),
        ("/run/s", Server("/run/s", path="/run/s")),
        ("inet:h:33", Server("h:33", host="h", port="33")),
        ("h", Server("h", host="h")),
        ("h:mysql", Server("h:mysql", host="h", port="mysql")),
        ("[::1]:33", Server("[::1]:33", host="::1", port="33")),
        ("inet:[::1]", Server("[::1]", host="::1")),
    ],
)
def test_hosts(text, server):
    assert parse_server(text) == server
