"""What is particular to the SQLite back end: files that are missing, damaged, too new or replaced; permissions."""

from __future__ import annotations

from pathlib import Path

import pytest

from angarium.directory.admin import SqliteDirectoryAdmin
from angarium.directory.interface import DirectoryUnavailableError
from angarium.directory.reader import SqliteDirectory
from angarium.model.lookup import Found, NotFound, TemporaryError


def _ticking(path: Path) -> SqliteDirectory:
    clock = iter(range(1_000_000))
    return SqliteDirectory(path, lambda: float(next(clock)))


def _make(path: Path, domain: str) -> None:
    admin = SqliteDirectoryAdmin(path)
    admin.add_domain(domain)
    admin.close()


def test_a_damaged_database(tmp_path: Path) -> None:
    path = tmp_path / "directory.sqlite"
    path.write_bytes(b"this is no database" * 100)
    reader = _ticking(path)
    answer = reader.domain("example.test")
    assert isinstance(answer, TemporaryError)
    assert str(path) in answer.cause
    assert answer.source == "directory:domains"
    with pytest.raises(DirectoryUnavailableError):
        SqliteDirectoryAdmin(path)


def test_text_that_is_none_is_a_temporary_error(tmp_path: Path) -> None:
    """Damage that SQLite does not see: the lookup raised, where everybody counts on a value."""
    path = tmp_path / "directory.sqlite"
    admin = SqliteDirectoryAdmin(path)
    admin.add_domain("example.test")
    admin.add_alias("a@example.test", ["b@example.test"])
    admin._connection.execute("UPDATE aliases SET destination = CAST(x'62ffc0' AS TEXT)")
    admin.close()
    assert isinstance(_ticking(path).alias("a@example.test"), TemporaryError)


def test_a_database_of_a_newer_version(tmp_path: Path) -> None:
    path = tmp_path / "directory.sqlite"
    admin = SqliteDirectoryAdmin(path)
    admin._connection.execute("PRAGMA user_version = 99")
    admin.close()
    answer = _ticking(path).domain("example.test")
    assert isinstance(answer, TemporaryError)
    assert "99" in answer.cause
    with pytest.raises(DirectoryUnavailableError):
        SqliteDirectoryAdmin(path)


def test_a_database_that_was_replaced(tmp_path: Path) -> None:
    path = tmp_path / "directory.sqlite"
    _make(path, "one.test")
    reader = _ticking(path)
    assert isinstance(reader.domain("one.test"), Found)
    _make(tmp_path / "new.sqlite", "two.test")
    (tmp_path / "new.sqlite").rename(path)
    for leftover in tmp_path.glob("directory.sqlite-*"):
        leftover.unlink()
    assert isinstance(reader.domain("one.test"), NotFound)
    assert isinstance(reader.domain("two.test"), Found)
    path.unlink()
    assert isinstance(reader.domain("two.test"), TemporaryError)
    reader.close()


def test_it_looks_for_the_file_once_a_second(tmp_path: Path) -> None:
    path = tmp_path / "directory.sqlite"
    now = 10.0
    reader = SqliteDirectory(path, lambda: now)
    assert isinstance(reader.domain("one.test"), TemporaryError)
    _make(path, "one.test")
    assert isinstance(reader.domain("one.test"), TemporaryError)
    now = 11.0
    assert isinstance(reader.domain("one.test"), Found)
    reader.close()


def test_a_change_is_in_force_after_ten_milliseconds(tmp_path: Path) -> None:
    path = tmp_path / "directory.sqlite"
    now = 10.0
    _make(path, "one.test")
    reader = SqliteDirectory(path, lambda: now)
    assert isinstance(reader.domain("two.test"), NotFound)
    _make(path, "two.test")
    now = 10.005
    assert isinstance(reader.domain("two.test"), NotFound)
    now = 10.011
    assert isinstance(reader.domain("two.test"), Found)
    reader.close()


def test_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "directory.sqlite"
    _make(path, "one.test")
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_directory_that_cannot_be_made(tmp_path: Path) -> None:
    with pytest.raises(DirectoryUnavailableError, match="does not exist"):
        SqliteDirectoryAdmin(tmp_path / "missing" / "directory.sqlite")
