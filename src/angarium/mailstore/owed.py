"""Warnings that an account owes: thresholds that a transaction has passed and that nobody may know of yet.

The row is written in the transaction that passes the threshold, and taken away when the warning is in the queue, so
that a process that dies between the two leaves it for another. Who finds one tells of it when it is old enough for
nobody to be about it, and makes it young again first, so that only one does.

The functions run inside a transaction of the account's writer; ``Debts`` sees to it that what is owed is told.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import asdict
from typing import Protocol, TypeVar

from angarium.mailstore.interface import MailstoreError
from angarium.mailstore.rows import all_rows, one_row
from angarium.model.quota import Crossing, Resource
from angarium.runtime.sqlite import Connection

T = TypeVar("T")
Tell = Callable[[Sequence[Crossing]], Awaitable[bool]]
"""Begins to tell of thresholds; what it returns says whether that was done (False: it is to be tried again)."""
OWED_AFTER = 60.0
"""Seconds after which a warning that is still owed is told by whoever finds it: by then nobody else is about it."""


def owe(connection: Connection, crossings: Sequence[Crossing], now: float) -> tuple[int, ...]:
    """Note that these are to be told; the numbers of the notes."""
    insert = "INSERT INTO owed (since, crossing) VALUES (?, ?) RETURNING id"
    return tuple(one_row(connection, insert, (now, _encoded(crossing)))[0] for crossing in crossings)


def take(connection: Connection, now: float, age: float) -> tuple[list[int], list[Crossing], bool]:
    """Those that are at least ``age`` seconds old: numbers and thresholds; and whether there are younger ones."""
    found = all_rows(connection, "SELECT id, crossing FROM owed WHERE since <= ? ORDER BY id", (now - age,))
    connection.execute("UPDATE owed SET since = ? WHERE since <= ?", (now, now - age))
    (count,) = one_row(connection, "SELECT count(*) FROM owed")
    return [row[0] for row in found], [_decoded(row[1]) for row in found], count > len(found)


def settle(connection: Connection, numbers: Sequence[int]) -> None:
    """They have been told."""
    connection.executemany("DELETE FROM owed WHERE id = ?", [(number,) for number in numbers])


def _encoded(crossing: Crossing) -> str:
    return json.dumps(asdict(crossing) | {"resource": crossing.resource.value})


def _decoded(text: str) -> Crossing:
    said = json.loads(text)
    return Crossing(**(said | {"resource": Resource(said["resource"])}))


class Writes(Protocol):
    """How a transaction of an account is made: ``SqliteMailStore.write``."""

    def __call__(self, account: str, work: Callable[[Connection], T]) -> Awaitable[T]:
        """Run ``work``; durable when it is done. Raises MailstoreError."""
        ...


class Debts:
    """What the accounts owe, as far as this process knows. Belongs to one event loop.

    Args:
        tell: tells of thresholds; None: this process tells nobody, and leaves it to another.
        write: makes transactions.
        behind: starts a task that the store waits for when it is closed.
        clock: seconds since the epoch.
    """

    def __init__(
        self,
        tell: Tell | None,
        write: Writes,
        behind: Callable[[Coroutine[None, None, None]], None],
        clock: Callable[[], float],
    ) -> None:
        self._tell = tell
        self._write = write
        self._behind = behind
        self._clock = clock
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._closed = False

    async def note(self, account: str, crossings: Sequence[Crossing]) -> tuple[int, ...]:
        """Note what no transaction of the account has noted. Raises MailstoreError."""
        return await self._write(account, lambda connection: owe(connection, crossings, self._clock()))

    def pay(self, account: str, numbers: Sequence[int], crossings: Sequence[Crossing]) -> None:
        """Tell of what the account owes, behind what is under way."""
        if self._tell is not None:
            self._behind(self._paid(account, numbers, self._tell(crossings)))

    def look_later(self, account: str) -> None:
        """The account owes something: look again when nobody can be about it any more."""
        if self._tell is not None and account not in self._timers and not self._closed:
            self._timers[account] = asyncio.get_running_loop().call_later(OWED_AFTER, self._look, account)

    def close(self) -> None:
        """Look no more."""
        self._closed = True
        for timer in self._timers.values():
            timer.cancel()

    async def _paid(self, account: str, numbers: Sequence[int], told: Awaitable[bool]) -> None:
        try:
            if await told:
                await self._write(account, lambda connection: settle(connection, numbers))
            else:
                self.look_later(account)
        except MailstoreError:
            return  # said in the log by whoever raised it; it stays owed

    def _look(self, account: str) -> None:
        del self._timers[account]
        self._behind(self._found(account))

    async def _found(self, account: str) -> None:
        try:
            numbers, crossings, more = await self._write(
                account, lambda connection: take(connection, self._clock(), OWED_AFTER)
            )
        except MailstoreError:
            return  # said in the log by whoever raised it; it stays owed
        if crossings:
            self.pay(account, numbers, crossings)
        if more:
            self.look_later(account)
