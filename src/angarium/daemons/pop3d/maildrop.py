r"""``Maildrop``: INBOX as a session sees it: fixed at the log-in, numbered from 1 (RFC 1939 section 4).

Owns the marks for deletion, which nobody else sees until ``update`` removes the messages in one transaction, and the
read-ahead: a client that retrieves one message after the other is served from memory, filled by ever larger batches
up to 64 messages or ``pop3d_read_ahead_limit`` bytes.

There is no lock: as with Dovecot, an account may have several sessions and IMAP beside them. A message that another
session removed meanwhile is answered with an error.

Fails with what the mailstore raises.
"""

from __future__ import annotations

import asyncio

from angarium.mailstore.interface import AccountStore, Column, FlagOperation, MailStore
from angarium.model.content import Content
from angarium.protocols.pop3.framing import stuff
from angarium.protocols.pop3.render import END, uidl

_SEEN = "\\Seen"
_BATCH = 64
_AT_ONCE = 5000
"""Messages that a log-in looks up before others have their turn."""


class MessageGoneError(Exception):
    """Another session removed the message."""


class Maildrop:
    """A snapshot of an account's INBOX.

    Attributes:
        sizes: of each message, in order of number.
        total_size: bytes of all messages, marked or not.
        deleted: numbers that are marked.
    """

    def __init__(
        self,
        account: AccountStore,
        mailbox: int,
        uidvalidity: int,
        messages: list[tuple[int, int, bool]],
        read_ahead: int,
    ) -> None:
        """Take a snapshot: ``messages`` is (UID, size, seen) of each; ``read_ahead`` is a bound in bytes."""
        self._account = account
        self._mailbox = mailbox
        self._uidvalidity = uidvalidity
        self._uids = [uid for uid, _size, _seen in messages]
        self._numbers = {uid: number for number, uid in enumerate(self._uids, 1)}
        self._unseen = {number for number, (_uid, _size, seen) in enumerate(messages, 1) if not seen}
        self._read_ahead = read_ahead
        self._ready: dict[int, bytes] = {}
        self._headers: dict[int, bytes] = {}
        self._next = 0
        self._window = 1
        self._retrieved: set[int] = set()
        self.sizes = [size for _uid, size, _seen in messages]
        self.total_size = sum(self.sizes)
        self.deleted: set[int] = set()

    @classmethod
    async def open(cls, store: MailStore, account: str, read_ahead: int) -> Maildrop:
        """Open an account's INBOX."""
        handle = await store.open(account)
        inbox = await handle.mailbox("INBOX")
        states = await handle.states(inbox.id)
        uids = [state.uid for state in states]
        sizes: dict[object, object] = {}
        for start in range(0, len(uids), _AT_ONCE):
            sizes.update(await _pairs(handle, inbox.id, uids[start : start + _AT_ONCE], Column.SIZE))
            await asyncio.sleep(0)  # the others' turn
        messages: list[tuple[int, int, bool]] = []
        for state in states:
            size = sizes.get(state.uid)
            if isinstance(size, int):  # else another session removed it just now
                messages.append((state.uid, size, _SEEN in state.flags))
        return cls(handle, inbox.id, inbox.uidvalidity, messages, read_ahead)

    def count(self) -> tuple[int, int]:
        """Number and bytes of the messages that are not marked."""
        gone = sum(self.sizes[number - 1] for number in self.deleted)
        return len(self.sizes) - len(self.deleted), self.total_size - gone

    def present(self) -> list[int]:
        """The numbers that are not marked."""
        if not self.deleted:
            return list(range(1, len(self.sizes) + 1))
        return [number for number in range(1, len(self.sizes) + 1) if number not in self.deleted]

    def complaint(self, number: int) -> str:
        """Why a number cannot be used; empty when it can."""
        if not 1 <= number <= len(self.sizes):
            return f"There's no message {number}."
        return "Message is deleted." if number in self.deleted else ""

    def uidl(self, number: int) -> str:
        """The unique id of a message."""
        return uidl(self._uidvalidity, self._uids[number - 1])

    def mark(self, number: int) -> None:
        """Mark for deletion."""
        self.deleted.add(number)

    def reset(self) -> None:
        """RSET: unmark all. What was retrieved counts as unseen again, as with Dovecot."""
        self.deleted.clear()
        self._retrieved.clear()

    # Retrieval

    def ready(self, number: int) -> bytes | None:
        """The whole reply of RETR, when the message is in memory; it is given once."""
        reply = self._ready.pop(number, None)
        if reply is not None:
            self._retrieved.add(number)
            self._next = number + 1
        return reply

    async def fetch(self, number: int) -> Content | None:
        """Read a message and those that probably follow, for ``ready``; a large one is returned instead.

        Raises:
            MessageGoneError: another session removed it.
        """
        size = self.sizes[number - 1]
        if number == self._next:
            self._window = min(self._window * 2, _BATCH)
        else:
            self._window = 2 if number == 1 else 1
        if size > self._read_ahead:
            bodies = await self._account.bodies(self._mailbox, [self._uids[number - 1]])
            if not bodies:
                raise MessageGoneError
            self._retrieved.add(number)
            self._next = number + 1
            return bodies[0][1]
        self._ready.clear()
        numbers = self._following(number)
        bodies = await self._account.bodies(self._mailbox, [self._uids[one - 1] for one in numbers])
        # Rendered here for all: whatever is done between two answers keeps a client waiting that goes on at once.
        self._ready = {self._numbers[uid]: _reply(content.read()) for uid, content in bodies}
        if number not in self._ready:
            raise MessageGoneError
        return None

    def _following(self, number: int) -> list[int]:
        """The number and those after it that fit in the window and in the bytes."""
        chosen, size, last = [number], self.sizes[number - 1], len(self.sizes)
        while len(chosen) < self._window and number < last:
            number += 1
            if number in self.deleted:
                continue
            size += self.sizes[number - 1]
            if size > self._read_ahead:
                break
            chosen.append(number)
        return chosen

    def ready_header(self, number: int) -> bytes | None:
        """The header block of a message, when it is in memory; it is given once."""
        return self._headers.pop(number, None)

    async def fetch_headers(self, number: int) -> None:
        """Read the header blocks of a message and of those that probably follow, for ``ready_header``.

        Raises:
            MessageGoneError: another session removed it.
        """
        self._headers.clear()
        self._window = min(self._window * 2, _BATCH)
        uids = [self._uids[one - 1] for one in self._following(number)]
        for uid, header in await _pairs(self._account, self._mailbox, uids, Column.HEADER):
            assert isinstance(header, bytes)
            self._headers[self._numbers[uid]] = header
        if number not in self._headers:
            raise MessageGoneError

    async def content(self, number: int) -> Content:
        """A message, for TOP with lines. Raises MessageGoneError."""
        bodies = await self._account.bodies(self._mailbox, [self._uids[number - 1]])
        if not bodies:
            raise MessageGoneError
        return bodies[0][1]

    def forget(self) -> None:
        """Give back what was read ahead: the client does not go on."""
        self._ready.clear()
        self._headers.clear()
        self._next = 0

    # The end

    async def update(self, *, mark_seen: bool) -> int:
        r"""QUIT: remove what is marked, in one transaction, then mark what was retrieved \Seen; the number removed."""
        removed = 0
        if self.deleted:
            uids = [self._uids[number - 1] for number in sorted(self.deleted)]
            removed = len(await self._account.remove(self._mailbox, uids))
        seen = (self._retrieved & self._unseen) - self.deleted
        if mark_seen and seen:
            uids = [self._uids[number - 1] for number in sorted(seen)]
            await self._account.store_flags(self._mailbox, uids, FlagOperation.ADD, frozenset((_SEEN,)))
        return removed


def _reply(message: bytes) -> bytes:
    return b"+OK %d octets\r\n%b%b" % (len(message), stuff(message), END)


async def _pairs(account: AccountStore, mailbox: int, uids: list[int], column: Column) -> list[tuple[int, object]]:
    """The value of one column for each UID that is still there."""
    rows = await account.columns(mailbox, uids, (column,)) if uids else []
    return [(uid, value) for uid, value in rows if isinstance(uid, int)]
