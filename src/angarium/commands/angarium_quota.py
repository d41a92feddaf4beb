"""``angarium quota``: what accounts may hold, each or by their domain's default."""

from __future__ import annotations

import argparse
import os
from typing import Any

from angarium.commands.angarium_output import Failure, Result, format_quota, quota_of, quota_value, table
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

    listing = verbs.add_parser("list", parents=[common], help="list the limits in force")
    listing.add_argument("domain", nargs="?", default="")
    listing.set_defaults(run=_list)

    show = verbs.add_parser("show", parents=[common], help="show the limits of an account or a domain's accounts")
    _name(show)
    show.set_defaults(run=_show)

    remove = verbs.add_parser("remove", parents=[common], help="an account: the domain's limits; a domain: none")
    _name(remove)
    remove.set_defaults(run=_remove)


def _name(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="user@domain|domain")


def _in_force(admin: DirectoryAdmin, name: str) -> QuotaLimit:
    return admin.show_account(name).effective_quota if "@" in name else admin.show_domain(name).quota


def _result(admin: DirectoryAdmin, name: str) -> Result:
    quota = _in_force(admin, name)
    return Result((f"{name}  {format_quota(quota)}",), {"name": name, "quota": quota_value(quota)})


def _set(admin: DirectoryAdmin, options: argparse.Namespace) -> Result:
    quota = quota_of(options.size, options.messages, _in_force(admin, options.name))
    if quota is None:  # argparse demands a size
        raise Failure(os.EX_USAGE, "nothing to set")
    if "@" in options.name:
        admin.set_account_quota(options.name, quota)
    else:
        admin.set_domain_quota(options.name, quota)
    return _result(admin, options.name)


def _list(admin: DirectoryAdmin, options: argparse.Namespace) -> Result:
    accounts = admin.accounts(options.domain)
    rows = table((account.address, format_quota(account.effective_quota)) for account in accounts)
    return Result(rows, [{"name": one.address, "quota": quota_value(one.effective_quota)} for one in accounts])


def _show(admin: DirectoryAdmin, options: argparse.Namespace) -> Result:
    return _result(admin, options.name)


def _remove(admin: DirectoryAdmin, options: argparse.Namespace) -> Result:
    if "@" in options.name:
        admin.set_account_quota(options.name, None)
    else:
        admin.set_domain_quota(options.name, QuotaLimit())
    return _result(admin, options.name)
