"""The directory's database: its tables, its version, and opening it.

An older database is brought up to date by whoever opens it first, in one transaction: ``angarium``, or the server's
processes, to whom it belongs.

Owns the file's permissions: readable by its owner alone, for it holds password hashes. When root makes it in a
directory that belongs to somebody else (``$data_directory`` is ``$mail_owner``'s), the file is given to them; SQLite
gives its journal the same owner.

Fails with ``DirectoryUnavailableError``.
"""

from __future__ import annotations

import os
from pathlib import Path

from angarium.directory.interface import DirectoryUnavailableError
from angarium.runtime.sqlite import Connection, SqlError, UnsafeSqliteError, connect

VERSION = 2

_DOMAINS = """
CREATE TABLE domains (
    name TEXT PRIMARY KEY,
    quota_bytes INTEGER,
    quota_messages INTEGER,
    quota_mail INTEGER,
    quota_rules TEXT,
    total_bytes INTEGER NOT NULL DEFAULT 0,
    total_messages INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
"""
"""``quota_…`` are for each account that has none of its own, NULL for main.cf's; ``total_…`` for all together."""

_SCHEMA = f"""{_DOMAINS}
CREATE TABLE accounts (
    address TEXT PRIMARY KEY,
    domain TEXT NOT NULL REFERENCES domains (name),
    password TEXT NOT NULL,
    enabled INTEGER NOT NULL DEFAULT 1,
    quota_bytes INTEGER,
    quota_messages INTEGER,
    quota_mail INTEGER,
    quota_rules TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX accounts_by_domain ON accounts (domain);
CREATE TABLE aliases (
    address TEXT NOT NULL,
    position INTEGER NOT NULL,
    destination TEXT NOT NULL,
    domain TEXT NOT NULL REFERENCES domains (name),
    PRIMARY KEY (address, position),
    UNIQUE (address, destination)
) STRICT, WITHOUT ROWID;
CREATE INDEX aliases_by_domain ON aliases (domain);
"""

_FROM_1 = f"""
ALTER TABLE accounts ADD COLUMN quota_mail INTEGER;
ALTER TABLE accounts ADD COLUMN quota_rules TEXT;
ALTER TABLE domains RENAME TO old_domains;
{_DOMAINS}
INSERT INTO domains (name, quota_bytes, quota_messages)
    SELECT name, CASE WHEN has THEN quota_bytes END, CASE WHEN has THEN quota_messages END
    FROM (SELECT *, quota_bytes <> 0 OR quota_messages <> 0 AS has FROM old_domains);
DROP TABLE old_domains;
"""  # noqa: S608 - a statement of ours
"""Version 1 did not tell a domain without limits from one that has those of main.cf."""


def check_version(connection: Connection, path: Path) -> None:
    """Raise DirectoryUnavailableError when the database is not one of ours, or newer than we are."""
    version = connection.execute("PRAGMA user_version").get
    if version != VERSION:
        msg = f"{path} has version {version} of the directory's tables; {VERSION} is wanted"
        raise DirectoryUnavailableError(msg)


def open_for_lookups(path: Path) -> Connection:
    """Open an existing directory for reading. Raises DirectoryUnavailableError."""
    try:
        connection = connect(path, readonly=True)
        if 0 < int(connection.execute("PRAGMA user_version").get) < VERSION:
            connection.close()
            open_for_changes(path).close()
            connection = connect(path, readonly=True)
    except (SqlError, UnsafeSqliteError) as error:
        raise DirectoryUnavailableError(_explain(path, error)) from error
    try:
        check_version(connection, path)
    except (SqlError, DirectoryUnavailableError) as error:
        connection.close()
        raise DirectoryUnavailableError(_explain(path, error)) from error
    return connection


def open_for_changes(path: Path) -> Connection:
    """Open the directory for administration; make it when it is missing. Raises DirectoryUnavailableError."""
    try:
        _create_file(path)
        connection = connect(path)
    except (SqlError, UnsafeSqliteError, OSError) as error:
        raise DirectoryUnavailableError(_explain(path, error)) from error
    try:
        if connection.execute("PRAGMA user_version").get < VERSION:
            _update(connection)
        check_version(connection, path)
    except (SqlError, DirectoryUnavailableError) as error:
        connection.close()
        raise DirectoryUnavailableError(_explain(path, error)) from error
    return connection


def _explain(path: Path, error: Exception) -> str:
    if isinstance(error, DirectoryUnavailableError):
        return str(error)
    missing = next((one for one in (path.parent, path) if not one.exists()), None)
    return f"{path}: {error}" if missing is None else f"{missing} does not exist"


def _create_file(path: Path) -> None:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        return
    try:
        home = path.parent.stat()
        if os.geteuid() == 0 and home.st_uid != 0:
            os.fchown(descriptor, home.st_uid, home.st_gid)
    finally:
        os.close(descriptor)


def _update(connection: Connection) -> None:
    """Make the tables, or make them those of today; nothing when somebody else was faster."""
    connection.execute("PRAGMA foreign_keys = OFF; PRAGMA legacy_alter_table = ON; BEGIN IMMEDIATE")
    try:
        version = int(connection.execute("PRAGMA user_version").get)
        if version == 0:
            connection.execute(_SCHEMA)
        elif version == 1:
            connection.execute(_FROM_1)
        if version < VERSION:
            connection.execute(f"PRAGMA user_version = {VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    connection.execute("PRAGMA legacy_alter_table = OFF; PRAGMA foreign_keys = ON")
