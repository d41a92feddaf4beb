"""Back ends of the mail queue. A new one is one more entry of ``BACK_ENDS``; every test here then runs on it too."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest

from angarium.mailqueue.interface import MailQueue
from angarium.mailqueue.sqlite import SqliteMailQueue
from angarium.runtime.log import MemoryLog, ServiceLog

T = TypeVar("T")
Opener = Callable[[], MailQueue]


def open_sqlite(directory: Path) -> MailQueue:
    return SqliteMailQueue(directory, ServiceLog(MemoryLog(), "postfix/qmgr"))


BACK_ENDS = {"sqlite": open_sqlite}


@pytest.fixture(params=BACK_ENDS)
def open_queue(request, tmp_path) -> Opener:
    """Opens the same queue each time it is called: a second call is another process, or the next start."""
    return lambda: BACK_ENDS[request.param](tmp_path)


@pytest.fixture
def on_queue(open_queue) -> Callable[[Callable[[MailQueue], Awaitable[T]]], T]:
    """Runs a coroutine function on an open queue and closes it."""

    def run(work: Callable[[MailQueue], Awaitable[T]]) -> T:
        async def main() -> T:
            queue = open_queue()
            try:
                return await work(queue)
            finally:
                await queue.close()

        return asyncio.run(main())

    return run
