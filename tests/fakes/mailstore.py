"""A mailstore in memory, with the parts that POP3 needs: one INBOX an account. Errors can be injected."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from angarium.mailstore.interface import Column, FlagOperation, Mailbox, MessageState, NoSuchMailboxError
from angarium.model.change import Change
from angarium.model.content import Content, MemoryContent


@dataclass
class FakeMessage:
    uid: int
    data: bytes
    flags: frozenset[str] = frozenset()


@dataclass
class FakeAccount:
    """One account; ``fail`` is raised by the call of that name; ``calls`` counts."""

    account: str
    uidvalidity: int = 1700000000
    messages: dict[int, FakeMessage] = field(default_factory=dict)
    fail: dict[str, Exception] = field(default_factory=dict)
    calls: list[tuple[str, Any]] = field(default_factory=list)

    def deliver(self, *bodies: bytes) -> None:
        for data in bodies:
            uid = max(self.messages, default=0) + 1
            self.messages[uid] = FakeMessage(uid, data)

    def _called(self, name: str, argument: Any) -> None:
        self.calls.append((name, argument))
        if name in self.fail:
            raise self.fail[name]

    async def mailbox(self, name: str) -> Mailbox:
        self._called("mailbox", name)
        if name != "INBOX":
            raise NoSuchMailboxError(name)
        return Mailbox(1, "INBOX", self.uidvalidity)

    async def states(self, mailbox: int) -> Sequence[MessageState]:
        self._called("states", mailbox)
        return [MessageState(one.uid, 1, one.flags) for one in self.messages.values()]

    async def columns(self, mailbox: int, uids: Sequence[int], wanted: Sequence[Column]) -> list[tuple[object, ...]]:
        self._called("columns", (list(uids), list(wanted)))
        return [
            (uid, *(self._column(self.messages[uid].data, column) for column in wanted))
            for uid in uids
            if uid in self.messages
        ]

    @staticmethod
    def _column(data: bytes, column: Column) -> object:
        if column is Column.SIZE:
            return len(data)
        assert column is Column.HEADER
        head, blank, _ = data.partition(b"\r\n\r\n")
        return head + blank

    async def bodies(self, mailbox: int, uids: Sequence[int]) -> list[tuple[int, Content]]:
        self._called("bodies", list(uids))
        return [(uid, MemoryContent(self.messages[uid].data)) for uid in uids if uid in self.messages]

    async def store_flags(
        self,
        mailbox: int,
        uids: Sequence[int],
        operation: FlagOperation,
        flags: frozenset[str],
        unchanged_since: int = -1,
    ) -> tuple[Sequence[MessageState], Sequence[int]]:
        self._called("store_flags", (list(uids), operation, flags))
        assert operation is FlagOperation.ADD
        for uid in uids:
            if uid in self.messages:
                self.messages[uid].flags |= flags
        return [], []

    async def remove(self, mailbox: int, uids: Sequence[int]) -> Sequence[int]:
        self._called("remove", list(uids))
        return [uid for uid in uids if self.messages.pop(uid, None) is not None]


class FakeMailStore:
    """Accounts by name, made when they are opened."""

    def __init__(self) -> None:
        self.accounts: dict[str, FakeAccount] = {}

    def account(self, name: str) -> FakeAccount:
        return self.accounts.setdefault(name, FakeAccount(name))

    async def open(self, account: str) -> FakeAccount:
        return self.account(account)

    def subscribe(self, account: str, callback: Callable[[Change], None]) -> Callable[[], None]:
        return lambda: None

    async def close(self) -> None:
        return
