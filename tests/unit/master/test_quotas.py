"""What is in force for an account: the directory's word, then main.cf's."""

from __future__ import annotations

import asyncio

import pytest

from angarium.directory.interface import QuotaEntry, QuotaLimit, QuotaSettings
from angarium.mailstore.interface import MailstoreUnavailableError
from angarium.master.quotas import Quotas
from angarium.model.lookup import NOT_FOUND, TemporaryError
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


def plan(answer):
    return Quotas(Directory(answer), USUAL).of("a@x.test")


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
    assert quotas.of("a@x.test") is quotas.of("b@x.test")
    for number in range(3000):
        directory.answer = QuotaEntry(QuotaSettings(bytes=number), QuotaLimit())
        assert quotas.of("a@x.test").limit.bytes == number


def test_what_cannot_be_asked_is_a_temporary_error():
    down = TemporaryError("disk", "directory:accounts")
    assert plan(down) is down
    with pytest.raises(MailstoreUnavailableError, match="disk"):
        asyncio.run(Quotas(Directory(down), USUAL).plan("a@x.test"))
