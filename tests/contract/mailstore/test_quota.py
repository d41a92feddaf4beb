"""Quotas of accounts and of domains: what every back end does alike."""

from __future__ import annotations

import asyncio

import pytest

from angarium.mailstore.interface import MailTooLargeError, NewMail, OverQuotaError
from angarium.model.content import MemoryContent
from angarium.model.quota import Crossing, Excess, Grace, QuotaLimit, QuotaPlan, Resource, parse_rules, parse_thresholds

SIZE = 100
TEN_PERCENT = Grace(10, percent=True)


def sized(size=SIZE, mailbox="INBOX", key="", **more):
    head = b"Subject: x\r\n\r\n"
    return NewMail(mailbox, b"", MemoryContent(head + b"x" * (size - len(head))), frozenset(), 0.0, key=key, **more)


def test_a_delivery_may_exceed_the_limit_once_a_user_may_not(run):
    async def test(account, store):
        await account.append([sized(950)])
        with pytest.raises(OverQuotaError):
            await account.append([sized(51)])
        assert await store.room("bob@example.test", 150) is None
        assert await store.room("bob@example.test", 151) is Excess.STORAGE
        with pytest.raises(OverQuotaError):
            await account.append([sized(151, key="a")])
        await account.append([sized(150, key="a")])
        assert (await account.append([sized(150, key="a")]))[0].duplicate
        assert (await account.quota()).bytes_used == 1100
        with pytest.raises(OverQuotaError):
            await account.append([sized(20, key="b")])
        assert await store.room("bob@example.test", 0) is Excess.STORAGE

    run(test, plan=QuotaPlan(QuotaLimit(1000), grace=TEN_PERCENT))


def test_one_message_has_a_largest_size(run):
    async def test(account, store):
        await account.append([sized(200)])
        for key in ("", "a"):
            with pytest.raises(MailTooLargeError):
                await account.append([sized(201, key=key)])
        assert await store.room("bob@example.test", 201) is Excess.MAIL
        assert await store.room("bob@example.test", 200) is None
        assert await store.room("new@example.test", 0) is None

    run(test, plan=QuotaPlan(mail=200))


def test_folders_may_have_more_room_or_not_count(run):
    async def test(account, _store):
        inbox = await account.mailbox("INBOX")
        junk = await account.mailbox("Junk")
        await account.append([sized(), sized()])
        with pytest.raises(OverQuotaError):
            await account.copy(inbox.id, [1], "Archive")
        await account.copy(inbox.id, [1], "Trash")
        with pytest.raises(OverQuotaError):
            await account.copy(inbox.id, [1], "Trash")
        await account.copy(inbox.id, [1, 2], "Junk")
        await account.append([sized(5000, "Junk")])
        found = await account.quota()
        assert (found.bytes_used, found.messages_used, found.bytes_limit) == (3 * SIZE, 3, 2 * SIZE)
        assert not await account.is_counted(junk)
        assert await account.is_counted(inbox)
        with pytest.raises(OverQuotaError):
            await account.move(junk.id, [1], "INBOX")
        await account.move(inbox.id, [1], "Junk")
        assert (await account.quota()).messages_used == 2
        await account.move(inbox.id, [2], "Archive")

    run(test, plan=QuotaPlan(QuotaLimit(2 * SIZE), rules=parse_rules("Trash:storage=+100, \\Junk:ignore")))


def test_a_threshold_is_told_once_by_whoever_passes_it(run):
    told = []

    async def test(account, _store):
        inbox = await account.mailbox("INBOX")
        await asyncio.gather(*[account.append([sized(key=f"{number}")]) for number in range(8)])
        assert told == [Crossing("bob@example.test", Resource.STORAGE, 80, False, 800, 1000)]
        await account.append([sized(exempt=True, key="w"), sized(exempt=True, key="v")])
        await account.append([sized(exempt=True, key="u")])
        assert (await account.quota()).bytes_used == 1100
        await account.expunge(inbox.id)
        del told[:]
        await account.remove(inbox.id, [1])
        assert told == []
        await account.remove(inbox.id, [2, 3, 4, 5])
        assert told == [Crossing("bob@example.test", Resource.STORAGE, 80, True, 600, 1000)]
        del told[:]
        await account.move(inbox.id, [6], "Sent")
        await account.copy(inbox.id, [7, 8], "Sent")
        assert [(one.percent, one.used) for one in told] == [(80, 800)]
        await account.delete("Sent")
        assert [(one.percent, one.below, one.used) for one in told[1:]] == [(80, True, 500)]

    plan = QuotaPlan(QuotaLimit(1000), warnings=parse_thresholds("80%, -80%, 95%"))
    run(test, plan=plan, tell=told.extend)


def test_a_domain_has_a_limit_of_all_its_accounts(run):
    told = []

    async def test(bob, store):
        await bob.append([sized(500)])
        alice = await store.open("alice@example.test")
        other = await store.open("alice@other.test")
        await alice.append([sized(300)])
        await other.append([sized(900)])
        found = (await alice.quota()).domain
        assert (found.bytes_used, found.bytes_limit, found.messages_used) == (800, 1000, 2)
        assert await store.room("carol@example.test", 200) is None
        assert await store.room("carol@example.test", 201) is Excess.DOMAIN_STORAGE
        results = await asyncio.gather(
            *[(bob, alice)[n % 2].append([sized(key=f"{n}")]) for n in range(6)], return_exceptions=True
        )
        assert sorted(isinstance(one, OverQuotaError) for one in results) == [False, False, True, True, True, True]
        assert (await bob.quota()).domain.bytes_used == 1000
        inbox = await bob.mailbox("INBOX")
        with pytest.raises(OverQuotaError):
            await bob.copy(inbox.id, [1], "Sent")
        await bob.move(inbox.id, [1], "Sent")
        await bob.delete("Sent")
        assert (await alice.quota()).domain.bytes_used == 500
        await alice.append([sized(exempt=True, key="w")])
        assert {(one.percent, one.domain) for one in told} <= {(90, True), (100, True)}
        assert [one.percent for one in told].count(100) == 1

    run(test, plan=QuotaPlan(domain=QuotaLimit(1000), warnings=parse_thresholds("90%, 100%")), tell=told.extend)


def test_a_warning_that_passes_a_domains_threshold_leaves_it_to_be_told_by_the_next_message(run):
    told = []

    async def test(bob, store):
        alice = await store.open("alice@example.test")
        await bob.append([sized(850)])
        await alice.append([sized(exempt=True, key="w")])
        assert told == []
        await bob.append([sized(20)])
        await bob.append([sized(20)])
        assert [(one.percent, one.domain) for one in told] == [(90, True)]

    run(test, plan=QuotaPlan(domain=QuotaLimit(1000), warnings=parse_thresholds("90%")), tell=told.extend)


def test_a_domain_that_gets_a_limit_is_counted(open_store):
    plans = [QuotaPlan(), QuotaPlan(domain=QuotaLimit(1000))]

    async def quota(_account):
        return plans[0]

    async def test():
        store = open_store(quota=quota)
        for name in ("bob", "alice"):
            await (await store.open(f"{name}@example.test")).append([sized(400)])
        del plans[0]
        bob = await store.open("bob@example.test")
        await bob.append([sized(100)])
        for _turn in range(1000):
            if (await bob.quota()).domain.bytes_used == 900:
                break
            await asyncio.sleep(0.005)
        with pytest.raises(OverQuotaError):
            await bob.append([sized(101)])
        await store.close()

    asyncio.run(test())


def test_rules_that_change_are_found_out(open_store):
    """The accounts that nobody uses were counted by the old ones."""
    limit = QuotaLimit(1000)

    async def using(plan, work):
        store = open_store(plan=plan)
        try:
            await work(await store.open("bob@example.test"), store)
        finally:
            await store.close()

    async def fill(bob, store):
        await bob.append([sized(100)])
        await bob.append([sized(200, mailbox="Junk")])
        await (await store.open("alice@example.test")).append([sized(300, mailbox="Junk")])
        assert (await bob.quota()).domain.bytes_used == 100

    def holds(size):
        async def look(bob, _store):
            await bob.append([sized(20)])
            for _turn in range(1000):
                found = (await bob.quota()).domain.bytes_used
                if found == size:
                    return
                await asyncio.sleep(0.005)
            raise AssertionError(found)

        return look

    ignoring = QuotaPlan(domain=limit, rules=parse_rules("Junk:ignore"))
    asyncio.run(using(ignoring, fill))
    asyncio.run(using(QuotaPlan(domain=limit), holds(620)))
    asyncio.run(using(ignoring, holds(140)))
    asyncio.run(using(QuotaPlan(domain=limit, rules=parse_rules("Junk:ignore, Trash:storage=+1M")), holds(160)))


def test_room_is_not_asked_of_the_disk_twice(open_store, monkeypatch):
    async def test():
        store, elsewhere = open_store(plan=QuotaPlan(QuotaLimit(100))), open_store()
        await (await elsewhere.open("bob@example.test")).append([sized(100)])
        assert await store.room("bob@example.test", 1) is Excess.STORAGE
        assert await store.room("new@example.test", 1) is None
        assert store.statistics()["open"] == 0
        monkeypatch.setattr("angarium.mailstore.room.read_usage", None)
        assert await store.room("BOB@example.test", 1) is Excess.STORAGE
        store.announce("bob@example.test", 1, 1)
        with pytest.raises(TypeError):
            await store.room("bob@example.test", 1)
        await store.close()
        await elsewhere.close()

    asyncio.run(test())


def test_what_is_flagged_deleted_has_a_size(run):
    async def test(account, _store):
        from angarium.mailstore.interface import FlagOperation

        inbox = await account.mailbox("INBOX")
        await account.append([sized(100), sized(200), sized(300)])
        assert await account.deleted_size(inbox.id) == 0
        await account.store_flags(inbox.id, [1, 3], FlagOperation.ADD, frozenset({"\\Deleted"}))
        assert await account.deleted_size(inbox.id) == 400

    run(test)
