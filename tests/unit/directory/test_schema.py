"""Databases of earlier versions."""

from __future__ import annotations

from pathlib import Path

import pytest

from angarium.directory.admin import SqliteDirectoryAdmin
from angarium.directory.interface import Domain, PasswordEntry, QuotaEntry, QuotaLimit, QuotaSettings
from angarium.directory.reader import SqliteDirectory
from angarium.directory.schema import VERSION
from angarium.model.lookup import NOT_FOUND, TemporaryError
from angarium.runtime.sqlite import ConstraintError, connect

_VERSION_1 = """
CREATE TABLE domains (
    name TEXT PRIMARY KEY, quota_bytes INTEGER NOT NULL DEFAULT 0, quota_messages INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE TABLE accounts (
    address TEXT PRIMARY KEY, domain TEXT NOT NULL REFERENCES domains (name), password TEXT NOT NULL,
    enabled INTEGER NOT NULL DEFAULT 1, quota_bytes INTEGER, quota_messages INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX accounts_by_domain ON accounts (domain);
CREATE TABLE aliases (
    address TEXT NOT NULL, position INTEGER NOT NULL, destination TEXT NOT NULL,
    domain TEXT NOT NULL REFERENCES domains (name), PRIMARY KEY (address, position), UNIQUE (address, destination)
) STRICT, WITHOUT ROWID;
CREATE INDEX aliases_by_domain ON aliases (domain);
INSERT INTO domains VALUES ('free.test', 0, 0), ('full.test', 1000, 0);
INSERT INTO accounts VALUES ('a@free.test', 'free.test', 'h', 1, NULL, NULL), ('b@full.test', 'full.test', '', 0, 5, 0);
INSERT INTO aliases VALUES ('info@free.test', 1, 'a@free.test', 'free.test');
PRAGMA user_version = 1;
"""


@pytest.fixture
def old(tmp_path: Path) -> Path:
    path = tmp_path / "directory.sqlite"
    connection = connect(path)
    connection.execute(_VERSION_1)
    connection.close()
    return path


def test_a_reader_brings_an_old_database_up_to_date(old: Path) -> None:
    directory = SqliteDirectory(old)
    assert directory.quota("a@free.test") == QuotaEntry(QuotaSettings(), QuotaLimit())
    assert directory.quota("b@full.test") == QuotaEntry(QuotaSettings(5, 0), QuotaLimit())
    assert directory.password("a@free.test") == PasswordEntry("a@free.test", "h")
    directory.close()
    connection = connect(old)
    assert connection.execute("PRAGMA user_version").get == VERSION
    assert connection.execute("PRAGMA integrity_check").get == "ok"
    with pytest.raises(ConstraintError):
        connection.execute("INSERT INTO accounts (address, domain, password) VALUES ('c@gone.test', 'gone.test', '')")
    connection.close()


def test_an_administrator_does_so_too(old: Path) -> None:
    admin = SqliteDirectoryAdmin(old)
    assert admin.domains() == [
        Domain("free.test"),
        Domain("full.test", QuotaLimit(1000), QuotaSettings(1000, 0)),
    ]
    admin.add_account("c@full.test", "")
    assert [account.address for account in admin.accounts("full.test")] == ["b@full.test", "c@full.test"]
    assert not admin.show_account("b@full.test").enabled
    admin.remove_domain("free.test", with_contents=True)
    admin.close()


def test_a_database_that_cannot_be_brought_up_to_date_is_a_temporary_error(old: Path) -> None:
    connection = connect(old)
    connection.execute("PRAGMA foreign_keys = OFF; DROP TABLE domains; CREATE VIEW domains AS SELECT 1")
    connection.close()
    directory = SqliteDirectory(old)
    assert isinstance(directory.quota("a@free.test"), TemporaryError)
    directory.close()


def test_a_directory_that_is_missing_knows_no_quotas_a_damaged_one_does(tmp_path: Path) -> None:
    path = tmp_path / "directory.sqlite"
    now = iter(range(100))
    directory = SqliteDirectory(path, lambda: float(next(now) * 2))
    assert directory.quota("a@free.test") == NOT_FOUND
    path.write_bytes(b"no database" * 1000)
    assert isinstance(directory.quota("a@free.test"), TemporaryError)
    path.unlink()
    assert directory.quota("a@free.test") == NOT_FOUND
    directory.close()
