"""The ledger of a domain, and counting anew."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from angarium.mailstore.interface import MailstoreUnavailableError, OverQuotaError
from angarium.mailstore.layout import domain_directory
from angarium.mailstore.ledger import LEDGER, BusyLedgerError, Ledger, Ledgers, make_file
from angarium.mailstore.recount import accounts_in, count, count_domain, recount
from angarium.mailstore.usage import read_domain_usage, read_usage
from angarium.model.quota import UNLIMITED, Excess, QuotaLimit, QuotaPlan, Usage, parse_rules
from angarium.runtime.sqlite import FullError, connect

LIMIT = QuotaLimit(1000, 5)


@pytest.fixture
def ledger(tmp_path):
    opened = Ledger(tmp_path)
    yield opened
    opened.close()


def test_the_sum_follows_what_accounts_hold(ledger, tmp_path):
    assert ledger.enter("a@x.test", Usage(600, 2), LIMIT).excess is None
    assert ledger.enter("b@x.test", Usage(401, 1), LIMIT).excess is Excess.DOMAIN_STORAGE
    assert ledger.total() == Usage(600, 2)
    assert ledger.enter("b@x.test", Usage(400, 1), LIMIT).excess is None
    assert ledger.enter("B@x.test", Usage(390, 4), LIMIT).excess is Excess.DOMAIN_MESSAGES
    assert ledger.enter("a@x.test", Usage(1200, 1)).excess is None  # nobody asks for the limit
    assert ledger.enter("a@x.test", Usage(1100, 1), LIMIT).excess is None  # less than before, though still too much
    assert ledger.total() == Usage(1500, 2)
    other = Ledger(tmp_path)
    assert other.total() == Usage(1500, 2)
    other.close()


def test_what_was_never_committed_is_healed_by_the_next_entry(ledger):
    ledger.enter("a@x.test", Usage(999, 9))
    ledger.enter("a@x.test", Usage(10, 1))
    assert ledger.total() == Usage(10, 1)


def test_steps_are_told_to_one(ledger, tmp_path):
    other = Ledger(tmp_path)
    ledger.enter("a@x.test", Usage(10, 1))
    assert other.steps() == (Usage(0, 0), Usage(10, 1))
    assert ledger.steps() == (Usage(10, 1), Usage(10, 1))
    other.close()


def test_the_event_loop_waits_for_nobody(ledger, tmp_path, run):
    other = Ledger(tmp_path)

    async def test():
        with other._turn(), pytest.raises(BusyLedgerError):
            ledger.enter("a@x.test", Usage(1, 1))
        with ledger._turn(alone=False), pytest.raises(BusyLedgerError):
            ledger.total()
        assert ledger.enter("a@x.test", Usage(1, 1)) == (None, Usage(0, 0), Usage(1, 1))

    run(test())
    other.close()


def test_two_processes_never_take_more_than_there_is(tmp_path):
    ledgers = [Ledger(tmp_path), Ledger(tmp_path)]
    taken = [0, 0]

    def take(which):
        for _turn in range(200):
            if ledgers[which].enter(f"{which}@x.test", Usage(taken[which] + 7, 1), QuotaLimit(1000)).excess is None:
                taken[which] += 7

    threads = [threading.Thread(target=take, args=(which,)) for which in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(taken) == 994
    assert ledgers[0].total() == Usage(994, sum(1 for each in taken if each))  # one may have taken it all
    for each in ledgers:
        each.close()


def test_a_damaged_ledger_is_made_anew(tmp_path):
    ledger = Ledger(tmp_path)
    ledger.enter("a@x.test", Usage(10, 1))
    ledger.set_complete(True)
    ledger.close()
    (tmp_path / LEDGER).write_bytes(b"damaged" * 1000)
    again = Ledger(tmp_path)
    assert again.enter("b@x.test", Usage(5, 1)).excess is None
    assert not again.complete
    assert again.total() == Usage(5, 1)
    again.close()


@pytest.mark.parametrize("beginning", [0, 100])
def test_a_damaged_ledger_keeps_nobody_from_asking(tmp_path, beginning):
    for ask in (Ledger.total, lambda ledger: ledger.steps()[1]):
        ledger = Ledger(tmp_path)
        ledger.enter("a@fa.test", Usage(10, 1))
        ledger.close()
        with (tmp_path / LEDGER).open("r+b") as file:
            file.seek(beginning)
            file.write(b"\xff" * 8000)
        ledger = Ledger(tmp_path)
        assert ask(ledger) == Usage(0, 0)
        assert not ledger.complete
        ledger.close()


def test_a_damaged_ledger_that_another_process_has_made_anew_stays(tmp_path):
    ours, theirs = Ledger(tmp_path), Ledger(tmp_path)
    ours.enter("a@fa.test", Usage(10, 1))
    (tmp_path / LEDGER).unlink()
    theirs.enter("b@fa.test", Usage(20, 2))
    ours._discard()
    assert ours.total() == Usage(20, 2)
    ours.close()
    theirs.close()


def test_a_ledger_that_was_replaced_is_opened_again(ledger, tmp_path, monkeypatch):
    monkeypatch.setattr("angarium.mailstore.ledger._LOOK_AGAIN_SECONDS", 0)
    ledger.enter("a@x.test", Usage(10, 1))
    for each in tmp_path.glob(f"{LEDGER}*"):
        each.unlink()
    ledger.enter("b@x.test", Usage(5, 1))
    assert ledger.total() == Usage(5, 1)


def test_a_process_keeps_a_few_ledgers_open(tmp_path):
    ledgers = Ledgers(tmp_path)
    before = len(list(Path("/proc/self/fd").iterdir()))
    for number in range(60):
        domain_directory(tmp_path, f"a@{number}.test").mkdir()
        ledgers.of(f"a@{number}.test").enter(f"a@{number}.test", Usage(1, 1))
    assert len(list(Path("/proc/self/fd").iterdir())) - before <= 250  # five for each of fifty
    assert ledgers.of("b@0.test").total() == Usage(1, 1)
    ledgers.close()


def test_a_file_that_root_makes_belongs_to_the_directorys_owner(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("only root can give a file away")
    os.chown(tmp_path, 12345, 12345)
    make_file(tmp_path / "x")
    Ledger(tmp_path).enter("a@x.test", Usage(1, 1))
    for each in tmp_path.iterdir():
        assert (each.stat().st_uid, each.stat().st_mode & 0o777) == (12345, 0o600), each


def test_a_domain_is_counted_and_forgets_who_is_gone(open_store, run, mail, tmp_path):
    async def fill():
        store = open_store()
        for name, number in (("a", 1), ("b", 2), ("c d", 1)):
            await (await store.open(f"{name}@x.test")).append([mail() for _each in range(number)])
        await (await store.open("b@x.test")).append([mail(mailbox="Junk")])
        await store.close()

    run(fill())
    size = read_usage(tmp_path, "a@x.test").bytes
    plan = QuotaPlan(domain=QuotaLimit(10_000), rules=parse_rules("Junk:ignore"))
    directory = domain_directory(tmp_path, "a@x.test")
    ledger = Ledger(directory)
    ledger.enter("gone@x.test", Usage(500, 5))
    assert accounts_in(directory) == ["a", "b", "c d"]
    assert count(directory, "x.test", dict.fromkeys(accounts_in(directory), plan), ledger) == Usage(4 * size, 4)
    assert ledger.complete
    ledger.set_complete(False)
    assert count(directory, "x.test", {"a": plan}, ledger, lambda: True) == Usage(4 * size, 4)
    assert not ledger.complete
    assert read_domain_usage(tmp_path, "x.test") == Usage(4 * size, 4)
    assert count_domain(tmp_path, "x.test", ({"b": QuotaPlan(domain=plan.domain)}, plan)) == Usage(5 * size, 5)
    count_domain(tmp_path, "x.test", ({}, UNLIMITED))
    ledger.total()
    assert not ledger.complete
    ledger.close()
    assert read_domain_usage(tmp_path, "other.test") == Usage(0, 0)


def test_counting_puts_right_what_is_wrong_while_others_deliver(open_store, run, mail, tmp_path):
    async def fill():
        store = open_store()
        account = await store.open("a@x.test")
        await account.append([mail(), mail()])
        connection = connect(domain_directory(tmp_path, "a@x.test") / "a" / "mail.sqlite")
        connection.execute("UPDATE mailbox SET bytes = 1, messages = 1, deleted = 3 WHERE name = 'INBOX'")
        connection.close()
        right = recount(tmp_path, "a@x.test", UNLIMITED)
        assert right.before == Usage(1, 1)
        assert (right.after.messages, right.mailboxes) == (2, ("INBOX",))
        await account.append([mail()])
        assert (await account.quota()).messages_used == 3
        assert recount(tmp_path, "a@x.test", UNLIMITED).mailboxes == ()
        assert recount(tmp_path, "new@x.test", UNLIMITED).after == Usage(0, 0)
        await store.close()

    run(fill())


def test_a_ledger_that_cannot_be_written_lets_what_makes_room_go(open_store, run, mail, monkeypatch):
    async def quota(_account):
        return QuotaPlan(domain=QuotaLimit(10_000))

    def broken(*_arguments):
        raise FullError("disk")

    async def test():
        store = open_store(quota=quota)
        account = await store.open("a@x.test")
        (one, _two) = await account.append([mail(), mail()])
        with monkeypatch.context() as patch:
            patch.setattr(Ledger, "enter", broken)
            with pytest.raises(MailstoreUnavailableError, match="ledger"):
                await account.append([mail()])
            with pytest.raises(MailstoreUnavailableError):
                await account.copy(one.mailbox, [1], "Sent")
            await account.move(one.mailbox, [2], "Sent")
            assert await account.remove(one.mailbox, [1]) == [1]
        assert (await account.quota()).messages_used == 1
        await account.append([mail()])
        assert (await account.quota()).domain.messages_used == 2
        await store.close()

    run(test())


def test_a_full_domain_takes_nothing_and_stores_nothing(open_store, run, mail, tmp_path):
    async def quota(_account):
        return QuotaPlan(domain=QuotaLimit(messages=1))

    async def test():
        store = open_store(quota=quota, body_file_threshold=10)
        handle = await store.open("a@x.test")
        await handle.append([mail()])
        with pytest.raises(OverQuotaError, match="domain"):
            await (await store.open("b@x.test")).append([mail()])
        await store.close()
        assert read_usage(tmp_path, "b@x.test") == Usage(0, 0)
        assert list((domain_directory(tmp_path, "b@x.test") / "b" / "bodies").iterdir()) == []

    run(test())


def test_a_ledger_without_marks_gets_them(ledger, tmp_path):
    ledger.enter("a@x.test", Usage(10, 1))
    ledger.set_complete(True)
    ledger.close()
    connection = connect(tmp_path / LEDGER)
    connection.execute("ALTER TABLE held DROP COLUMN mark")
    connection.close()
    other = Ledger(tmp_path)
    assert other.enter("a@x.test", Usage(12, 1)).total == Usage(12, 1)
    assert other.complete
    other.enter("a@x.test", Usage(11, 1), mark=7)
    assert not other.complete
    other.close()
