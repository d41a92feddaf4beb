"""What was passed and not told of is told later, whatever became of the process that passed it."""

from __future__ import annotations

import asyncio
import os

import pytest

from angarium.mailstore import owed
from angarium.mailstore.main import open_mailstore
from angarium.mailstore.parameters import MailstoreParameters
from angarium.model.quota import QuotaLimit, QuotaPlan, parse_thresholds
from angarium.runtime.log import MemoryLog, ServiceLog

PLAN = QuotaPlan(QuotaLimit(1000), warnings=parse_thresholds("80%, 95%"))
OF_DOMAIN = QuotaPlan(domain=QuotaLimit(1000), warnings=parse_thresholds("80%"))


class Teller:
    """Hears of thresholds, and says whether that was all."""

    def __init__(self, *, done=True):
        self.done = done
        self.heard = []

    def __call__(self, passed):
        self.heard += passed
        return asyncio.sleep(0, result=self.done)


@pytest.fixture
def opened(tmp_path, monkeypatch):
    """``opened(tell)``: a store, as another process would open it."""
    monkeypatch.setattr(owed, "OWED_AFTER", 0.0)

    def make(tell, plan=PLAN):
        return open_mailstore(
            MailstoreParameters(tmp_path, quota=plan),
            ServiceLog(MemoryLog(), "test"),
            tell=tell,
            clock=lambda: 1_795_500_000.0,
        )

    return make


async def used(store, mails=()):
    """The account is used by a process that lives for a little while."""
    account = await store.open("bob@example.test")
    if mails:
        await account.append(mails)
    await account.mailboxes()
    for _ in range(30):
        await asyncio.sleep(0.001)
    await store.close()


def sized(mail, size):
    return mail(b"Subject: x\r\n\r\n" + b"x" * (size - 14))


@pytest.mark.parametrize(("plan", "domain"), [(PLAN, False), (OF_DOMAIN, True)])
def test_a_process_that_dies_leaves_it_to_the_next(opened, run, mail, plan, domain):
    child = os.fork()
    if not child:
        run(used(opened(lambda _passed: os._exit(9), plan), [sized(mail, 850)]))
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    first, second = Teller(), Teller()
    run(used(opened(first, plan)))
    assert [(one.account, one.percent, one.used, one.domain) for one in first.heard] == [
        ("bob@example.test", 80, 850, domain)
    ]
    run(used(opened(second, plan)))
    assert second.heard == []


def test_what_cannot_be_told_is_told_later(opened, run, mail):
    first, second = Teller(done=False), Teller()
    run(used(opened(first), [sized(mail, 960)]))
    run(used(opened(second)))
    assert second.heard == first.heard[:1]
    assert second.heard[0].percent == 95


def test_nobody_tells_of_what_another_has_just_begun(opened, run, mail, monkeypatch):
    monkeypatch.setattr(owed, "OWED_AFTER", 60.0)
    first, second = Teller(done=False), Teller()
    run(used(opened(first), [sized(mail, 850)]))
    run(used(opened(second)))
    assert len(first.heard) == 1
    assert second.heard == []
