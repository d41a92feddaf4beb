"""One account's mailboxes as ``interface.AccountStore``, on SQLite. A handle is a name and a reference to the store.

Reading is done on the event loop's thread, on the database's reading connection: a small answer costs less than a hop
to another thread, and a big one is put together inside SQLite. Writing goes through the account's group commit.
"""

# ruff: noqa: D102 - the interface says what each method does.

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, TypeVar

from angarium.mailstore import arrival, hierarchy, joining, quota, reading, writing
from angarium.mailstore.arrival import Ready
from angarium.mailstore.bodies import FiledContent
from angarium.mailstore.derived import fields_of, shows, unpack_parts
from angarium.mailstore.interface import (
    Appended,
    Changes,
    Column,
    Copied,
    FlagOperation,
    Mailbox,
    MailboxStatus,
    MailstoreUnavailableError,
    MessageState,
    NewMail,
    NoSuchMailboxError,
    OverQuotaError,
    PartSpan,
    Piece,
    Quota,
    TextWhere,
)
from angarium.mailstore.rows import all_rows
from angarium.mailstore.schema import SOUGHT_FIELDS
from angarium.model.content import Content, MemoryContent
from angarium.model.quota import Excess, QuotaPlan
from angarium.protocols.mime.date import date_time
from angarium.runtime.sqlite import Connection

if TYPE_CHECKING:
    from angarium.mailstore.store import SqliteMailStore

T = TypeVar("T")

_QUICK_SIZE = 32 * 1024
"""Bytes of a message that is stored in less time than another thread takes to begin."""
_QUICK_COUNT = 10
"""Messages whose flags are changed likewise."""

_SCANNED_INLINE = 2000
"""Messages of a mailbox that is searched on the loop's thread: some 6 ms at most."""
_LISTED_INLINE = 20_000
"""The state of so many messages is read in under 20 ms; that of more is read where nobody waits for it."""

_SIFTED_INLINE = 50_000
"""The same for the header fields that have a column of their own."""


class SqliteAccount:
    """``interface.AccountStore``: what the methods do is said there."""

    __slots__ = ("_account", "_store")

    def __init__(self, store: SqliteMailStore, account: str) -> None:
        self._store = store
        self._account = account

    @property
    def account(self) -> str:
        """The account's name."""
        return self._account

    async def mailboxes(self) -> Sequence[Mailbox]:
        return await self._read(reading.mailboxes)

    async def mailbox(self, name: str) -> Mailbox:
        canonical = hierarchy.canonical(name)
        return await self._read(lambda connection: reading.mailbox(connection, canonical))

    async def create(self, name: str, special_use: str = "") -> Mailbox:
        checked = hierarchy.check_name(name)
        now = self._store.clock()
        return await self._write(lambda connection: hierarchy.create(connection, checked, special_use, now))

    async def delete(self, name: str) -> None:
        canonical = hierarchy.canonical(name)
        identity, modseq = await self._metered(lambda connection, _plan: hierarchy.delete(connection, canonical))
        self._store.announce(self._account, identity, modseq)
        self._store.purge_later(self._account)

    async def rename(self, old: str, new: str) -> None:
        source, target = hierarchy.canonical(old), hierarchy.check_name(new)
        now = self._store.clock()
        for identity, modseq in await self._write(lambda connection: hierarchy.rename(connection, source, target, now)):
            self._store.announce(self._account, identity, modseq)

    async def subscribe(self, name: str, subscribed: bool) -> None:
        if subscribed:
            checked = hierarchy.check_name(name)
            await self._write(lambda connection: hierarchy.subscribe(connection, checked))
            return
        canonical = hierarchy.canonical(name)
        statement = "DELETE FROM subscription WHERE name = ?"
        await self._write(lambda connection: all_rows(connection, statement, (canonical,)))

    async def subscriptions(self) -> Sequence[str]:
        rows = await self._read(lambda one: all_rows(one, "SELECT name FROM subscription ORDER BY name"))
        return [row[0] for row in rows]

    async def status(self, mailbox: int) -> MailboxStatus:
        return await self._read(lambda connection: reading.status(connection, mailbox))

    async def states(self, mailbox: int) -> Sequence[MessageState]:
        return await self._scan(mailbox, lambda connection: reading.states(connection, mailbox), _LISTED_INLINE)

    async def changes(self, mailbox: int, since: int) -> Changes:
        return await self._read(lambda connection: reading.changes(connection, mailbox, since))

    async def columns(self, mailbox: int, uids: Sequence[int], wanted: Sequence[Column]) -> list[tuple[object, ...]]:
        return await self._read(lambda connection: reading.columns(connection, mailbox, uids, wanted))

    async def rendered(self, mailbox: int, uids: Sequence[int], first: int, pieces: Sequence[Piece]) -> bytes | None:
        return await self._read(lambda connection: joining.rendered(connection, mailbox, uids, first, pieces))

    async def header_fields(self, mailbox: int, uids: Sequence[int], names: Sequence[str]) -> list[tuple[int, bytes]]:
        return await self._read(lambda connection: reading.header_fields(connection, mailbox, uids, names))

    async def bodies(self, mailbox: int, uids: Sequence[int]) -> list[tuple[int, Content]]:
        directory = self._store.bodies_directory(self._account)

        def read(connection: Connection) -> list[tuple[int, Content]]:
            return [
                (uid, MemoryContent(header + rest if rest else header))
                if file is None
                else (uid, FiledContent.of(header, directory / file, skip))
                for uid, header, rest, file, skip in reading.contents(connection, mailbox, uids)
            ]

        return await self._read(read)

    async def parts(self, mailbox: int, uid: int) -> Sequence[PartSpan]:
        return unpack_parts(await self._read(lambda connection: reading.parts(connection, mailbox, uid)))

    async def search_text(self, mailbox: int, needle: str, where: TextWhere) -> set[int]:
        return await self._scan(mailbox, lambda connection: reading.search_text(connection, mailbox, needle, where))

    async def search_header(self, mailbox: int, name: str, needle: str) -> set[int]:
        inline = _SIFTED_INLINE if name.lower() in SOUGHT_FIELDS else _SCANNED_INLINE
        return await self._scan(
            mailbox, lambda connection: reading.search_header(connection, mailbox, name, needle), inline
        )

    async def search_dates(self, mailbox: int) -> list[tuple[int, float, int, float, int]]:
        return await self._read(lambda connection: reading.search_dates(connection, mailbox))

    async def store_flags(
        self,
        mailbox: int,
        uids: Sequence[int],
        operation: FlagOperation,
        flags: frozenset[str],
        unchanged_since: int = -1,
    ) -> tuple[Sequence[MessageState], Sequence[int]]:
        states, kept, modseq = await self._write(
            lambda connection: writing.store_flags(connection, mailbox, uids, operation, flags, unchanged_since),
            quick=len(uids) <= _QUICK_COUNT,
        )
        if modseq:
            self._store.announce(self._account, mailbox, modseq)
        return states, kept

    async def claim_recent(self, mailbox: int, below: int) -> int:
        return await self._write(lambda connection: writing.claim_recent(connection, mailbox, below))

    async def append(self, mails: Sequence[NewMail]) -> Sequence[Appended]:
        store = self._store
        ready: list[Ready] = []
        for mail in mails:
            if ready:
                await asyncio.sleep(0)  # a message is analysed on the spot: the others' turn before the next
            ready.append(await self._ready(mail))
        plan = await store.plan(self._account)
        ledger = await store.ledger(self._account, plan) if plan.counts else None
        now = store.clock()
        quick = len(ready) == 1 and ready[0].derived.size <= _QUICK_SIZE
        files = [store.bodies_directory(self._account) / one.file for one in ready if one.file is not None]
        exempt = plan.counts and all(one.exempt for one in ready)

        def work(connection: Connection) -> tuple[list[Appended], quota.Passed]:
            for path in files:
                if not path.exists():  # the account was removed and made anew meanwhile
                    raise MailstoreUnavailableError(f"{path}: a body is missing")
            if not plan.counts or (ledger is None and not plan.warnings):
                return arrival.append(connection, ready, plan, now), quota.NOTHING
            tally = arrival.Tally()
            appended = arrival.append(connection, ready, plan, now, tally)
            before = tally.after if tally.before is None else tally.before
            passed = quota.settle(self._account, plan, ledger, before, tally.after, exempt=exempt)
            return appended, passed.noted(connection, now)

        try:
            appended, passed = await self._write(work, quick=quick)
        except (NoSuchMailboxError, OverQuotaError):
            await self._forget(ready)
            raise  # after any other failure, and when cancelled, the rows may be there: a file too many is an orphan
        if any(one.duplicate for one in appended):
            await self._forget([one for one, where in zip(ready, appended, strict=True) if where.duplicate])
        highest = {one.mailbox: one.modseq for one in appended if not one.duplicate}
        for mailbox, modseq in highest.items():
            store.announce(self._account, mailbox, modseq)
        if passed is not quota.NOTHING:
            await store.tell(self._account, plan, ledger, passed, exempt=exempt)
        if any(mail.key for mail in mails):
            await store.prune_deliveries(self._account)
        return appended

    async def copy(self, mailbox: int, uids: Sequence[int], target: str) -> Copied:
        name, now = hierarchy.canonical(target), self._store.clock()
        copied, identity, modseq = await self._metered(
            lambda connection, plan: writing.copy(connection, mailbox, uids, name, plan, now)
        )
        if modseq:
            self._store.announce(self._account, identity, modseq)
        return copied

    async def move(self, mailbox: int, uids: Sequence[int], target: str) -> Copied:
        name, now = hierarchy.canonical(target), self._store.clock()
        copied, identity, modseq, source_modseq = await self._metered(
            lambda connection, plan: writing.move(connection, mailbox, uids, name, plan, now)
        )
        if modseq:
            self._store.announce(self._account, identity, modseq)
            self._store.announce(self._account, mailbox, source_modseq)
        return copied

    async def expunge(self, mailbox: int, uids: Iterable[int] | None = None) -> Sequence[int]:
        chosen = None if uids is None else list(uids)
        return await self._remove(mailbox, chosen, flagged=True)

    async def remove(self, mailbox: int, uids: Sequence[int]) -> Sequence[int]:
        return await self._remove(mailbox, uids, flagged=False)

    async def quota(self) -> Quota:
        plan = await self._store.plan(self._account)
        size, messages = await self._read(lambda connection: quota.usage(connection, plan))
        domain = None
        if plan.domain:
            total = await self._store.domain_usage(self._account, plan)
            domain = Quota(total.bytes, plan.domain.bytes, total.messages, plan.domain.messages)
        return Quota(size, plan.limit.bytes, messages, plan.limit.messages, domain)

    async def require_room(self, mailbox: Mailbox, size: int) -> None:
        plan = await self._store.plan(self._account)
        if plan.too_large(size):
            raise quota.refusal(Excess.MAIL)
        where = (mailbox.name, mailbox.special_use)
        await self._read(lambda connection: quota.require_room(connection, plan, where, size, 1))

    async def is_counted(self, mailbox: Mailbox) -> bool:
        plan = await self._store.plan(self._account)
        return plan.is_counted(mailbox.name, mailbox.special_use)

    async def deleted_size(self, mailbox: int) -> int:
        return await self._read(lambda connection: reading.deleted_size(connection, mailbox))

    async def _remove(self, mailbox: int, uids: Sequence[int] | None, *, flagged: bool) -> Sequence[int]:
        removed, modseq = await self._metered(
            lambda connection, _plan: writing.remove(connection, mailbox, uids, flagged=flagged)
        )
        if modseq:
            self._store.announce(self._account, mailbox, modseq)
            self._store.purge_later(self._account)
        return removed

    async def _ready(self, mail: NewMail) -> Ready:
        """Analyse a message, and put a large one on stable storage."""
        content = mail.content
        before = fields_of(mail.prefix) if mail.prefix else ()
        if shows(before):
            content = MemoryContent(mail.prefix + content.read())
        analysis = await self._store.analyse(content)
        derived = analysis.with_prefix(mail.prefix, before) if content is mail.content else analysis.with_prefix(b"")
        rest: bytes | None = None
        file: str | None = None
        skip = 0
        if derived.size > self._store.file_threshold:
            file, skip = await self._store.store_file(self._account, content), analysis.header_end
        else:
            rest = content.read(analysis.header_end)
        return Ready(
            mailbox=hierarchy.canonical(mail.mailbox),
            derived=derived,
            rest=rest,
            file=file,
            skip=skip,
            flags=mail.flags,
            internaldate=mail.internaldate,
            zone=mail.zone,
            stamp=date_time(mail.internaldate, mail.zone),
            key=mail.key,
            exempt=mail.exempt,
        )

    async def _forget(self, ready: Sequence[Ready]) -> None:
        """Remove the files of messages that were not stored."""
        names = [one.file for one in ready if one.file is not None]
        if names:
            await asyncio.shield(self._store.remove_files(self._account, names))

    async def _read(self, work: Callable[[Connection], T]) -> T:
        return await self._store.read(self._account, work)

    async def _scan(self, mailbox: int, work: Callable[[Connection], T], inline: int = _SCANNED_INLINE) -> T:
        """Read what takes long in a large mailbox: there, on a thread of its own."""
        status = await self.status(mailbox)
        if status.messages <= inline:
            return await self._read(work)
        return await self._store.read_aside(self._account, work)

    async def _metered(self, work: Callable[[Connection, QuotaPlan], T]) -> T:
        """Write what changes how much the account holds; thresholds that it passes are told of after the commit."""
        plan = await self._store.plan(self._account)
        ledger = await self._store.ledger(self._account, plan)
        result, passed = await self._write(
            quota.metered(self._account, plan, ledger, lambda connection: work(connection, plan), self._store.clock())
        )
        if passed is not quota.NOTHING:
            await self._store.tell(self._account, plan, ledger, passed)
        return result

    async def _write(self, work: Callable[[Connection], T], *, quick: bool = False) -> T:
        return await self._store.write(self._account, work, quick=quick)
