"""``angarium quota``: what accounts may hold, each, by their domain's default, and all of a domain together.

Limits are asked of the directory and of main.cf, what is used of the accounts' own databases, read beside the server.
``recalculate`` counts anew, under each account's write lock: mail goes on meanwhile.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from angarium.commands.angarium_output import (
    Failure,
    Result,
    check_number,
    format_quota,
    format_size,
    format_usage,
    parse_size,
    quota_of,
    quota_value,
    table,
    usage_of,
)
from angarium.directory.interface import (
    Account,
    DirectoryAdmin,
    Domain,
    InvalidNameError,
    NoSuchEntryError,
    QuotaEntry,
    QuotaLimit,
    QuotaSettings,
)

if TYPE_CHECKING:
    from pathlib import Path

    from angarium.mailstore.recount import Recounted
    from angarium.model.quota import QuotaPlan

_NEAR = 80
_PARTS = ("storage", "messages", "mail", "rules", "total")
_SORTS = ("name", "used", "percent", "messages", "limit")


def add_parsers(nouns: Any, common: argparse.ArgumentParser) -> None:
    """Add the parser of ``angarium quota`` and its verbs."""
    verbs = nouns.add_parser("quota", help="what accounts and domains may hold, and hold").add_subparsers(
        required=True, metavar="list|get|show|set|unset|recalculate"
    )

    for verb in ("set", "add"):
        change = verbs.add_parser(verb, parents=[common], help="set the limits of an account or a domain's accounts")
        _name(change)
        change.add_argument("size", metavar="SIZE", nargs="?", help="500M, 1G; 0: no limit")
        change.add_argument("--messages", type=int, metavar="NUMBER", help="how many messages; 0: no limit")
        change.add_argument("--mail", dest="largest", metavar="SIZE", help="how large one message may be; 0: no limit")
        change.add_argument("--rules", metavar="RULES", help="for folders: Trash:storage=+100M,Junk:ignore; '': none")
        change.add_argument("--total", metavar="SIZE", help="what all accounts of the domain may hold together; 0: all")
        change.add_argument("--total-messages", type=int, metavar="NUMBER", help="the same, of messages")
        change.set_defaults(run=_set)

    listing = verbs.add_parser("list", parents=[common], help="list the limits in force and what is used of them")
    listing.add_argument("domain", nargs="?", default="")
    listing.add_argument("--domains", action="store_true", help="domains with limits of their own, not accounts")
    listing.add_argument("--over", action="store_true", help="those that have used all")
    listing.add_argument(
        "--near", type=int, nargs="?", const=_NEAR, metavar="PERCENT", help=f"those that have used so much ({_NEAR})"
    )
    listing.add_argument("--sort", choices=_SORTS, default="name", help="by what; numbers: the largest first")
    listing.set_defaults(run=_list)

    get = verbs.add_parser("get", parents=[common], help="show what is used as doveadm(1) does: storage in units of 1K")
    get.add_argument("names", metavar="user@domain|domain", nargs="+")
    get.set_defaults(run=_get)

    show = verbs.add_parser(
        "show", parents=[common], help="show the limits of an account, and what it uses, or of a domain's accounts"
    )
    _name(show)
    show.set_defaults(run=_show)

    for verb in ("unset", "remove"):
        unset = verbs.add_parser(verb, parents=[common], help="go back to the domain's limits, or main.cf's")
        _name(unset)
        unset.add_argument("parts", metavar="|".join(_PARTS), nargs="*", help="only these")
        unset.set_defaults(run=_unset)

    count = verbs.add_parser(
        "recalculate", parents=[common], help="count anew what is held, and put counters right; the server may run"
    )
    count.add_argument("names", metavar="user@domain|domain", nargs="*")
    count.add_argument("--all", action="store_true", help="all accounts")
    count.add_argument("--dry-run", action="store_true", help="only tell what is wrong")
    count.set_defaults(run=_recalculate)


def _name(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="user@domain|domain")


@dataclass(frozen=True, slots=True)
class _Line:
    """One account or domain: what is in force, and what is used (None: not known)."""

    name: str
    plan: QuotaPlan
    used: tuple[int, int] | None = None

    @property
    def limit(self) -> QuotaLimit:
        """What it may hold: each account of a domain."""
        return self.plan.limit

    @property
    def percent(self) -> int:
        """Of what is nearer to its limit."""
        held, most = self.used or (0, 0), (self.limit.bytes, self.limit.messages)
        return max((one * 100 // limit for one, limit in zip(held, most, strict=True) if limit), default=0)

    def cells(self) -> tuple[str, ...]:
        """For people."""
        return self.name, format_quota(self.limit), "  ".join(self._notes())

    def _notes(self) -> list[str]:
        notes = [format_usage(self.used, self.limit)] if self.used is not None else []
        if self.plan.mail:
            notes.append(f"one message {format_size(self.plan.mail)}")
        if self.plan.domain and "@" not in self.name:
            notes.append(f"together {format_quota(self.plan.domain)}")
        return notes

    def value(self) -> dict[str, object]:
        """For ``--json``."""
        value: dict[str, object] = {"name": self.name, "quota": quota_value(self.limit)}
        if self.used is not None:
            value["used"] = {"bytes": self.used[0], "messages": self.used[1]}
            if self.limit:
                value["percent"] = self.percent
        if self.plan.mail:
            value["largest_message"] = self.plan.mail
        if self.plan.domain:
            value["domain_quota"] = quota_value(self.plan.domain)
        return value


class _Plans:
    """What is in force, by the directory and by main.cf."""

    def __init__(self, options: argparse.Namespace) -> None:
        from angarium.model.quota import UNLIMITED  # late: other nouns need none of this

        self.usual = UNLIMITED
        self.base: Path | None = options.mail
        if options.database:
            return
        from angarium.config.config import Config, configuration_directory
        from angarium.config.error import ConfigError
        from angarium.mailstore.parameters import MailstoreParameters

        try:
            conf = Config.load(configuration_directory(options.configuration))
            self.usual = MailstoreParameters.from_config(conf).quota
        except ConfigError as error:
            raise Failure(os.EX_CONFIG, str(error)) from error

    def of(self, entry: Account | Domain) -> QuotaPlan:
        """The plan of an account, or of each of a domain's accounts."""
        from angarium.master.quotas import plan_of

        settings = entry.effective_settings if isinstance(entry, Account) else entry.settings
        return plan_of(QuotaEntry(settings, entry.total), self.usual)

    def line(self, entry: Account | Domain) -> _Line:
        """What is in force, and what an account uses."""
        if isinstance(entry, Domain):
            return _Line(entry.name, self.of(entry))
        plan = self.of(entry)
        return _Line(entry.address, plan, usage_of(self.base, entry.address, plan))

    def whole(self, domain: Domain) -> _Line:
        """What the accounts of a domain may hold together, and hold."""
        from angarium.model.quota import QuotaPlan

        used = _domain_usage(self.base, domain.name) if self.base is not None else None
        return _Line(domain.name, QuotaPlan(domain.total), used)


def _entry(admin: DirectoryAdmin, name: str) -> Account | Domain:
    return admin.show_account(name) if "@" in name else admin.show_domain(name)


def _result(admin: DirectoryAdmin, options: argparse.Namespace) -> Result:
    line = _Plans(options).line(_entry(admin, options.name))
    return Result(table([line.cells()]), line.value())


def _show(admin: DirectoryAdmin, options: argparse.Namespace) -> Result:
    """``show``: also what cannot be seen in a list."""
    plans = _Plans(options)
    entry = _entry(admin, options.name)
    line = plans.line(entry)
    lines, value = list(table([line.cells()])), line.value()
    rules = (entry.effective_settings if isinstance(entry, Account) else entry.settings).rules
    if rules:
        lines.append(f"rules: {rules}")
        value["rules"] = rules
    if isinstance(entry, Domain) and entry.total and plans.base is not None:
        used = _domain_usage(plans.base, entry.name)
        lines.append(f"together {format_quota(entry.total)}  {format_usage(used, entry.total)}")
        value["domain_used"] = {"bytes": used[0], "messages": used[1]}
    return Result(lines, value)


# Changing limits


def _set(admin: DirectoryAdmin, options: argparse.Namespace) -> Result:
    entry = _entry(admin, options.name)
    if options.size is None and all(
        each is None
        for each in (options.messages, options.largest, options.rules, options.total, options.total_messages)
    ):
        raise Failure(os.EX_USAGE, "nothing to set")
    total = options.total is not None or options.total_messages is not None
    if total and isinstance(entry, Account):
        raise Failure(os.EX_USAGE, "--total and --total-messages are for a domain")
    settings = _changed(entry.settings, options)
    if settings != entry.settings:
        admin.set_quota(options.name, settings)
    if total and isinstance(entry, Domain):
        limit = QuotaLimit(
            entry.total.bytes if options.total is None else parse_size(options.total),
            entry.total.messages if options.total_messages is None else check_number(options.total_messages),
        )
        admin.set_domain_total(entry.name, limit)
        _begin_ledger(admin, options, entry.name)
    return _result(admin, options)


def _changed(settings: QuotaSettings, options: argparse.Namespace) -> QuotaSettings:
    settings = quota_of(options.size, options.messages, settings) or settings
    if options.largest is not None:
        settings = replace(settings, mail=parse_size(options.largest))
    if options.rules is not None:
        from angarium.model.quota import parse_rules

        try:
            parse_rules(options.rules)
        except ValueError as error:
            raise Failure(os.EX_DATAERR, str(error)) from error
        settings = replace(settings, rules=options.rules)
    return settings


def _unset(admin: DirectoryAdmin, options: argparse.Namespace) -> Result:
    entry = _entry(admin, options.name)
    parts = options.parts or _PARTS
    unknown = [part for part in parts if part not in _PARTS]
    if unknown:
        raise Failure(os.EX_USAGE, f"not a part of a quota: {unknown[0]} (one of: {', '.join(_PARTS)})")
    own = entry.settings
    settings = QuotaSettings(
        None if "storage" in parts else own.bytes,
        None if "messages" in parts else own.messages,
        None if "mail" in parts else own.mail,
        None if "rules" in parts else own.rules,
    )
    admin.set_quota(options.name, settings)
    if isinstance(entry, Domain) and "total" in parts and entry.total:
        admin.set_domain_total(entry.name, QuotaLimit())
        _begin_ledger(admin, options, entry.name)
    return _result(admin, options)


# Listing


def _list(admin: DirectoryAdmin, options: argparse.Namespace) -> Result:
    plans = _Plans(options)
    if options.domains:
        lines = [plans.whole(domain) for domain in admin.domains() if domain.total]
        lines = [line for line in lines if options.domain in ("", line.name)]
    else:
        lines = [plans.line(account) for account in admin.accounts(options.domain)]
    if options.over or options.near is not None:
        least = min(100 if options.over else 1 << 30, options.near if options.near is not None else 1 << 30)
        lines = [line for line in lines if line.limit and line.percent >= least]
    lines = _sorted(lines, options.sort)
    return Result(table(line.cells() for line in lines), [line.value() for line in lines])


def _sorted(lines: list[_Line], by: str) -> list[_Line]:
    keys = {
        "used": lambda line: (line.used or (0, 0))[0],
        "messages": lambda line: (line.used or (0, 0))[1],
        "percent": lambda line: line.percent,
        "limit": lambda line: line.limit.bytes,
    }
    return sorted(lines, key=keys[by], reverse=True) if by in keys else lines


def _get(admin: DirectoryAdmin, options: argparse.Namespace) -> Result:
    """``get``: columns and units are doveadm's; each name has a line for each resource."""
    plans = _Plans(options)
    rows: list[tuple[str, ...]] = []
    values: list[dict[str, object]] = []
    many = len(options.names) > 1
    for name in options.names:
        entry = _entry(admin, name)
        for quota, limit, used in _roots(plans, entry):
            for kind, held, most in (
                ("STORAGE", -(-used[0] // 1024), -(-limit.bytes // 1024)),
                ("MESSAGE", used[1], limit.messages),
            ):
                share = held * 100 // most if most else 0
                rows.append(
                    (*((name,) if many else ()), quota, kind, str(held), str(most) if most else "-", str(share))
                )
                values.append(
                    {"name": name, "quota": quota, "type": kind, "value": held, "limit": most or None, "percent": share}
                )
    head = (*(("Username",) if many else ()), "Quota name", "Type", "Value", "Limit", "%")
    return Result(_columns([head, *rows], numbers=3), values)


def _columns(rows: list[tuple[str, ...]], numbers: int) -> list[str]:
    """Aligned, the last few to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    first = len(widths) - numbers
    return [
        " ".join(
            cell.rjust(width) if at >= first else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]


def _roots(plans: _Plans, entry: Account | Domain) -> Iterator[tuple[str, QuotaLimit, tuple[int, int]]]:
    """The quota roots of a name as IMAP has them."""
    if plans.base is None:
        raise Failure(os.EX_CONFIG, "virtual_mailbox_base is not set")
    plan = plans.of(entry)
    domain = entry.name if isinstance(entry, Domain) else entry.address.rpartition("@")[2]
    if isinstance(entry, Account):
        yield "User quota", plan.limit, usage_of(plans.base, entry.address, plan) or (0, 0)
    if plan.domain or isinstance(entry, Domain):
        yield "Domain quota", plan.domain, _domain_usage(plans.base, domain)


def _domain_usage(base: Path, domain: str) -> tuple[int, int]:
    from angarium.mailstore.interface import MailstoreError
    from angarium.mailstore.usage import read_domain_usage

    try:
        return read_domain_usage(base, domain)
    except MailstoreError as error:
        raise Failure(os.EX_TEMPFAIL, str(error)) from error


# Counting


def _begin_ledger(admin: DirectoryAdmin, options: argparse.Namespace, domain: str) -> None:
    """Limits of a domain begin to hold, or end: count what is there, or let what is known grow old."""
    from angarium.mailstore.recount import count_domain

    plans = _Plans(options)
    if plans.base is not None:
        _refusing(count_domain, plans.base, domain, _domain_plans(admin, plans, domain))


def _domain_plans(admin: DirectoryAdmin, plans: _Plans, domain: str) -> tuple[dict[str, QuotaPlan], QuotaPlan]:
    """By local part, and of those that the directory does not know."""
    named = {account.address.rpartition("@")[0]: plans.of(account) for account in admin.accounts(domain)}
    return named, plans.of(admin.show_domain(domain))


def _refusing(work: Any, *arguments: Any) -> Any:
    from angarium.mailstore.interface import MailstoreError

    try:
        return work(*arguments)
    except MailstoreError as error:
        raise Failure(os.EX_TEMPFAIL, str(error)) from error


def _recalculate(admin: DirectoryAdmin, options: argparse.Namespace) -> Result:
    """``recalculate``: accounts one by one; then the domains whose limits count them together."""
    from angarium.mailstore.recount import count_domain, domains_in, recount

    plans = _Plans(options)
    if plans.base is None:
        raise Failure(os.EX_CONFIG, "virtual_mailbox_base is not set")
    if options.all == bool(options.names):
        raise Failure(os.EX_USAGE, "name accounts or domains, or use --all")
    names = options.names or sorted({domain.name for domain in admin.domains()} | set(domains_in(plans.base)))
    found = [
        (account, _refusing(recount, plans.base, account, plan, options.dry_run))
        for name in names
        for account, plan in _chosen(admin, plans, plans.base, name).items()
    ]
    if not options.dry_run:
        for name in sorted({name.rpartition("@")[2] for name in names}):
            domain = _domain(admin, name)
            if domain is not None and domain.total:
                _refusing(count_domain, plans.base, domain.name, _domain_plans(admin, plans, domain.name))
    return Result(_told(found), [_counted(name, one) for name, one in found])


def _domain(admin: DirectoryAdmin, name: str) -> Domain | None:
    try:
        return admin.show_domain(name)
    except (NoSuchEntryError, InvalidNameError):
        return None


def _chosen(admin: DirectoryAdmin, plans: _Plans, base: Path, name: str) -> dict[str, QuotaPlan]:
    """An account, or a domain's: those of the directory, and those whose mailboxes are there alone.

    The accounts of other tables (SQL, LDAP) are such, and those that were removed. Raises NoSuchEntryError.
    """
    from angarium.mailstore.layout import DATABASE, account_directory, component
    from angarium.mailstore.recount import accounts_in

    domain = _domain(admin, name.rpartition("@")[2])
    usual = plans.of(domain) if domain is not None else plans.usual
    try:
        if "@" in name:
            account = admin.show_account(name)
            return {account.address: plans.of(account)}
    except NoSuchEntryError:
        if not (account_directory(base, name) / DATABASE).exists():
            raise
        return {name.casefold(): usual}
    known = {account.address: plans.of(account) for account in admin.accounts(name)} if domain is not None else {}
    there = [f"{local}@{name.casefold()}" for local in accounts_in(base / component(name))]
    if domain is None and not there:
        admin.show_domain(name)
    return known | {account: usual for account in there if account not in known}


def _told(found: Iterable[tuple[str, Recounted]]) -> Iterator[str]:
    for name, one in found:
        after = f"{one.after.bytes} bytes in {one.after.messages} messages"
        if not one.mailboxes:
            yield f"{name}: right: {after}"
        else:
            before = f"{one.before.bytes} bytes in {one.before.messages} messages"
            yield f"{name}: was {before}, is {after} (wrong: {', '.join(one.mailboxes)})"


def _counted(name: str, one: Recounted) -> dict[str, object]:
    return {
        "name": name,
        "before": {"bytes": one.before.bytes, "messages": one.before.messages},
        "after": {"bytes": one.after.bytes, "messages": one.after.messages},
        "wrong": list(one.mailboxes),
    }
