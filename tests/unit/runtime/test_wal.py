"""Room in a write-ahead log costs nothing but zeros: SQLite reads what was committed and nothing else."""

import asyncio
import os
import shutil
from concurrent.futures import ThreadPoolExecutor

import pytest

from angarium.runtime import sqlite
from angarium.runtime.groupcommit import GroupCommitWriter, Threads
from angarium.runtime.wal import WalRoom

FRAME = 4096 + 24


@pytest.fixture
def writer(tmp_path):
    connection = sqlite.connect(tmp_path / "a.sqlite")
    connection.execute("CREATE TABLE t (n INTEGER PRIMARY KEY, filling BLOB)")
    with ThreadPoolExecutor(1) as pool:
        writer = GroupCommitWriter(connection, Threads(pool), checkpoint=200)
        yield writer
        writer.close()


def insert(number, size=3000):
    return lambda connection: connection.execute("INSERT INTO t VALUES (?, zeroblob(?))", (number, size)).fetchall()


def frames(tmp_path):
    return ((tmp_path / "a.sqlite-wal").stat().st_size - 32) // FRAME


def test_a_log_that_is_in_use_is_made_longer_at_once(writer, tmp_path):
    sizes = []

    async def test():
        for number in range(60):
            await writer.submit(insert(number))
            sizes.append(frames(tmp_path))

    asyncio.run(test())
    assert sizes[1] < 16
    assert len(set(sizes[10:])) <= 4
    assert sizes[-1] <= 300


@pytest.mark.parametrize("committed", [10, 25, 70])
def test_what_a_crash_leaves_is_what_was_committed(writer, tmp_path, committed):
    async def test():
        for number in range(committed):
            await writer.submit(insert(number))

    asyncio.run(test())
    after = tmp_path / "after"
    after.mkdir()
    for name in ("a.sqlite", "a.sqlite-wal"):  # without the index, which a crash of the machine does not leave
        shutil.copy(tmp_path / name, after / name)
    connection = sqlite.connect(after / "a.sqlite")
    assert sqlite.integrity(connection) == []
    assert connection.execute("SELECT count(*), max(n) FROM t").fetchone() == (committed, committed - 1)
    connection.execute("INSERT INTO t VALUES (1000, NULL)")
    connection.close()


def test_two_writers_of_one_log(tmp_path, writer):
    other = GroupCommitWriter(sqlite.connect(tmp_path / "a.sqlite"), Threads(ThreadPoolExecutor(1)), checkpoint=200)

    async def test():
        for number in range(150):
            await (writer if number % 2 else other).submit(insert(number, 200))

    asyncio.run(test())
    other.close()
    reader = sqlite.connect(tmp_path / "a.sqlite", readonly=True)
    assert sqlite.integrity(reader) == []
    assert reader.execute("SELECT count(*) FROM t").fetchone() == (150,)
    reader.close()


def test_a_disk_without_room_for_zeros_is_nobodys_fault(writer, tmp_path, monkeypatch):
    def full(*_arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)

    async def test():
        for number in range(40):
            await writer.submit(insert(number))

    asyncio.run(test())


def test_room_is_made_by_doubling_up_to_a_bound(tmp_path):
    path = tmp_path / "log"
    path.write_bytes(bytes(32 + 40 * FRAME))
    room = WalRoom(str(path), 4096, 150)
    found = []
    for used in (5, 15, 40, 60, 100, 130, 149):
        room.make(used)
        found.append((path.stat().st_size - 32) / FRAME)
    assert found == [40, 40, 112, 112, 150, 150, 150]
    room.close()
