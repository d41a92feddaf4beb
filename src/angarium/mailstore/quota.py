"""Quotas inside the store: what an account holds, and what a transaction makes of it.

An account's usage is the sum of its mailboxes' counters, which each transaction keeps: it is exact. A domain's is kept
in a ledger (``ledger``), into which a transaction enters what its account will hold before it commits.

These functions run inside a transaction of the account's writer. They read nothing for a plan without limits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeVar

from angarium.mailstore.interface import MailstoreUnavailableError, MailTooLargeError, OverQuotaError
from angarium.mailstore.ledger import BusyLedgerError, Ledger
from angarium.mailstore.owed import owe
from angarium.mailstore.rows import all_rows, one_row
from angarium.model.quota import Crossing, Excess, QuotaPlan, Usage
from angarium.runtime.sqlite import Connection, SqlError

T = TypeVar("T")

_TEXTS = {
    Excess.MAIL: "Message is too large for the mailbox",
    Excess.STORAGE: "Quota exceeded (mailbox for user is full)",
    Excess.MESSAGES: "Quota exceeded (too many messages in the mailbox)",
    Excess.DOMAIN_STORAGE: "Quota exceeded (mailboxes of the domain are full)",
    Excess.DOMAIN_MESSAGES: "Quota exceeded (too many messages in the mailboxes of the domain)",
}


def refusal(excess: Excess) -> OverQuotaError:
    """The error that says so."""
    kind = MailTooLargeError if excess is Excess.MAIL else OverQuotaError
    return kind(_TEXTS[excess])


def usage(connection: Connection, plan: QuotaPlan) -> Usage:
    """What the account holds, without what the plan does not count."""
    if not plan.ignores:
        size, messages = one_row(connection, "SELECT coalesce(sum(bytes), 0), coalesce(sum(messages), 0) FROM mailbox")
        return Usage(size, messages)
    size = messages = 0
    for name, special_use, held, number in all_rows(
        connection, "SELECT name, special_use, bytes, messages FROM mailbox WHERE messages"
    ):
        if plan.is_counted(name, special_use):
            size += held
            messages += number
    return Usage(size, messages)


def require_room(connection: Connection, plan: QuotaPlan, mailbox: tuple[str, str], size: int, count: int) -> None:
    """Raise OverQuotaError when a user has no room for so much more in the mailbox of that name and special use."""
    if not plan.limit or not plan.is_counted(*mailbox):
        return
    excess = plan.excess(plan.limit_in(*mailbox), usage(connection, plan), size, delivery=False, count=count)
    if excess is not None:
        raise refusal(excess)


class Passed(NamedTuple):
    """What is to be told of when the transaction is committed.

    Attributes:
        crossings: thresholds of the account.
        domain: perhaps also of its domain: the ledger has to be asked, by one.
        owed: the numbers under which the account has noted its thresholds (``owed``).
    """

    crossings: tuple[Crossing, ...] = ()
    domain: bool = False
    owed: tuple[int, ...] = ()

    def noted(self, connection: Connection, now: float) -> Passed:
        """The same, noted in the account, so that it is told of whatever happens to this process."""
        return self._replace(owed=owe(connection, self.crossings, now)) if self.crossings else self


NOTHING = Passed()


def settle(
    account: str, plan: QuotaPlan, ledger: Ledger | None, before: Usage, after: Usage, *, exempt: bool = False
) -> Passed:
    """Enter what the account will hold into the ledger; what is passed when the transaction commits.

    Args:
        account: its name.
        plan: of the account.
        ledger: of its domain; None when the domain has no limits.
        before: what it held.
        after: what it will hold.
        exempt: no limit holds, and no threshold of the account is passed.

    Raises:
        OverQuotaError: the domain has no room. Nothing is entered.
        MailstoreUnavailableError: nobody can tell whether it has.
        BusyLedgerError: another thread has to do it.
    """
    crossings = plan.crossings(account, before, after) if plan.warnings and not exempt else ()
    if ledger is None or before == after:
        return Passed(crossings)
    try:
        excess, seen, total = ledger.enter(account, after, None if exempt else plan.domain, plan.mark)
    except BusyLedgerError:
        raise
    except (SqlError, OSError) as error:
        if not exempt and (after.bytes > before.bytes or after.messages > before.messages):
            raise MailstoreUnavailableError(f"the ledger of the domain of {account}: {error}") from error
        return Passed(crossings)  # what makes room goes; the next entry puts it right
    if excess is not None:
        raise refusal(excess)
    return Passed(crossings, bool(plan.warnings) and plan.domain_moved(seen, total))


def metered(
    account: str, plan: QuotaPlan, ledger: Ledger | None, work: Callable[[Connection], T], now: float
) -> Callable[[Connection], tuple[T, Passed]]:
    """A writing function that also tells what it passes, and keeps the domain's ledger; ``now`` is when."""
    if not plan.counts or (ledger is None and not plan.warnings):
        return lambda connection: (work(connection), NOTHING)

    def run(connection: Connection) -> tuple[T, Passed]:
        before = usage(connection, plan)
        result = work(connection)
        passed = settle(account, plan, ledger, before, usage(connection, plan))
        return result, passed.noted(connection, now)

    return run
