import subprocess
import sys

import pytest

from angarium.runtime import sqlite


@pytest.mark.parametrize("version", ["3.40.1", "3.51.2", "3.7.0"])
def test_an_sqlite_with_the_wal_fault_is_refused(version):
    with pytest.raises(sqlite.UnsafeSqliteError, match=version):
        sqlite.require_safe_sqlite(version)


def test_integrity_names_what_is_damaged(tmp_path):
    path = tmp_path / "d.sqlite"
    connection = sqlite.connect(path)
    connection.execute("CREATE TABLE t (x)")
    for _row in range(200):
        connection.execute("INSERT INTO t VALUES (randomblob(1000))")
    assert sqlite.integrity(connection) == []
    connection.close()
    with path.open("r+b") as file:
        file.seek(4096 * 3)
        file.write(b"\xff" * 4096 * 4)
    damaged = sqlite.connect(path)
    try:
        found = sqlite.integrity(damaged)
    except sqlite.CorruptError as error:
        found = [str(error)]
    assert found
    damaged.close()


def test_processes_that_make_a_database_at_once_wait_for_each_other(tmp_path):
    code = (
        "import sys; from pathlib import Path; from angarium.runtime import sqlite\n"
        "for number in range(40): sqlite.connect(Path(sys.argv[1]) / str(number)).close()"
    )
    racers = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path)]) for _racer in range(3)]
    assert [racer.wait(60) for racer in racers] == [0, 0, 0]
