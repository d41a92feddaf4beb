"""Any sequence of operations leaves the store as a plain model has it: messages, flags, counters, changes, quota."""

from __future__ import annotations

import asyncio
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from angarium.mailstore.interface import FlagOperation, NewMail
from angarium.mailstore.main import open_mailstore
from angarium.mailstore.parameters import MailstoreParameters
from angarium.model.content import MemoryContent
from angarium.runtime.log import MemoryLog, ServiceLog

NAMES = ("INBOX", "Sent", "Trash")
FLAGS = ("\\Seen", "\\Deleted", "work")

uids = st.sets(st.integers(min_value=1, max_value=8), max_size=5)
names = st.sampled_from(NAMES)
flags = st.sets(st.sampled_from(FLAGS), max_size=2).map(frozenset)
operation = st.one_of(
    st.tuples(st.just("append"), names, flags, st.integers(min_value=1, max_value=3)),
    st.tuples(st.just("store"), names, uids, st.sampled_from(list(FlagOperation)), flags),
    st.tuples(st.just("copy"), names, uids, names),
    st.tuples(st.just("move"), names, uids, names),
    st.tuples(st.just("expunge"), names, st.one_of(st.none(), uids)),
    st.tuples(st.just("remove"), names, uids),
)


@dataclass
class Box:
    """A mailbox of the model: UID -> (flags, body)."""

    messages: dict[int, tuple[frozenset[str], bytes]] = field(default_factory=dict)
    uidnext: int = 1
    gone: set[int] = field(default_factory=set)

    def add(self, one: tuple[frozenset[str], bytes]) -> int:
        self.messages[self.uidnext] = one
        self.uidnext += 1
        return self.uidnext - 1

    def take(self, chosen) -> list[tuple[int, tuple[frozenset[str], bytes]]]:
        taken = [(uid, self.messages.pop(uid)) for uid in sorted(chosen) if uid in self.messages]
        self.gone |= {uid for uid, _one in taken}
        return taken


class Play:
    """Does each operation on the store and on the model, and compares what they answer."""

    def __init__(self, account, identities) -> None:
        self.account = account
        self.identities = identities
        self.model = {name: Box() for name in NAMES}
        self.number = 0

    async def append(self, name, chosen, count):
        mails = []
        expected = []
        for _number in range(count):
            self.number += 1
            data = b"Subject: %d\r\n\r\n" % self.number + b"x" * (self.number % 7)
            mails.append(NewMail(name, b"", MemoryContent(data), chosen, 0.0))
            expected.append(self.model[name].add((chosen, data)))
        assert [one.uid for one in await self.account.append(mails)] == expected

    async def store(self, name, chosen, how, change):
        box = self.model[name]
        expected = []
        for uid in sorted(chosen & box.messages.keys()):
            old, data = box.messages[uid]
            new = {FlagOperation.ADD: old | change, FlagOperation.REMOVE: old - change}.get(how, change)
            box.messages[uid] = (new, data)
            if new != old:
                expected.append((uid, new))
        states, _kept = await self.account.store_flags(self.identities[name], sorted(chosen), how, change)
        assert [(one.uid, one.flags) for one in states] == expected

    async def copy(self, name, chosen, target):
        box = self.model[name]
        copied = await self.account.copy(self.identities[name], sorted(chosen), target)
        present = [(uid, box.messages[uid]) for uid in sorted(chosen) if uid in box.messages]
        assert list(copied.pairs) == [(uid, self.model[target].add(one)) for uid, one in present]

    async def move(self, name, chosen, target):
        moved = await self.account.move(self.identities[name], sorted(chosen), target)
        taken = self.model[name].take(chosen)
        assert list(moved.pairs) == [(uid, self.model[target].add(one)) for uid, one in taken]

    async def expunge(self, name, chosen):
        box = self.model[name]
        deleted = {uid for uid, (kept, _data) in box.messages.items() if "\\Deleted" in kept}
        removed = await self.account.expunge(self.identities[name], chosen)
        assert list(removed) == [uid for uid, _one in box.take(deleted if chosen is None else deleted & chosen)]

    async def remove(self, name, chosen):
        removed = await self.account.remove(self.identities[name], sorted(chosen))
        assert list(removed) == [uid for uid, _one in self.model[name].take(chosen)]

    async def compare(self):
        everything = [one for box in self.model.values() for one in box.messages.values()]
        quota = await self.account.quota()
        assert (quota.messages_used, quota.bytes_used) == (len(everything), sum(len(data) for _f, data in everything))
        for name, box in self.model.items():
            identity = self.identities[name]
            status = await self.account.status(identity)
            assert (status.messages, status.uidnext) == (len(box.messages), box.uidnext)
            assert status.unseen == sum("\\Seen" not in kept for kept, _data in box.messages.values())
            assert status.deleted == sum("\\Deleted" in kept for kept, _data in box.messages.values())
            assert status.size == sum(len(data) for _kept, data in box.messages.values())
            states = await self.account.states(identity)
            assert {one.uid: one.flags for one in states} == {uid: one[0] for uid, one in box.messages.items()}
            found = await self.account.bodies(identity, sorted(box.messages))
            assert {uid: content.read() for uid, content in found} == {u: one[1] for u, one in box.messages.items()}
            changes = await self.account.changes(identity, 0)
            assert set(changes.vanished) == box.gone
            assert list(changes.states) == list(states)
            assert all(one.modseq <= changes.highestmodseq for one in states)


@given(st.lists(operation, max_size=14))
@settings(max_examples=40, deadline=None)
def test_the_store_behaves_as_its_model(operations):
    async def test(directory):
        store = open_mailstore(MailstoreParameters(Path(directory)), ServiceLog(MemoryLog(), "test"))
        account = await store.open("bob@example.test")
        play = Play(account, {one.name: one.id for one in await account.mailboxes()})
        for name, *arguments in operations:
            since = {box: (await account.status(identity)).highestmodseq for box, identity in play.identities.items()}
            await getattr(play, name)(*arguments)
            for box, identity in play.identities.items():
                assert (await account.status(identity)).highestmodseq >= since[box]
        await play.compare()
        await store.close()
        again = open_mailstore(MailstoreParameters(Path(directory)), ServiceLog(MemoryLog(), "test"))
        play.account = await again.open("bob@example.test")
        await play.compare()
        database = await again.database("bob@example.test")
        counts = [
            database.reader.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
            for table in ("body", "content", "structure", "field", "text")
        ]
        alive = database.reader.execute("SELECT count(DISTINCT body) FROM message").fetchone()[0]
        assert counts == [alive] * 5
        assert database.reader.execute("SELECT count(*) FROM dead").fetchone()[0] == 0
        await again.close()

    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(test(directory))
