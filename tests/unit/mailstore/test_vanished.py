"""What has vanished takes bounded room, and whoever asks hears of all of it."""

from __future__ import annotations

import asyncio
import random
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from angarium.mailstore import vanished
from angarium.mailstore.interface import NewMail
from angarium.mailstore.main import open_mailstore
from angarium.mailstore.parameters import MailstoreParameters
from angarium.mailstore.vanished import joined
from angarium.model.content import MemoryContent
from angarium.runtime.log import MemoryLog, ServiceLog

NEW = NewMail("INBOX", b"", MemoryContent(b"a: b\r\n\r\n"), frozenset(), 1e9, 0, "")


def store_on(directory):
    return open_mailstore(MailstoreParameters(directory), ServiceLog(MemoryLog(), "test"), clock=lambda: 1e9)


async def ranges(store):
    return await store.read("bob@x.test", lambda read: list(read.execute("SELECT * FROM vanished")))


def test_ranges_are_joined():
    assert joined([(1, 1), (2, 3), (5, 5)]) == [(1, 3), (5, 5)]
    assert joined([(1, 9), (2, 3), (5, 5)]) == [(1, 9)]
    assert joined([(1, 1), (4, 4), (8, 8)], [5, 6], sparse=True) == [(1, 4), (8, 8)]
    assert joined([(1, 1), (4, 4)], [2, 3, 9], sparse=True) == [(1, 1), (4, 4)]
    assert joined([(1, 1), (4, 4)], sparse=True) == [(1, 4)]


@given(st.integers(0, 2**32), st.integers(2, 12))
@settings(max_examples=25)
def test_whoever_asks_hears_of_all_that_vanished_and_of_nothing_that_is_there(seed, keep):
    choice = random.Random(seed)

    async def test(directory):
        store = store_on(directory)
        account = await store.open("bob@x.test")
        states = {}
        present = set()
        identity = (await account.mailbox("INBOX")).id
        for _ in range(60):
            if choice.random() < 0.4 or not present:
                present |= {one.uid for one in await account.append([NEW] * choice.randint(1, 6))}
            else:
                first = choice.choice(sorted(present))
                gone = [uid for uid in range(first, first + choice.randint(1, 3)) if uid in present]
                if choice.random() < 0.2:
                    await account.move(identity, gone, "Trash")
                else:
                    await account.remove(identity, gone)
                present -= set(gone)
            status = await account.status(identity)
            states[status.highestmodseq] = set(present)
            held = [row for row in await ranges(store) if row[0] == identity]
            assert len(held) <= vanished.KEEP + len(present) + 3
        for modseq, then in states.items():
            told = (await account.changes(identity, modseq)).vanished
            assert list(told) == sorted(set(told))
            assert then - present <= set(told)
            assert not set(told) & present
            assert max(told, default=0) < status.uidnext
        await store.close()

    kept = vanished.KEEP
    vanished.KEEP = keep
    try:
        with tempfile.TemporaryDirectory() as directory:
            asyncio.run(test(Path(directory)))
    finally:
        vanished.KEEP = kept


def test_a_mailbox_through_which_much_goes_stays_small(tmp_path, monkeypatch):
    monkeypatch.setattr(vanished, "KEEP", 16)

    async def test():
        store = store_on(tmp_path)
        account = await store.open("bob@x.test")
        identity = (await account.mailbox("INBOX")).id
        for _ in range(100):
            (one,) = await account.append([NEW])
            await account.remove(identity, [one.uid])
        assert len(await ranges(store)) <= 17
        assert (await account.changes(identity, 1)).vanished == list(range(1, 101))
        await account.delete("Trash")
        await store.close()

    asyncio.run(test())
