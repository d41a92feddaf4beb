"""The tables of ``queue.db`` and their version. ``docs/queue-states.md`` explains what a row means.

``message`` is what the queue manager scans, so bodies stand apart from it. The indexes hold only what waits for its
turn, and who has leased what is active. There are several because SQLite uses a partial index only where a query
repeats its condition.
"""

from __future__ import annotations

from angarium.mailqueue.interface import QueueDamagedError
from angarium.runtime.sqlite import Connection

VERSION = 3

_DELETED = """
CREATE TABLE IF NOT EXISTS deleted (
    id           INTEGER PRIMARY KEY,
    queue_id     TEXT    NOT NULL,
    state        TEXT    NOT NULL,
    next_attempt REAL    NOT NULL,
    queued       REAL    NOT NULL,
    attempts     INTEGER NOT NULL,
    size         INTEGER NOT NULL,
    recipients   INTEGER NOT NULL,
    flags        INTEGER NOT NULL,
    envelope     BLOB    NOT NULL,
    owner        INTEGER NOT NULL,
    deleted      REAL    NOT NULL,
    until        REAL    NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS deleted_until ON deleted (until);
"""

MESSAGE_COLUMNS = (
    "id, queue_id, state, next_attempt, queued, attempts, size, recipients, flags, envelope, owner"  # as in ``deleted``
)

_MESSAGE = """
CREATE TABLE message (
    id           INTEGER PRIMARY KEY,
    queue_id     TEXT    NOT NULL,
    state        TEXT    NOT NULL CHECK (state IN ('incoming', 'active', 'deferred', 'hold', 'corrupt')),
    next_attempt REAL    NOT NULL,
    queued       REAL    NOT NULL,
    attempts     INTEGER NOT NULL DEFAULT 0,
    size         INTEGER NOT NULL,
    recipients   INTEGER NOT NULL,
    flags        INTEGER NOT NULL DEFAULT 0,
    envelope     BLOB    NOT NULL,
    owner        INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX message_incoming{0} ON message (next_attempt) WHERE state = 'incoming';
CREATE INDEX message_deferred{0} ON message (next_attempt) WHERE state = 'deferred';
CREATE INDEX message_active{0} ON message (owner) WHERE state = 'active';
"""

_TABLES = """
CREATE TABLE content (
    id     INTEGER PRIMARY KEY,
    file   TEXT,
    prefix BLOB NOT NULL,
    body   BLOB
) STRICT;
CREATE TABLE outcome (
    id     INTEGER NOT NULL,
    number INTEGER NOT NULL,
    done   INTEGER NOT NULL,
    dsn    TEXT    NOT NULL,
    reason TEXT    NOT NULL,
    PRIMARY KEY (id, number)
) STRICT, WITHOUT ROWID;
CREATE TABLE number (next INTEGER NOT NULL) STRICT;
INSERT INTO number VALUES (1);
"""

_MIGRATIONS = {
    1: """
ALTER TABLE message ADD COLUMN owner INTEGER NOT NULL DEFAULT 0;
DROP INDEX IF EXISTS message_due;
CREATE INDEX IF NOT EXISTS message_incoming ON message (next_attempt) WHERE state = 'incoming';
CREATE INDEX IF NOT EXISTS message_deferred ON message (next_attempt) WHERE state = 'deferred';
CREATE INDEX message_active ON message (owner) WHERE state = 'active';
""",
    2: _DELETED,
}
"""What makes the next version of each; all in one transaction with the new number."""

CHECKPOINT_PAGES = 2000
"""How long the WAL grows before a commit also copies it back: 8 MiB."""

WAL_BYTES = 64 * 1024 * 1024
"""What is left of a WAL that a burst has made longer."""

WARNED = 1
FORCED_EXPIRE = 2
REQUEUE = 4
EXPANSION_REPORTED = 8


def message_table(suffix: str = "") -> str:
    """The statements that make the table of messages; ``suffix`` tells its indexes from those of one before."""
    return _MESSAGE.format(suffix)


def prepare(connection: Connection) -> None:
    """Make the tables when the database is new, bring older ones up to date, check the version.

    Raises:
        QueueDamagedError: the database is of a version that this program does not know.
    """
    connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
    connection.execute(f"PRAGMA journal_size_limit = {WAL_BYTES}")
    if _version(connection) < VERSION:
        connection.execute("BEGIN IMMEDIATE")
        try:
            _upgrade(connection)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
    found = _version(connection)
    if found != VERSION:
        msg = f"the queue has schema version {found}, this program knows {VERSION}"
        raise QueueDamagedError(msg)


def _upgrade(connection: Connection) -> None:
    """Bring the database to this version; another process may have been first."""
    version = _version(connection)
    if version == 0:
        connection.execute(message_table() + _TABLES + _DELETED)
        version = VERSION
    while version < VERSION:
        connection.execute(_MIGRATIONS[version])
        version += 1
    connection.execute(f"PRAGMA user_version = {version}")


def _version(connection: Connection) -> int:
    for (version,) in connection.execute("PRAGMA user_version"):
        return int(version)
    return 0
