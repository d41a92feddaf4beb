"""Counting anew, while the server runs: an account's counters from its messages, a domain's ledger from its accounts.

Each account is counted under its write lock, in a transaction, so that nothing is delivered or expunged meanwhile;
readers notice nothing. Called on a thread, or by a command: it blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from angarium.mailstore.interface import MailstoreUnavailableError
from angarium.mailstore.layout import DATABASE, account_directory, component
from angarium.mailstore.ledger import LEDGER, Ledger, make_file
from angarium.mailstore.quota import usage
from angarium.mailstore.rows import all_rows
from angarium.model.quota import QuotaPlan, Usage
from angarium.runtime.sqlite import SqlError, WriteLock, connect

_COUNTS = """
SELECT b.id, b.name, b.bytes, b.messages, b.unseen, b.deleted, c.bytes, c.messages, c.unseen, c.deleted
FROM mailbox b LEFT JOIN (
    SELECT m.mailbox, sum(y.size) AS bytes, count(*) AS messages, sum(NOT f.seen) AS unseen, sum(f.deleted) AS deleted
    FROM message m JOIN body y ON y.id = m.body JOIN flagset f ON f.id = m.flags GROUP BY m.mailbox
) c ON c.mailbox = b.id
"""


@dataclass(frozen=True, slots=True)
class Recounted:
    """An account that was counted.

    Attributes:
        before: what the counters said.
        after: what there is.
        mailboxes: the names of those whose counters were wrong.
    """

    before: Usage
    after: Usage
    mailboxes: tuple[str, ...] = ()


def recount(base: Path, account: str, plan: QuotaPlan, dry_run: bool = False) -> Recounted:
    """Put an account's counters right.

    Args:
        base: ``virtual_mailbox_base``. Nothing is made for an account that has no database.
        account: its name.
        plan: says what counts.
        dry_run: only tell.

    Raises:
        MailstoreUnavailableError: its database cannot be used.
    """
    directory = account_directory(base, account)
    path = directory / DATABASE
    if not path.exists():
        return Recounted(Usage(0, 0), Usage(0, 0))
    try:
        with _locked(directory):
            return _recount(path, plan, dry_run=dry_run)
    except (SqlError, OSError) as error:
        raise MailstoreUnavailableError(f"{path}: {error}") from error


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Hold an account's write lock. Raises OSError."""
    make_file(directory / "lock")
    lock = WriteLock(directory / "lock")
    try:
        with lock:
            yield
    finally:
        lock.close()


def _recount(path: Path, plan: QuotaPlan, *, dry_run: bool) -> Recounted:
    connection = connect(path, create=False)
    try:
        connection.execute("BEGIN IMMEDIATE")
        before = usage(connection, plan)
        wrong = []
        for identity, name, *numbers in all_rows(connection, _COUNTS):
            said, found = numbers[:4], [number or 0 for number in numbers[4:]]
            if said != found:
                wrong.append(name)
                connection.execute(
                    "UPDATE mailbox SET bytes = ?, messages = ?, unseen = ?, deleted = ? WHERE id = ?",
                    (*found, identity),
                )
        after = usage(connection, plan)
        connection.execute("ROLLBACK" if dry_run or not wrong else "COMMIT")
        return Recounted(before, after, tuple(wrong))
    finally:
        connection.close()


def accounts_in(directory: Path) -> list[str]:
    """The local parts of a domain's accounts that have a database, as far as the names of directories tell them."""
    return [unquote(each.parent.name) for each in sorted(directory.glob(f"*/{DATABASE}"))]


def domains_in(base: Path) -> list[str]:
    """The domains that have such accounts."""
    return sorted({unquote(each.parent.parent.name) for each in base.glob(f"*/*/{DATABASE}")})


def count_domain(base: Path, domain: str, plans: tuple[Mapping[str, QuotaPlan], QuotaPlan]) -> Usage:
    """Count a domain beside the server: ``plans`` by local part, and for those that are not named there.

    A domain without limits any more gets a ledger that says that it does not know. Raises MailstoreUnavailableError.
    """
    directory = base / component(domain)
    named, others = plans
    if not directory.is_dir() or (not others.domain and not (directory / LEDGER).exists()):
        return Usage(0, 0)
    try:
        ledger = Ledger(directory)
        try:
            if not others.domain:
                ledger.set_complete(False)
                return ledger.total()
            return count(directory, domain, {each: named.get(each, others) for each in accounts_in(directory)}, ledger)
        finally:
            ledger.close()
    except (SqlError, OSError) as error:
        raise MailstoreUnavailableError(f"{directory}: {error}") from error


def count(
    directory: Path,
    domain: str,
    plans: Mapping[str, QuotaPlan],
    ledger: Ledger,
    stopped: Callable[[], bool] = lambda: False,
) -> Usage:
    """Enter all accounts of a domain into its ledger, and forget those that are gone; the sum.

    Args:
        directory: of the domain.
        domain: its name.
        plans: of the accounts, by local part; no more is counted.
        ledger: of the domain.
        stopped: the rest is left to another.

    Raises:
        SqlError, OSError: the ledger cannot be written. Accounts that cannot be read stay as they were.
    """
    for local, plan in plans.items():
        if stopped():
            return ledger.total()
        _enter(directory / component(local), plan, f"{local}@{domain}", ledger)
    ledger.keep_only(lambda: frozenset(each.parent.name for each in directory.glob(f"*/{DATABASE}")))
    ledger.set_complete(True)
    return ledger.total()


def _enter(directory: Path, plan: QuotaPlan, account: str, ledger: Ledger) -> None:
    """Enter what an account holds by its counters, under its lock: no delivery can come in between."""
    try:
        with _locked(directory):
            held = _held(directory / DATABASE, plan)
            if held is not None:
                ledger.enter(account, held, mark=plan.mark)
    except FileNotFoundError:
        return  # it was removed meanwhile


def _held(path: Path, plan: QuotaPlan) -> Usage | None:
    try:
        connection = connect(path, readonly=True)
        try:
            return usage(connection, plan)
        finally:
            connection.close()
    except SqlError:
        return None
