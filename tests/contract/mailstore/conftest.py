"""Every back end of the mailstore: each test runs once for each factory here."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from angarium.mailstore.interface import AccountStore, MailStore, NewMail
from angarium.mailstore.main import open_mailstore
from angarium.mailstore.parameters import MailstoreParameters
from angarium.model.content import MemoryContent
from angarium.model.quota import UNLIMITED
from angarium.runtime.log import MemoryLog, ServiceLog

Factory = Callable[..., MailStore]

MESSAGE = (
    b"From: Alice <alice@example.org>\r\n"
    b"To: Bob <bob@example.test>\r\n"
    b"Subject: =?utf-8?q?Caf=C3=A9?= plans\r\n"
    b"Date: Tue, 24 Nov 2026 08:00:00 +0100\r\n"
    b"X-Rare: yes\r\n"
    b"\r\n"
    b"Shall we meet?\r\n"
)


class Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = 1_795_500_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["sqlite"])
def open_store(request, tmp_path, clock) -> Factory:
    """``open_store(quota=…)`` opens the store; again: the same data, as another process would.

    ``plan`` is the quota of all accounts, ``tell`` hears of thresholds.
    """

    def sqlite(quota=None, plan=UNLIMITED, tell=None, **parameters: Any) -> MailStore:
        def hears(passed):
            tell(passed)
            return asyncio.sleep(0, result=True)

        return open_mailstore(
            MailstoreParameters(tmp_path, quota=plan, **parameters),
            ServiceLog(MemoryLog(), "test"),
            quota=quota,
            tell=None if tell is None else hears,
            clock=clock,
        )

    return {"sqlite": sqlite}[request.param]


@pytest.fixture
def run(open_store) -> Callable[..., Any]:
    """``run(test)`` calls ``await test(account, store)`` with a new account, then closes the store."""

    def runner(test: Callable[[AccountStore, MailStore], Awaitable[Any]], **options: Any) -> Any:
        async def body() -> Any:
            store = open_store(**options)
            try:
                return await test(await store.open("bob@example.test"), store)
            finally:
                await store.close()

        return asyncio.run(body())

    return runner


@pytest.fixture
def mail() -> Callable[..., NewMail]:
    """``mail(data, flags, key=…)``: an append to INBOX."""

    def make(data: bytes = MESSAGE, *flags: str, mailbox: str = "INBOX", prefix: bytes = b"", key: str = "") -> NewMail:
        return NewMail(mailbox, prefix, MemoryContent(data), frozenset(flags), 1_000_000_000.0, 120, key)

    return make
