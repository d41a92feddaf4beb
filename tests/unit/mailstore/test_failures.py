"""Damage, newer versions, full disks, crashes: each concerns one account, and nothing accepted is lost."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
import sys
import textwrap

import pytest

from angarium.mailstore.database import Database
from angarium.mailstore.interface import MailstoreUnavailableError
from angarium.mailstore.layout import account_directory
from angarium.model.quota import QuotaLimit, QuotaPlan
from angarium.runtime.sqlite import FullError, connect


async def filled(store, mail, account="bob@example.test", count=1):
    handle = await store.open(account)
    await handle.append([mail() for _number in range(count)])
    return handle


@pytest.mark.parametrize("damage", ["zeros", "truncated", "text", "header"])
def test_a_damaged_database_is_unavailable_and_others_work(open_store, run, mail, tmp_path, log, damage):
    async def before():
        store = open_store()
        await filled(store, mail, count=200)
        await filled(store, mail, "alice@example.test")
        await store.close()

    async def use(store):
        handle = await store.open("bob@example.test")
        inbox = (await handle.mailbox("INBOX")).id
        await handle.columns(inbox, list(range(1, 201)), [])
        await handle.states(inbox)
        await handle.append([mail() for _number in range(50)])
        await handle.bodies(inbox, list(range(1, 201)))

    async def after():
        store = open_store()
        other = await store.open("alice@example.test")
        with pytest.raises(MailstoreUnavailableError):
            await use(store)
        assert len(await other.append([mail()])) == 1
        assert any("mailbox of bob@example.test" in line for line in log.lines)
        assert not any("alice" in line for line in log.lines)
        await store.close()

    run(before())
    path = account_directory(tmp_path, "bob@example.test") / "mail.sqlite"
    data = path.read_bytes()
    path.write_bytes(
        {
            "zeros": data[:4096] + bytes(len(data) - 4096),
            "truncated": data[: len(data) // 3],
            "text": b"this is not a database\n" * 1000,
            "header": os.urandom(100) + data[100:],
        }[damage]
    )
    run(after())


def test_text_that_is_none_is_damage(open_store, run, mail, tmp_path, log):
    """SQLite does not see it: it was told to the client as a fault of the server's."""

    async def before():
        store = open_store()
        await filled(store, mail)
        await store.close()

    async def after():
        store = open_store()
        handle = await store.open("bob@example.test")
        with pytest.raises(MailstoreUnavailableError):
            await handle.mailboxes()
        with pytest.raises(MailstoreUnavailableError):
            await handle.rename("Junk", "Trash/x")
        assert any("the database is damaged" in line for line in log.lines)
        await store.close()

    run(before())
    connection = connect(account_directory(tmp_path, "bob@example.test") / "mail.sqlite")
    connection.execute("UPDATE mailbox SET name = CAST(x'4acafeba' AS TEXT) WHERE name = 'Junk'")
    connection.execute("UPDATE mailbox SET name = CAST(x'4a756e6b2fca' AS TEXT) WHERE name = 'Archive'")
    connection.execute("INSERT INTO mailbox (name, uidvalidity) VALUES ('Junk', 77)")
    connection.close()
    run(after())


def test_a_row_names_no_file_that_is_gone(open_store, run, mail, tmp_path, monkeypatch):
    """Between a large body's file and the row that names it the account may be removed and made anew."""

    async def use():
        store = open_store(body_file_threshold=10)
        handle = await filled(store, mail)
        real = store.store_file

        async def lost(account, content):
            name = await real(account, content)
            (store.bodies_directory(account) / name).unlink()
            return name

        monkeypatch.setattr(store, "store_file", lost)
        with pytest.raises(MailstoreUnavailableError, match="a body is missing"):
            await handle.append([mail()])
        monkeypatch.undo()
        assert (await handle.status((await handle.mailbox("INBOX")).id)).messages == 1
        await store.close()

    run(use())


def test_integrity_tells_damage(open_store, run, mail, tmp_path):
    async def test():
        store = open_store()
        await filled(store, mail, count=50)
        database = await store.database("bob@example.test")
        assert database.integrity() == []
        await store.close()

    run(test())


def test_a_newer_version_is_unavailable(open_store, run, mail, tmp_path, log):
    async def test():
        store = open_store()
        await filled(store, mail)
        await store.close()
        path = account_directory(tmp_path, "bob@example.test") / "mail.sqlite"
        connection = connect(path)
        connection.execute("PRAGMA user_version = 99")
        connection.close()
        store = open_store()
        with pytest.raises(MailstoreUnavailableError, match="version 99"):
            await store.open("bob@example.test")
        await store.close()

    run(test())


def test_a_directory_that_cannot_be_made(open_store, run, tmp_path):
    (tmp_path / "example.test").write_text("in the way")

    async def test():
        store = open_store()
        with pytest.raises(MailstoreUnavailableError):
            await store.open("bob@example.test")
        await store.close()

    run(test())


def test_a_full_disk_stores_nothing_and_recovers(open_store, run, mail, log):
    async def test():
        store = open_store()
        handle = await filled(store, mail)
        database = await store.database("bob@example.test")
        await database.write(lambda connection: connection.execute("PRAGMA max_page_count = 60").fetchall())

        async def append_without_end():
            for _number in range(100):
                await handle.append([mail(b"Subject: x\r\n\r\n" + b"y" * 20_000)])

        with pytest.raises(MailstoreUnavailableError) as caught:
            await append_without_end()
        assert isinstance(caught.value.__cause__, FullError)
        await database.write(lambda connection: connection.execute("PRAGMA max_page_count = 1000000").fetchall())
        inbox = (await handle.mailbox("INBOX")).id
        count = len(await handle.states(inbox))
        (where,) = await handle.append([mail()])
        assert where.uid == count + 1
        assert database.integrity() == []
        await store.close()

    run(test())


def test_a_file_that_cannot_be_written(open_store, run, mail, tmp_path, monkeypatch):
    async def test():
        store = open_store(body_file_threshold=10)
        handle = await store.open("bob@example.test")

        def fail(_descriptor):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("angarium.mailstore.bodies.os.fsync", fail)
        with pytest.raises(MailstoreUnavailableError):
            await handle.append([mail()])
        monkeypatch.undo()
        assert list((account_directory(tmp_path, "bob@example.test") / "bodies").iterdir()) == []
        await handle.append([mail()])
        await store.close()

    run(test())


def test_a_file_of_an_append_that_failed_is_removed(open_store, run, mail, tmp_path):
    async def quota(_account):
        return QuotaPlan(QuotaLimit(5))

    async def test():
        store = open_store(quota=quota, body_file_threshold=10)
        handle = await store.open("bob@example.test")
        with pytest.raises(Exception, match="Quota"):
            await handle.append([mail()])
        assert list((account_directory(tmp_path, "bob@example.test") / "bodies").iterdir()) == []
        await store.close()

    run(test())


def test_a_cancelled_append_keeps_its_file(open_store, run, mail, tmp_path):
    data = b"Subject: x\r\n\r\nlarge\r\n"

    async def test():
        store = open_store(body_file_threshold=10)
        account = await store.open("bob@example.test")
        committing = asyncio.Event()
        original = store.write

        async def write(name, work, **how):
            committing.set()
            return await original(name, work, **how)

        store.write = write
        task = asyncio.create_task(account.append([mail(data, key="k")]))
        await committing.wait()
        await asyncio.sleep(0)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        store.write = original
        (where,) = await account.append([mail(data, key="k")])
        assert where.duplicate
        ((_uid, content),) = await account.bodies(where.mailbox, [where.uid])
        assert content.read() == data
        await store.close()

    run(test())


def test_orphans_are_removed_when_they_are_old(open_store, run, mail, tmp_path):
    bodies = account_directory(tmp_path, "bob@example.test") / "bodies"

    async def test():
        store = open_store(body_file_threshold=10)
        handle = await filled(store, mail)
        (kept,) = bodies.iterdir()
        for name, age in (("old", 7200), ("new", 60)):
            (bodies / name).write_bytes(b"x")
            os.utime(bodies / name, (1_795_500_000 - age, 1_795_500_000 - age))
        os.utime(kept, (1, 1))
        await store.close()
        store = open_store(body_file_threshold=10)
        handle = await store.open("bob@example.test")
        assert sorted(path.name for path in bodies.iterdir()) == sorted([kept.name, "new"])
        ((_uid, content),) = await handle.bodies((await handle.mailbox("INBOX")).id, [1])
        kept.unlink()
        with pytest.raises(MailstoreUnavailableError):
            content.read()
        with pytest.raises(MailstoreUnavailableError):
            await handle.bodies((await handle.mailbox("INBOX")).id, [1])
        await store.close()

    run(test())


def test_dead_bodies_are_purged_and_their_files_unlinked(open_store, run, mail, tmp_path):
    async def test():
        store = open_store(body_file_threshold=10)
        handle = await filled(store, mail, count=3)
        inbox = (await handle.mailbox("INBOX")).id
        await handle.copy(inbox, [1], "Archive")
        await handle.remove(inbox, [1, 2, 3])
        await store.close()  # waits for the purge
        bodies = account_directory(tmp_path, "bob@example.test") / "bodies"
        assert len(list(bodies.iterdir())) == 1
        connection = connect(bodies.parent / "mail.sqlite")
        for table in ("body", "content", "structure", "field", "text"):
            assert connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] == 1
        assert connection.execute("SELECT count(*) FROM dead").fetchone()[0] == 0
        connection.close()

    run(test())


def test_a_purge_that_a_crash_interrupted_is_finished_at_the_next_opening(open_store, run, mail, tmp_path):
    async def test():
        store = open_store()
        await filled(store, mail, count=3)
        await store.close()
        path = account_directory(tmp_path, "bob@example.test") / "mail.sqlite"
        connection = connect(path)
        connection.execute("INSERT INTO dead SELECT body FROM message WHERE uid = 1; DELETE FROM message WHERE uid = 1")
        connection.close()
        store = open_store()
        await store.open("bob@example.test")
        await store.close()
        connection = connect(path)
        assert connection.execute("SELECT count(*) FROM body").fetchone()[0] == 2
        connection.close()

    run(test())


CHILD = textwrap.dedent(
    """
    import asyncio, sys
    from pathlib import Path
    from angarium.mailstore.interface import NewMail
    from angarium.mailstore.main import open_mailstore
    from angarium.mailstore.parameters import MailstoreParameters
    from angarium.model.content import MemoryContent
    from angarium.runtime.log import MemoryLog, ServiceLog

    async def main():
        store = open_mailstore(MailstoreParameters(Path(sys.argv[1])), ServiceLog(MemoryLog(), "x"))
        account = await store.open("bob@example.test")
        for number in range(100000):
            data = b"Subject: x\\r\\n\\r\\n%d" % number
            key = f"{sys.argv[2]} {number}"
            mail = NewMail("INBOX", b"", MemoryContent(data), frozenset(), 0.0, 0, key)
            (where,) = await account.append([mail])
            print(where.uid, number, flush=True)

    asyncio.run(main())
    """
)


def test_what_was_acknowledged_survives_kill_9(open_store, run, tmp_path):
    acknowledged = {}
    for attempt in range(3):
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(tmp_path), str(attempt)], stdout=subprocess.PIPE, text=True
        )
        assert child.stdout is not None
        for line in child.stdout:
            uid, number = map(int, line.split())
            acknowledged[uid] = number
            if number >= 20 + 7 * attempt:
                break
        child.kill()
        child.stdout.close()
        child.wait()

    async def check():
        store = open_store()
        handle = await store.open("bob@example.test")
        inbox = (await handle.mailbox("INBOX")).id
        found = {uid: content.read() for uid, content in await handle.bodies(inbox, sorted(acknowledged))}
        assert found == {uid: b"Subject: x\r\n\r\n%d" % number for uid, number in acknowledged.items()}
        status = await handle.status(inbox)
        assert status.messages == len(await handle.states(inbox)) == status.uidnext - 1
        assert (await handle.quota()).messages_used == status.messages
        assert (await store.database("bob@example.test")).integrity() == []
        await store.close()

    run(check())


def test_opening_twice_at_once_is_one_opening(open_store, run, tmp_path, monkeypatch):
    opened = []
    original = Database.open.__func__

    def counting(cls, directory, executor, *more):
        opened.append(directory)
        return original(cls, directory, executor, *more)

    monkeypatch.setattr(Database, "open", classmethod(counting))

    async def test():
        store = open_store()
        await asyncio.gather(*[store.open("bob@example.test") for _time in range(5)])
        assert len(opened) == 1
        assert store.statistics()["open"] == 1
        await store.close()

    run(test())


def test_an_account_whose_files_were_removed_begins_anew(open_store, run, mail, tmp_path):
    async def test():
        store, other = open_store(), open_store()
        account = await store.open("bob@example.test")
        await account.append([mail(), mail()])
        shutil.rmtree(account_directory(tmp_path, "bob@example.test"))
        (where,) = await account.append([mail()])
        assert where.uid == 1
        assert [state.uid for state in await account.states(where.mailbox)] == [1]
        same = await other.open("bob@example.test")
        assert [state.uid for state in await same.states(where.mailbox)] == [1]
        await store.close()
        await other.close()

    run(test())
