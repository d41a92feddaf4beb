import asyncio
import contextlib
import sqlite3
import subprocess
import sys

import pytest

from angarium.runtime.sqlite import SqlError
from angarium.runtime.sqlite_reader import InterruptError, SqliteReader, TooLargeError

WRITER = """
import sqlite3, sys
database = sqlite3.connect(sys.argv[1], isolation_level=None)
database.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
sys.stdin.readline()
database.execute("COMMIT")
"""


@contextlib.contextmanager
def locked(path):
    """A process that has the database to itself until it is told to go on."""
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as writer:
        writer.stdout.readline()
        yield writer


@pytest.fixture
def path(tmp_path):
    place = tmp_path / "t.db"
    with contextlib.closing(sqlite3.connect(place)) as database:
        database.executescript("CREATE TABLE t (k, v); INSERT INTO t VALUES ('a', 'one'), ('b', NULL);")
    return place


def ask(path, *queries, seconds=5.0, limit=1000, between=lambda: None, clock=None):
    async def work():
        reader = SqliteReader(path, seconds, limit, **({"clock": clock} if clock else {}))
        answers = []
        for query in queries:
            answers.append(await reader.column(query))
            between()
        reader.close()
        return answers

    return asyncio.run(work())


def test_the_first_column_as_sqlite_writes_it(path):
    query = "SELECT v, k FROM t ORDER BY k"
    numbers = "SELECT 1 UNION ALL SELECT 1.0 UNION ALL SELECT 1e100 UNION ALL SELECT x'c3bc' UNION ALL SELECT x'ff'"
    assert ask(path, query, numbers) == [["one", None], ["1", "1.0", "1.0e+100", "ü", "\udcff"]]


def test_one_statement_runs_and_nothing_is_written(path):
    assert ask(path, "SELECT 1; DROP TABLE t; SELECT 2", "SELECT v FROM t WHERE k = 'a'") == [["1"], ["one"]]
    with pytest.raises(SqlError):
        ask(path, "INSERT INTO t VALUES ('c', 'd')")


@pytest.mark.parametrize("query", ["SELEC", "SELECT nosuch FROM t", "SELECT v FROM nosuch", "SELECT '"])
def test_wrong_queries(path, query):
    with pytest.raises(SqlError):
        ask(path, query)


def test_a_query_without_an_end_is_stopped_and_the_loop_goes_on_meanwhile(path):
    endless = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT max(x) FROM c"

    async def work():
        reader = SqliteReader(path, 0.3, 1000)
        query = asyncio.create_task(reader.column(endless))
        turns = 0
        while not query.done():
            await asyncio.sleep(0.01)
            turns += 1
        reader.close()
        return turns, query.exception()

    turns, error = asyncio.run(work())
    assert isinstance(error, InterruptError)
    assert turns > 3


def test_a_query_that_takes_a_while_is_answered(path):
    long = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 300000) SELECT max(x) FROM c"
    assert ask(path, long) == [["300000"]]


def test_a_locked_database_is_waited_for_off_the_loop(path):
    async def work():
        reader = SqliteReader(path, 5, 1000)
        # Another process: locks of one process do not keep it out itself.
        with locked(path) as writer:
            query = asyncio.create_task(reader.column("SELECT v FROM t WHERE k = 'a'"))
            await asyncio.sleep(0.1)
            waiting = not query.done()
            writer.communicate(b"go on\n")
            answer = await query
        reader.close()
        return waiting, answer

    assert asyncio.run(work()) == (True, ["one"])


def test_a_replaced_database_is_opened_again(path):
    now = [0.0]

    def replace():
        now[0] += 2
        new = path.with_suffix(".new")
        with contextlib.closing(sqlite3.connect(new)) as database:
            database.executescript("CREATE TABLE t (k, v); INSERT INTO t VALUES ('a', 'two');")
        new.replace(path)

    query = "SELECT v FROM t WHERE k = 'a'"
    assert ask(path, query, query, between=replace, clock=lambda: now[0]) == [["one"], ["two"]]


def test_a_missing_database_is_not_made(tmp_path):
    with pytest.raises(SqlError, match="unable to open"):
        ask(tmp_path / "none.db", "SELECT 1")
    assert not (tmp_path / "none.db").exists()


def test_a_result_that_grows_too_large(path):
    with pytest.raises(TooLargeError):
        ask(path, "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT x FROM c", limit=100)
