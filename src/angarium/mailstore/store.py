"""All accounts, on SQLite: which databases are open, the threads that write, and who hears of changes.

Owns an LRU of open databases; what nobody has used for a while is closed. A handle (``SqliteAccount``) opens its
account again when it needs it, so a connection that idles costs nothing here. A few threads write for all accounts:
each account has at most one batch under way, and while one account waits for its flush, others commit.

A damaged database, a full disk, a lock that is not given: each becomes MailstoreUnavailableError for that account
alone, with a line in the log.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar
from weakref import WeakValueDictionary

from angarium.mailstore import writing
from angarium.mailstore.account import SqliteAccount
from angarium.mailstore.database import Database, ReplacedError
from angarium.mailstore.derived import Analysis
from angarium.mailstore.hierarchy import INBOX
from angarium.mailstore.interface import MailstoreError, MailstoreUnavailableError
from angarium.mailstore.layout import BODIES, account_directory, domain_directory
from angarium.mailstore.ledger import BusyLedgerError, Ledger, Ledgers, domain_excess
from angarium.mailstore.migration import SchemaError
from angarium.mailstore.owed import Debts, Tell
from angarium.mailstore.quota import Passed, usage
from angarium.mailstore.recount import accounts_in, count
from angarium.mailstore.room import Room
from angarium.model.change import Change
from angarium.model.content import Content
from angarium.model.quota import UNLIMITED, Excess, QuotaPlan, Usage
from angarium.runtime.bus import Bus
from angarium.runtime.crew import Crew
from angarium.runtime.groupcommit import LoopTurns, Threads
from angarium.runtime.log import ServiceLog
from angarium.runtime.memory import give_back
from angarium.runtime.sqlite import Connection, CorruptError, NotADatabaseError, SqlError

TOPIC = "mailbox"
BROKEN = (SqlError, UnicodeDecodeError)
"""What reading and writing raise when they cannot: damage that SQLite does not see shows as text that is none."""
_ANALYSES = 4
_SMALL = 64 * 1024
"""Bytes of a message that is analysed on the spot; hostile ones cost half a microsecond a byte."""
_PRUNE_EVERY = 256
_COUNTED_FOR = 60.0
"""Seconds for which a domain is not counted again: processes with older rules may still be entering by them."""
_WORTH_TRIMMING = 8
_READERS = 4
"""Long searches at once."""

T = TypeVar("T")
PlanLookup = Callable[[str], Awaitable[QuotaPlan]]


async def no_limits(account: str) -> QuotaPlan:  # noqa: ARG001 - the shape of a PlanLookup
    """The lookup of a server without quotas."""
    return UNLIMITED


class SqliteMailStore:
    """``interface.MailStore``.

    Args:
        base: ``virtual_mailbox_base``.
        log: where damage is told.
        bus: wakes the other processes; None when there are none.
        plan: the quota of an account.
        tell: hears of the thresholds that were passed. What it cannot tell, or a process that dies, stays owed.
        open_accounts: databases that are kept open.
        idle_limit: seconds after which a database that nobody uses is closed.
        file_threshold: messages over this many bytes go to a file beside the database.
        key_lifetime: seconds for which a delivery's key is remembered.
        writers: threads that write.
        clock: seconds since the epoch.
    """

    def __init__(
        self,
        base: Path,
        log: ServiceLog,
        bus: Bus | None = None,
        plan: PlanLookup = no_limits,
        tell: Tell | None = None,
        *,
        open_accounts: int = 100,
        idle_limit: float = 5.0,
        file_threshold: int = 512 * 1024,
        key_lifetime: float = 10 * 86400.0,
        writers: int = 4,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.clock = clock
        self.file_threshold = file_threshold
        self.plan = plan
        self._room: Room | None = None
        self._base = base
        self._log = log
        self._bus = bus
        self._open_accounts = open_accounts
        self._idle_limit = idle_limit
        self._sweeper: asyncio.TimerHandle | None = None
        self._key_lifetime = key_lifetime
        self._committing = Crew(writers, "mailstore-commit"), Crew(writers, "mailstore-flush")
        self._threads = Threads(*self._committing, LoopTurns())
        self._executor = ThreadPoolExecutor(writers, thread_name_prefix="mailstore")
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="mailstore-search")
        self._asides: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._open: OrderedDict[str, Database] = OrderedDict()
        self._opening: dict[str, asyncio.Future[Database]] = {}
        self._listeners: dict[str, list[Callable[[Change], None]]] = {}
        self._analyses: list[tuple[Content, Analysis]] = []
        self._analysing: dict[int, asyncio.Future[Analysis]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._purging: set[str] = set()
        self._debts = Debts(tell, self.write, self._behind, clock)
        self._ledgers = Ledgers(base)
        self._counting: set[Path] = set()
        self._counted: dict[Path, float] = {}
        self._closing = False
        if bus is not None:
            bus.subscribe(TOPIC, self._heard)

    async def open(self, account: str) -> SqliteAccount:
        """The account's handle; makes its database when it is new. Raises MailstoreError."""
        account = account.casefold()
        if account not in self._open:
            account_directory(self._base, account)
        await self._current(account)
        return SqliteAccount(self, account)

    def subscribe(self, account: str, callback: Callable[[Change], None]) -> Callable[[], None]:
        """See ``interface.MailStore``."""
        account = account.casefold()
        self._listeners.setdefault(account, []).append(callback)

        def end() -> None:
            listeners = self._listeners.get(account, [])
            if callback in listeners:
                listeners.remove(callback)
            if not listeners:
                self._listeners.pop(account, None)

        return end

    async def room(self, account: str, size: int) -> Excess | None:
        """See ``interface.MailStore``."""
        account = account.casefold()
        plan = await self.plan(account)
        if plan.too_large(size):
            return Excess.MAIL
        if not plan.counts or not plan.is_counted(INBOX):
            return None
        try:
            database = self._open_now(account)
            if database is not None:
                held = usage(database.reader, plan)
            else:
                self._room = self._room or Room(self._base)
                held = await self._room.held(account, plan)
            limit = plan.limit_in(INBOX)
            excess = plan.excess(limit, held, max(1, size), delivery=True)
            if excess is None and plan.domain:
                total = await self.domain_usage(account, plan)
                excess = domain_excess(plan.domain, total, Usage(total.bytes + max(1, size), total.messages + 1))
        except (*BROKEN, OSError) as error:
            raise self._unavailable(account, error) from error
        return excess

    async def close(self) -> None:
        """Finish what is being written, then close every database."""
        self._closing = True
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        self._debts.close()
        while self._tasks:
            ending = tuple(self._tasks)
            await asyncio.gather(*ending, return_exceptions=True)
            # Their callbacks need a turn of the loop, which gather() does not take when all have ended (3.13).
            self._tasks.difference_update(ending)
        loop = asyncio.get_running_loop()
        while self._open:
            _account, database = self._open.popitem()
            await loop.run_in_executor(None, database.close)
        self._executor.shutdown()
        for crew in self._committing:
            await loop.run_in_executor(None, crew.close)
        self._readers.shutdown()
        self._ledgers.close()

    def statistics(self) -> dict[str, int]:
        """How many databases are open, and what group commit did in them."""
        totals = {"open": len(self._open), "commits": 0, "jobs": 0}
        for database in self._open.values():
            for name, value in database.statistics().items():
                totals[name] += value
        return totals

    # What the account handles use.

    async def database(self, account: str) -> Database:
        """The account's open database. Raises MailstoreUnavailableError."""
        while True:
            database = self._open_now(account)
            if database is not None:
                return database
            future = self._opening.get(account)
            if future is None:
                future = asyncio.ensure_future(self._opened(account))
                self._opening[account] = future
                future.add_done_callback(lambda _done: self._opening.pop(account, None))
            await asyncio.shield(future)

    async def read(self, account: str, work: Callable[[Connection], T]) -> T:
        """Run a reading function on the account's database, here and now."""
        database = self._open_now(account) or await self.database(account)
        try:
            return work(database.reader)
        except BROKEN as error:
            raise self._unavailable(account, error) from error

    async def read_aside(self, account: str, work: Callable[[Connection], T]) -> T:
        """Run a long reading function on a thread, with a connection of its own.

        Only for statements that give few rows: beside a busy loop each row waits for the interpreter. One of an account
        at a time, and on threads of their own: whoever searches from many connections waits for himself.
        """
        turn = self._asides.get(account)
        if turn is None:
            turn = self._asides[account] = asyncio.Lock()
        async with turn:
            database = self._open_now(account) or await self.database(account)
            database.users += 1
            try:
                return await asyncio.get_running_loop().run_in_executor(self._readers, database.read_aside, work)
            except BROKEN as error:
                raise self._unavailable(account, error) from error
            finally:
                database.users -= 1

    async def write(self, account: str, work: Callable[[Connection], T], *, quick: bool = False) -> T:
        """Run a writing function in a transaction; durable when this returns. ``quick``: it touches few rows."""
        while True:
            database = self._open_now(account) or await self.database(account)
            database.users += 1
            try:
                return await database.write(work, quick=quick)
            except ReplacedError:
                self._let_go(account, database)
            except BROKEN as error:
                raise self._unavailable(account, error) from error
            finally:
                database.users -= 1

    async def ledger(self, account: str, plan: QuotaPlan) -> Ledger | None:
        """The ledger of the account's domain, when that has limits. Raises MailstoreUnavailableError."""
        if not plan.domain:
            return None
        await self.database(account)  # which makes the directory
        ledger = self._ledgers.of(account)
        self._count_later(account, ledger)
        return ledger

    async def domain_usage(self, account: str, plan: QuotaPlan) -> Usage:
        """What the account's domain holds, as far as is known."""
        try:
            if not domain_directory(self._base, account).is_dir():
                return Usage(0, 0)
            ledger = self._ledgers.of(account)
            try:
                total = ledger.total()
            except BusyLedgerError:
                total = await asyncio.get_running_loop().run_in_executor(self._executor, ledger.total)
        except (SqlError, OSError) as error:
            raise self._unavailable(account, error) from error
        if plan.domain:
            self._count_later(account, ledger)
        return total

    def _count_later(self, account: str, ledger: Ledger) -> None:
        """Count a domain's accounts whose ledger is new, behind what is under way."""
        if ledger.complete or not ledger.read:
            return
        directory = domain_directory(self._base, account)
        if directory in self._counting or self._counted.get(directory, 0.0) > time.monotonic():
            return
        self._counting.add(directory)
        self._behind(self._count(account, directory, ledger))

    async def _count(self, account: str, directory: Path, ledger: Ledger) -> None:
        loop = asyncio.get_running_loop()
        domain = account.rpartition("@")[2]
        try:
            names = await loop.run_in_executor(self._readers, accounts_in, directory)
            plans = {name: await self.plan(f"{name}@{domain}") for name in names}
            await loop.run_in_executor(self._readers, count, directory, domain, plans, ledger, lambda: self._closing)
        except (*BROKEN, OSError, MailstoreError) as error:
            # and it stays among those that are being counted: who tries again and again helps nobody
            self._log.warning(f"cannot count what domain {domain} holds: {error}")
        else:
            self._counting.discard(directory)
            self._counted[directory] = time.monotonic() + _COUNTED_FOR

    async def tell(
        self, account: str, plan: QuotaPlan, ledger: Ledger | None, passed: Passed, *, exempt: bool = False
    ) -> None:
        """A transaction is committed that passed these thresholds of the account, and perhaps some of the domain.

        What is ``exempt`` does not ask for the domain's steps: they may be those of another transaction, which is told
        then that somebody has asked already.
        """
        crossings, owed = passed.crossings, passed.owed
        if passed.domain and ledger is not None and not exempt:
            try:
                before, after = await asyncio.get_running_loop().run_in_executor(self._executor, ledger.steps)
            except (SqlError, OSError) as error:
                self._log.warning(f"the quota of the domain of {account}: {error}")
            else:
                of_domain = plan.domain_crossings(account, before, after)
                if of_domain:
                    crossings += of_domain
                    owed += await self._debts.note(account, of_domain)
        if crossings:
            self._debts.pay(account, owed, crossings)

    def announce(self, account: str, mailbox: int, modseq: int) -> None:
        """Tell who listens, here and elsewhere, of a committed change."""
        if self._room is not None:
            self._room.forget(account)
        if self._bus is not None:
            self._bus.publish(TOPIC, f"{account}\0{mailbox}\0{modseq}")
        elif account in self._listeners:
            asyncio.get_running_loop().call_soon(self._tell, Change(account, mailbox, modseq))

    async def analyse(self, content: Content) -> Analysis:
        """What is to be known of a content.

        Deliveries to several recipients come with the same content, one after the other or at once: it is analysed
        once for them. A large one is analysed on a thread, so that it holds nobody up.
        """
        for known, analysis in self._analyses:
            if known is content:
                return analysis
        if content.size <= _SMALL:
            analysis = Analysis(content.read())
            self._analyses.append((content, analysis))
            if len(self._analyses) > _ANALYSES:
                del self._analyses[0]
            return analysis
        under_way = self._analysing.get(id(content))
        if under_way is None:
            loop = asyncio.get_running_loop()
            under_way = loop.run_in_executor(self._executor, lambda: Analysis(content.read()))
            self._analysing[id(content)] = under_way
            # the callback holds the content, so that no other takes its id meanwhile
            under_way.add_done_callback(partial(self._analysed, content))
        return await asyncio.shield(under_way)

    def _analysed(self, content: Content, _done: asyncio.Future[Analysis]) -> None:
        self._analysing.pop(id(content), None)

    def bodies_directory(self, account: str) -> Path:
        """Where the account's large bodies are."""
        return account_directory(self._base, account) / BODIES

    async def store_file(self, account: str, content: Content) -> str:
        """Put a large content on stable storage beside the database; the file's name."""
        database = await self.database(account)
        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, database.bodies.store, content)
        except OSError as error:
            raise self._unavailable(account, error) from error

    async def remove_files(self, account: str, names: Sequence[str]) -> None:
        """Unlink files that no row names."""
        database = await self.database(account)
        await asyncio.get_running_loop().run_in_executor(self._executor, database.bodies.remove, names)

    async def prune_deliveries(self, account: str) -> None:
        """Forget old delivery keys, now and then."""
        database = await self.database(account)
        database.deliveries += 1
        if database.deliveries % _PRUNE_EVERY == 0:
            before = self.clock() - self._key_lifetime
            await self.write(account, lambda connection: writing.prune_deliveries(connection, before))

    def purge_later(self, account: str) -> None:
        """Remove dead bodies behind the transaction that made them so."""
        if account in self._purging:
            return
        self._purging.add(account)
        self._behind(self._purge(account))

    def _behind(self, work: Coroutine[None, None, None]) -> None:
        """Do something behind what is under way; ``close`` waits for it."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _open_now(self, account: str) -> Database | None:
        """The account's database if it is open."""
        database = self._open.get(account)
        if database is not None:
            self._open.move_to_end(account)
            database.fresh = False
            database.used = time.monotonic()
        return database

    async def _current(self, account: str) -> Database:
        """The account's database, opened anew when its file is another by now."""
        database = self._open_now(account) or await self.database(account)
        if not database.is_current():
            self._let_go(account, database)
            database = await self.database(account)
        return database

    def _let_go(self, account: str, database: Database) -> None:
        """Forget a database whose file is another by now."""
        if self._open.get(account) is database:
            del self._open[account]
            self._close_later(database)

    def _close_later(self, database: Database) -> None:
        """Close what nobody finds any more, behind what is under way in it."""
        asyncio.get_running_loop().run_in_executor(None, database.close)

    async def _purge(self, account: str) -> None:
        try:
            more = True
            while more:
                files, more = await self.write(account, writing.purge)
                if files:
                    await self.remove_files(account, files)
        except MailstoreError:
            return  # said in the log by whoever raised it; the dead are purged at the next opening
        finally:
            self._purging.discard(account)

    async def _opened(self, account: str) -> Database:
        directory = account_directory(self._base, account)
        loop = asyncio.get_running_loop()
        try:
            database = await loop.run_in_executor(self._executor, Database.open, directory, self._threads, self.clock())
        except (SqlError, OSError, SchemaError) as error:
            raise self._unavailable(account, error) from error
        self._open[account] = database
        self._evict()
        if self._sweeper is None:
            self._sweeper = loop.call_later(self._idle_limit / 2, self._sweep)
        if database.dead:
            self.purge_later(account)
        if database.owes:
            self._debts.look_later(account)
        return database

    def _evict(self) -> None:
        """Close what was used least recently, if nobody uses it."""
        excess = len(self._open) - self._open_accounts
        if excess <= 0:
            return
        idle = [account for account, database in self._open.items() if not database.users and not database.fresh]
        for account in idle[:excess]:
            self._close_later(self._open.pop(account))

    def _sweep(self) -> None:
        """Close what nobody has used for a while; from time to time, as long as anything is open."""
        loop = asyncio.get_running_loop()
        before = time.monotonic() - self._idle_limit
        idle = [account for account, known in self._open.items() if known.used < before and not known.users]
        if idle:
            closing = [self._open.pop(account) for account in idle]
            loop.run_in_executor(None, self._close_idle, closing)
        self._sweeper = loop.call_later(self._idle_limit / 2, self._sweep) if self._open else None

    @staticmethod
    def _close_idle(databases: Sequence[Database]) -> None:
        for database in databases:
            database.close()
        if len(databases) >= _WORTH_TRIMMING:
            give_back()

    def _unavailable(self, account: str, error: Exception) -> MailstoreUnavailableError:
        """The error for the caller; a damaged database is let go, so that a repaired one is opened anew."""
        damaged = isinstance(error, (CorruptError, NotADatabaseError, UnicodeDecodeError))
        what = "the database is damaged" if damaged else "the database is unavailable"
        self._log.error(f"mailbox of {account}: {what}: {error}")
        if damaged and account in self._open:
            self._close_later(self._open.pop(account))
        return MailstoreUnavailableError(f"{account}: {error}")

    def _heard(self, payload: str) -> None:
        account, _, rest = payload.partition("\0")
        if self._room is not None:
            self._room.forget(account)
        if account in self._listeners:
            mailbox, _, modseq = rest.partition("\0")
            if mailbox.isdecimal() and modseq.isdecimal():
                self._tell(Change(account, int(mailbox), int(modseq)))

    def _tell(self, change: Change) -> None:
        for callback in tuple(self._listeners.get(change.account, ())):
            callback(change)
