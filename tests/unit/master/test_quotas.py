"""What is in force for an account: the directory's word, then main.cf's."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from angarium.directory.interface import QuotaEntry, QuotaLimit, QuotaSettings
from angarium.mailstore.interface import MailstoreUnavailableError
from angarium.master.quotas import Quotas
from angarium.model.lookup import NOT_FOUND, Found, TemporaryError
from angarium.model.quota import Grace, QuotaPlan, parse_rules, parse_thresholds

USUAL = QuotaPlan(
    QuotaLimit(1000, 10),
    mail=100,
    grace=Grace(5),
    rules=parse_rules("Junk:ignore"),
    warnings=parse_thresholds("80%"),
)


class Directory:
    def __init__(self, answer):
        self.answer = answer

    def quota(self, _account):
        return self.answer


def of(quotas, account):
    return asyncio.run(quotas.of(account))


def plan(answer, locate=None):
    return of(Quotas(Directory(answer), USUAL, locate), "a@x.test")


def test_main_cf_holds_where_nothing_is_set():
    assert plan(NOT_FOUND) is USUAL
    assert plan(QuotaEntry(QuotaSettings(), QuotaLimit())) == USUAL


def test_each_thing_that_is_set_holds():
    entry = QuotaEntry(QuotaSettings(bytes=0, rules=""), QuotaLimit(messages=99))
    assert plan(entry) == QuotaPlan(
        QuotaLimit(0, 10), mail=100, grace=Grace(5), warnings=USUAL.warnings, domain=QuotaLimit(messages=99)
    )
    entry = QuotaEntry(QuotaSettings(7, 8, 9, "Trash:storage=+1K"), QuotaLimit())
    assert (plan(entry).limit, plan(entry).mail) == (QuotaLimit(7, 8), 9)
    assert plan(entry).rules == parse_rules("Trash:storage=+1K")
    assert plan(QuotaEntry(QuotaSettings(rules="nonsense"), QuotaLimit())).rules == ()


def test_a_change_is_in_force_at_once():
    directory = Directory(QuotaEntry(QuotaSettings(bytes=1), QuotaLimit()))
    quotas = Quotas(directory, USUAL)
    assert of(quotas, "a@x.test") is of(quotas, "b@x.test")

    async def change():
        for number in range(3000):
            directory.answer = QuotaEntry(QuotaSettings(bytes=number), QuotaLimit())
            assert (await quotas.of("a@x.test")).limit.bytes == number

    asyncio.run(change())


def test_what_cannot_be_asked_is_a_temporary_error():
    down = TemporaryError("disk", "directory:accounts")
    assert plan(down) is down
    with pytest.raises(MailstoreUnavailableError, match="disk"):
        asyncio.run(Quotas(Directory(down), USUAL).plan("a@x.test"))


@pytest.mark.parametrize(
    ("answer", "limit"),
    [
        (Found("1048576", "mysql:x"), QuotaLimit(1 << 20)),
        (Found(" 1G, 5 ", "mysql:x"), QuotaLimit(1 << 30, 5)),
        (Found("0", "mysql:x"), QuotaLimit()),
        (NOT_FOUND, USUAL.limit),
    ],
)
def test_accounts_of_others_have_tables(answer, limit):
    async def locate(account):
        assert account == "a@x.test"
        return answer

    assert plan(NOT_FOUND, locate) == replace(USUAL, limit=limit)
    assert plan(QuotaEntry(QuotaSettings(bytes=7), QuotaLimit()), locate).limit.bytes == 7


@pytest.mark.parametrize(
    "answer", [TemporaryError("down", "mysql:x"), *(Found(text, "x") for text in ("", "-1", "a lot", "1 2 3", "1 2M"))]
)
def test_a_table_that_makes_no_sense_is_a_temporary_error(answer):
    async def locate(_account):
        return answer

    assert isinstance(plan(NOT_FOUND, locate), TemporaryError)
