"""``angarium alias``: addresses that stand for others."""

from __future__ import annotations

import argparse
from typing import Any

from angarium.commands.angarium_output import Result, table
from angarium.directory.interface import Alias, DirectoryAdmin, NoSuchEntryError


def add_parsers(nouns: Any, common: argparse.ArgumentParser) -> None:
    """Add the parser of ``angarium alias`` and its verbs."""
    verbs = nouns.add_parser("alias", help=__doc__).add_subparsers(required=True, metavar="add|list|show|remove|set")

    add = verbs.add_parser("add", parents=[common], help="add destinations to an alias, which is made when it is new")
    _address(add)
    add.add_argument("destination", nargs="+")
    add.set_defaults(run=_add)

    listing = verbs.add_parser("list", parents=[common], help="list the aliases")
    listing.add_argument("domain", nargs="?", default="")
    listing.set_defaults(run=_list)

    show = verbs.add_parser("show", parents=[common], help="show an alias")
    _address(show)
    show.set_defaults(run=_show)

    remove = verbs.add_parser("remove", parents=[common], help="remove an alias, or some of its destinations")
    _address(remove)
    remove.add_argument("destination", nargs="*")
    remove.add_argument("--missing-ok", action="store_true", help="say nothing when it is not there")
    remove.set_defaults(run=_remove)

    change = verbs.add_parser("set", parents=[common], help="replace the destinations of an alias")
    _address(change)
    change.add_argument("destination", nargs="+")
    change.set_defaults(run=_set)


def _address(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("address", metavar="user@domain", help="or @domain, for what nothing else in it takes")


def _value(alias: Alias) -> dict[str, object]:
    return {"alias": alias.address, "destinations": list(alias.destinations)}


def _row(alias: Alias) -> tuple[str, ...]:
    return alias.address, ", ".join(alias.destinations)


def _add(admin: DirectoryAdmin, options: argparse.Namespace) -> Result:
    added = admin.add_alias(options.address, options.destination)
    alias = admin.show_alias(options.address)
    line = "  ".join(_row(alias))
    return Result((line,), _value(alias) | {"added": added})


def _list(admin: DirectoryAdmin, options: argparse.Namespace) -> Result:
    aliases = admin.aliases(options.domain)
    return Result(table(map(_row, aliases)), [_value(alias) for alias in aliases])


def _show(admin: DirectoryAdmin, options: argparse.Namespace) -> Result:
    alias = admin.show_alias(options.address)
    return Result(alias.destinations, _value(alias))


def _remove(admin: DirectoryAdmin, options: argparse.Namespace) -> Result:
    try:
        admin.remove_alias(options.address, options.destination)
    except NoSuchEntryError:
        if not options.missing_ok:
            raise
        return Result((f"no alias {options.address}",), {"alias": options.address, "removed": False})
    what = f"{', '.join(options.destination)} from " if options.destination else ""
    return Result((f"removed {what}alias {options.address}",), {"alias": options.address, "removed": True})


def _set(admin: DirectoryAdmin, options: argparse.Namespace) -> Result:
    admin.set_alias(options.address, options.destination)
    alias = admin.show_alias(options.address)
    return Result(("  ".join(_row(alias)),), _value(alias))
