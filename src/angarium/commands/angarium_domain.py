"""``angarium domain``: the domains whose mail is kept here."""

from __future__ import annotations

import argparse
from typing import Any

from angarium.commands.angarium_output import Result, format_quota, quota_of, quota_value, table
from angarium.directory.interface import DirectoryAdmin, Domain


def add_parsers(nouns: Any, common: argparse.ArgumentParser) -> None:
    """Add the parser of ``angarium domain`` and its verbs."""
    verbs = nouns.add_parser("domain", help=__doc__).add_subparsers(required=True, metavar="add|list|show|remove|set")

    add = verbs.add_parser("add", parents=[common], help="add a domain; one that is there stays as it is")
    _name(add)
    _limits(add)
    add.set_defaults(run=_add)

    verbs.add_parser("list", parents=[common], help="list all domains").set_defaults(run=_list)

    show = verbs.add_parser("show", parents=[common], help="show a domain")
    _name(show)
    show.set_defaults(run=_show)

    remove = verbs.add_parser("remove", parents=[common], help="remove a domain")
    _name(remove)
    remove.add_argument("--with-contents", action="store_true", help="with its accounts and aliases")
    remove.set_defaults(run=_remove)

    change = verbs.add_parser("set", parents=[common], help="change a domain")
    _name(change)
    _limits(change)
    change.set_defaults(run=_set)


def _name(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("domain")


def _limits(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--quota", metavar="SIZE", help="what each of its accounts may hold: 500M, 1G; 0: no limit")
    parser.add_argument("--messages", type=int, metavar="NUMBER", help="how many messages; 0: no limit")


def _value(domain: Domain) -> dict[str, object]:
    value: dict[str, object] = {"domain": domain.name, "quota": quota_value(domain.quota)}
    return value | {"total": quota_value(domain.total)} if domain.total else value


def _add(admin: DirectoryAdmin, options: argparse.Namespace) -> Result:
    added = admin.add_domain(options.domain, quota_of(options.quota, options.messages))
    domain = admin.show_domain(options.domain)
    line = f"added domain {domain.name}" if added else f"domain {domain.name} is there already"
    return Result((line,), _value(domain) | {"added": added})


def _list(admin: DirectoryAdmin, _options: argparse.Namespace) -> Result:
    domains = admin.domains()
    rows = table((domain.name, f"quota {format_quota(domain.quota)}") for domain in domains)
    return Result(rows, [_value(domain) for domain in domains])


def _show(admin: DirectoryAdmin, options: argparse.Namespace) -> Result:
    domain = admin.show_domain(options.domain)
    accounts, aliases = len(admin.accounts(domain.name)), len(admin.aliases(domain.name))
    lines = table(
        [
            ("domain", domain.name),
            ("quota", format_quota(domain.quota)),
            *([("together", format_quota(domain.total))] if domain.total else []),
            ("accounts", str(accounts)),
            ("aliases", str(aliases)),
        ]
    )
    return Result(lines, _value(domain) | {"accounts": accounts, "aliases": aliases})


def _remove(admin: DirectoryAdmin, options: argparse.Namespace) -> Result:
    admin.remove_domain(options.domain, with_contents=options.with_contents)
    return Result((f"removed domain {options.domain}",), {"domain": options.domain, "removed": True})


def _set(admin: DirectoryAdmin, options: argparse.Namespace) -> Result:
    before = admin.show_domain(options.domain)
    quota = quota_of(options.quota, options.messages, before.settings)
    if quota is not None:
        admin.set_quota(before.name, quota)
    domain = admin.show_domain(options.domain)
    return Result((f"{domain.name} has quota {format_quota(domain.quota)}",), _value(domain))
