"""``angarium quota``: what accounts may hold, each or by their domain's default."""

from __future__ import annotations

import argparse
import os
from typing import Any

from angarium.commands.angarium_output import (
    Failure,
    Result,
    format_quota,
    format_usage,
    quota_of,
    quota_value,
    table,
    usage_of,
)
from angarium.directory.interface import DirectoryAdmin, QuotaLimit


def add_parsers(nouns: Any, common: argparse.ArgumentParser) -> None:
    """Add the parser of ``angarium quota`` and its verbs."""
    verbs = nouns.add_parser("quota", help=__doc__).add_subparsers(required=True, metavar="add|list|show|remove|set")

    for verb in ("set", "add"):
        change = verbs.add_parser(verb, parents=[common], help="set the limits of an account or a domain's accounts")
        _name(change)
        change.add_argument("size", metavar="SIZE", help="500M, 1G; 0: no limit")
        change.add_argument("--messages", type=int, metavar="NUMBER", help="how many messages; 0: no limit")
        change.set_defaults(run=_set)

    listing = verbs.add_parser("list", parents=[common], help="list the limits in force and what is used of them")
    listing.add_argument("domain", nargs="?", default="")
    listing.set_defaults(run=_list)

    show = verbs.add_parser(
        "show", parents=[common], help="show the limits of an account, and what it uses, or of a domain's accounts"
    )
    _name(show)
    show.set_defaults(run=_show)

    remove = verbs.add_parser("remove", parents=[common], help="an account: the domain's limits; a domain: none")
    _name(remove)
    remove.set_defaults(run=_remove)


def _name(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="user@domain|domain")


def _in_force(admin: DirectoryAdmin, name: str) -> QuotaLimit:
    return admin.show_account(name).effective_quota if "@" in name else admin.show_domain(name).quota


def _row(name: str, quota: QuotaLimit, usage: tuple[int, int] | None) -> tuple[str, ...]:
    return name, format_quota(quota), format_usage(usage, quota)


def _value(name: str, quota: QuotaLimit, usage: tuple[int, int] | None) -> dict[str, object]:
    value: dict[str, object] = {"name": name, "quota": quota_value(quota)}
    return value if usage is None else value | {"used": {"bytes": usage[0], "messages": usage[1]}}


def _result(admin: DirectoryAdmin, options: argparse.Namespace) -> Result:
    name = options.name
    quota = _in_force(admin, name)
    usage = usage_of(options.mail, name) if "@" in name else None
    return Result(table([_row(name, quota, usage)]), _value(name, quota, usage))


def _set(admin: DirectoryAdmin, options: argparse.Namespace) -> Result:
    quota = quota_of(options.size, options.messages, _in_force(admin, options.name))
    if quota is None:  # argparse demands a size
        raise Failure(os.EX_USAGE, "nothing to set")
    if "@" in options.name:
        admin.set_account_quota(options.name, quota)
    else:
        admin.set_domain_quota(options.name, quota)
    return _result(admin, options)


def _list(admin: DirectoryAdmin, options: argparse.Namespace) -> Result:
    rows = [
        (account.address, account.effective_quota, usage_of(options.mail, account.address))
        for account in admin.accounts(options.domain)
    ]
    return Result(table(_row(*row) for row in rows), [_value(*row) for row in rows])


def _show(admin: DirectoryAdmin, options: argparse.Namespace) -> Result:
    return _result(admin, options)


def _remove(admin: DirectoryAdmin, options: argparse.Namespace) -> Result:
    if "@" in options.name:
        admin.set_account_quota(options.name, None)
    else:
        admin.set_domain_quota(options.name, QuotaLimit())
    return _result(admin, options)
