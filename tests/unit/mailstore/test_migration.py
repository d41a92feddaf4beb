"""An older database is brought up to date when it is opened."""

from __future__ import annotations

from angarium.mailstore.interface import Column, TextWhere
from angarium.mailstore.layout import account_directory
from angarium.runtime.sqlite import connect

AS_VERSION_5 = """
ALTER TABLE mailbox DROP COLUMN gaps;
DROP TABLE vanished;
CREATE TABLE vanished (mailbox INTEGER NOT NULL, modseq INTEGER NOT NULL, uid INTEGER NOT NULL,
  PRIMARY KEY (mailbox, modseq, uid)) WITHOUT ROWID;
"""
# What a database of version 1 has otherwise than one of today.
AS_VERSION_1 = """
DROP TABLE account;
CREATE TABLE account (one INTEGER PRIMARY KEY, bytes INTEGER, messages INTEGER, uidvalidity INTEGER);
INSERT INTO account SELECT 1, 0, 0, max(uidvalidity) FROM mailbox;
DROP TABLE keyword;
ALTER TABLE delivery RENAME TO new_delivery;
CREATE TABLE delivery (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, mailbox INTEGER, uidvalidity INTEGER,
  uid INTEGER, modseq INTEGER,
  delivered REAL);
INSERT INTO delivery (key, mailbox, uidvalidity, uid, modseq, delivered) SELECT * FROM new_delivery;
DROP TABLE new_delivery;
DROP TABLE field;
CREATE TABLE field (id INTEGER PRIMARY KEY, ordering INTEGER);
CREATE TABLE sought (id INTEGER PRIMARY KEY, subject BLOB);
UPDATE body SET envelope = x'28';
ALTER TABLE mailbox DROP COLUMN firstrecent;
DROP TABLE owed;
"""


def test_from_version_1(open_store, run, mail, tmp_path):
    async def test():
        store = open_store()
        account = await store.open("bob@example.test")
        (where,) = await account.append([mail(b"Subject: old\r\n\r\nfind me\r\n", key="k")])
        await store.close()
        small, large = open_store(), open_store(body_file_threshold=5)
        account = await large.open("bob@example.test")
        await account.append([mail(b"Subject: filed\r\n\r\nlarge\r\n")])
        await large.close()
        connection = connect(account_directory(tmp_path, "bob@example.test") / "mail.sqlite")
        connection.execute(AS_VERSION_1 + AS_VERSION_5 + "PRAGMA user_version = 1")
        connection.close()
        account = await small.open("bob@example.test")
        assert (await account.append([mail(key="k")]))[0].duplicate
        rows = await account.columns(where.mailbox, [1, 2], [Column.ENVELOPE])
        assert [b'"old"' in rows[0][1], b'"filed"' in rows[1][1]] == [True, True]
        assert await account.search_text(where.mailbox, "find me", TextWhere.BODY) == {1}
        assert await account.search_header(where.mailbox, "subject", "filed") == {2}
        assert await account.header_fields(where.mailbox, [1], ["subject"]) == [(1, b"Subject: old\r\n")]
        made = await account.create("new")
        assert made.uidvalidity > where.uidvalidity
        assert (await small.database("bob@example.test")).integrity() == []
        await small.close()

    run(test())


def test_from_version_3_nothing_is_recent(open_store, run, mail, tmp_path):
    async def test():
        store = open_store()
        account = await store.open("bob@example.test")
        (where,) = await account.append([mail()])
        await store.close()
        connection = connect(account_directory(tmp_path, "bob@example.test") / "mail.sqlite")
        connection.execute("ALTER TABLE mailbox DROP COLUMN firstrecent; DROP TABLE owed;" + AS_VERSION_5)
        connection.execute("PRAGMA user_version = 3")
        connection.close()
        store = open_store()
        account = await store.open("bob@example.test")
        assert (await account.status(where.mailbox)).recent == 0
        await account.append([mail()])
        assert (await account.status(where.mailbox)).recent == 1
        await store.close()

    run(test())


def test_from_version_5_what_vanished_becomes_ranges(open_store, run, mail, tmp_path):
    async def test():
        store = open_store()
        account = await store.open("bob@example.test")
        (where,) = await account.append([mail()])
        await store.close()
        connection = connect(account_directory(tmp_path, "bob@example.test") / "mail.sqlite")
        connection.execute(AS_VERSION_5)
        connection.executemany(
            "INSERT INTO vanished VALUES (?, ?, ?)",
            [(where.mailbox, modseq, uid) for modseq, uid in ((5, 2), (5, 3), (5, 4), (5, 9), (6, 5), (7, 1))],
        )
        connection.execute(f"UPDATE mailbox SET highestmodseq = 7, uidnext = 10 WHERE id = {where.mailbox}")
        connection.execute("PRAGMA user_version = 5")
        connection.close()
        store = open_store()
        account = await store.open("bob@example.test")
        assert (await account.changes(where.mailbox, 4)).vanished == [1, 2, 3, 4, 5, 9]
        assert (await account.changes(where.mailbox, 5)).vanished == [1, 5]
        rows = await store.read("bob@example.test", lambda read: list(read.execute("SELECT * FROM vanished")))
        assert [row[1:] for row in rows] == [(5, 2, 4), (5, 9, 9), (6, 5, 5), (7, 1, 1)]
        gaps = await store.read("bob@example.test", lambda read: list(read.execute("SELECT sum(gaps) FROM mailbox")))
        assert gaps == [(4,)]
        await store.close()

    run(test())


def test_an_empty_file_becomes_a_database(open_store, run, mail, tmp_path):
    directory = account_directory(tmp_path, "bob@example.test")
    directory.mkdir(parents=True)
    (directory / "mail.sqlite").touch()

    async def test():
        store = open_store()
        account = await store.open("bob@example.test")
        assert [one.uid for one in await account.append([mail()])] == [1]
        assert len(await account.mailboxes()) == 6
        await store.close()

    run(test())


def test_two_processes_that_make_an_account_share_it(tmp_path):
    from concurrent.futures import ThreadPoolExecutor

    from angarium.mailstore.creation import create_database

    directory = account_directory(tmp_path, "bob@example.test")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _number: create_database(directory, 1_795_500_000.0), range(16)))
    assert [path.name for path in directory.iterdir()] == ["mail.sqlite"]
    connection = connect(directory / "mail.sqlite")
    assert connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    assert connection.execute("SELECT count(*) FROM mailbox").fetchone()[0] == 6
    connection.close()
