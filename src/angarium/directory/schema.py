"""The directory's database: its tables, its version, and opening it.

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

VERSION = 1

_SCHEMA = """
CREATE TABLE domains (
    name TEXT PRIMARY KEY,
    quota_bytes INTEGER NOT NULL DEFAULT 0,
    quota_messages INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE TABLE accounts (
    address TEXT PRIMARY KEY,
    domain TEXT NOT NULL REFERENCES domains (name),
    password TEXT NOT NULL,
    enabled INTEGER NOT NULL DEFAULT 1,
    quota_bytes INTEGER,
    quota_messages INTEGER
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
        if connection.execute("PRAGMA user_version").get == 0:
            _create_tables(connection)
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


def _create_tables(connection: Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        if connection.execute("PRAGMA user_version").get == 0:  # nobody else was faster
            connection.execute(_SCHEMA)
            connection.execute(f"PRAGMA user_version = {VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
