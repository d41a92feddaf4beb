"""Bringing an account's database up to date, in one transaction, when it is opened.

What is derived from the messages (ENVELOPE, structures, header fields, text) can be made again from them at any time:
a version that derives more, or otherwise, does that instead of patching.
"""

# ruff: noqa: S608 - the statements are put together from this package's own names; values are always bound.

from __future__ import annotations

from angarium.mailstore import hierarchy
from angarium.mailstore.bodies import BodyFiles, FiledContent
from angarium.mailstore.derived import Analysis, Derived
from angarium.mailstore.interface import MailstoreUnavailableError
from angarium.mailstore.rows import all_rows, one_row
from angarium.mailstore.schema import (
    ACCOUNT_TABLE,
    DELIVERY_TABLE,
    FIELD_TABLE,
    KEYWORD_TABLE,
    OWED_TABLE,
    TABLES,
    VANISHED_TABLE,
    VERSION,
)
from angarium.mailstore.writing import insert_derived
from angarium.runtime.sqlite import Connection

_FROM_1 = f"""
CREATE TABLE IF NOT EXISTS {KEYWORD_TABLE.removeprefix("CREATE TABLE ")}
DROP TABLE account;
{ACCOUNT_TABLE}
INSERT INTO account SELECT 1, max(uidvalidity) FROM mailbox;
ALTER TABLE delivery RENAME TO old_delivery;
{DELIVERY_TABLE}
INSERT INTO delivery SELECT key, mailbox, uidvalidity, uid, modseq, delivered FROM old_delivery;
DROP TABLE old_delivery;
DROP TABLE IF EXISTS sought;
"""
"""Version 1 had the usage in ``account``, a number for each delivery, and the folded header fields in a table apart."""

_FROM_3 = """
ALTER TABLE mailbox ADD COLUMN firstrecent INTEGER NOT NULL DEFAULT 1;
UPDATE mailbox SET firstrecent = uidnext;
"""
"""Up to version 3 no message was recent: those that are there have been seen."""

_FROM_4 = OWED_TABLE
"""Up to version 4 a warning that was not told at once was not told."""

_FROM_5 = f"""
ALTER TABLE vanished RENAME TO old_vanished;
{VANISHED_TABLE}
INSERT INTO vanished SELECT mailbox, modseq, min(uid), max(uid) FROM
    (SELECT mailbox, modseq, uid, uid - row_number() OVER (PARTITION BY mailbox, modseq ORDER BY uid) AS run
     FROM old_vanished) GROUP BY mailbox, modseq, run;
DROP TABLE old_vanished;
ALTER TABLE mailbox ADD COLUMN gaps INTEGER NOT NULL DEFAULT 0;
UPDATE mailbox SET gaps = (SELECT count(*) FROM vanished WHERE vanished.mailbox = mailbox.id);
"""
"""Up to version 5 each UID that had vanished had a row, for ever."""


class SchemaError(MailstoreUnavailableError):
    """The database was written by a newer version."""


def version(connection: Connection) -> int:
    """The schema version of the database; 0 when it is empty."""
    return int(one_row(connection, "PRAGMA user_version")[0])


def update(connection: Connection, bodies: BodyFiles, now: float) -> None:
    """Bring the database up to date, inside the caller's transaction. Raises SchemaError."""
    found = version(connection)
    if found > VERSION:
        msg = f"the account's database has version {found}, this program knows up to {VERSION}"
        raise SchemaError(msg)
    if found == VERSION:
        return
    if found == 0:  # an empty file
        connection.execute(TABLES)
        hierarchy.populate(connection, now)
    else:
        if found == 1:
            connection.execute(_FROM_1)
        if found < 3:
            derive_again(connection, bodies)  # version 3 folds text otherwise, and keeps the headers of parts
        if found < 4:
            connection.execute(_FROM_3)
        if found < 5:
            connection.execute(_FROM_4)
        connection.execute(_FROM_5)
    connection.execute(f"PRAGMA user_version = {VERSION}")


def derive_again(connection: Connection, bodies: BodyFiles) -> None:
    """Make everything that is derived from the messages anew. Reads every message."""
    connection.execute("DROP TABLE field")
    connection.execute(FIELD_TABLE)
    connection.execute("DELETE FROM structure; DELETE FROM text; DELETE FROM ordering")
    for (identity,) in all_rows(connection, "SELECT id FROM content"):
        derived = _derive(connection, bodies, identity)
        connection.execute(
            "UPDATE body SET envelope = ?, sent = ? WHERE id = ?", (derived.envelope, derived.sent, identity)
        )
        insert_derived(connection, identity, derived)


def _derive(connection: Connection, bodies: BodyFiles, identity: int) -> Derived:
    header, rest, file, skip = one_row(
        connection, "SELECT header, rest, file, skip FROM content WHERE id = ?", (identity,)
    )
    if file is None:
        data = header + (rest or b"")
    else:
        try:
            data = FiledContent.of(header, bodies.path(file), skip).read()
        except MailstoreUnavailableError:  # its file is lost: what is left of the message stays readable
            data = header
    return Analysis(data).with_prefix(b"")
