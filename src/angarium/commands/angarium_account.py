"""``angarium account``: the accounts, their passwords and limits."""

from __future__ import annotations

import argparse
import os
from dataclasses import replace
from typing import Any

from angarium.commands.angarium_output import Failure, Result, format_quota, quota_of, quota_value, read_password, table
from angarium.directory.interface import Account, DirectoryAdmin, EntryExistsError, NoSuchEntryError


def add_parsers(nouns: Any, common: argparse.ArgumentParser) -> None:
    """Add the parser of ``angarium account`` and its verbs."""
    verbs = nouns.add_parser("account", help=__doc__).add_subparsers(
        required=True, metavar="add|list|show|remove|set|check"
    )

    add = verbs.add_parser("add", parents=[common], help="add an account; its password comes on standard input")
    _address(add)
    _limits(add)
    add.add_argument("--password-hash", metavar="HASH", help="an imported hash ($6$…, $2y$…, $argon2id$…) instead")
    add.add_argument("--no-password", action="store_true", help="an account that nobody can log in to yet")
    add.add_argument("--exist-ok", action="store_true", help="leave an account that is there as it is")
    add.set_defaults(run=_add)

    listing = verbs.add_parser("list", parents=[common], help="list the accounts")
    listing.add_argument("domain", nargs="?", default="")
    listing.set_defaults(run=_list)

    show = verbs.add_parser("show", parents=[common], help="show an account")
    _address(show)
    show.set_defaults(run=_show)

    remove = verbs.add_parser("remove", parents=[common], help="remove an account; its mailbox stays on disk")
    _address(remove)
    remove.add_argument("--missing-ok", action="store_true", help="say nothing when it is not there")
    remove.set_defaults(run=_remove)

    change = verbs.add_parser("set", parents=[common], help="change an account")
    _address(change)
    _limits(change)
    change.add_argument("--inherit-quota", action="store_true", help="go back to the domain's limits")
    secret = change.add_mutually_exclusive_group()
    secret.add_argument("--password", action="store_true", help="set the password that comes on standard input")
    secret.add_argument("--password-hash", metavar="HASH", help="set an imported hash")
    enabled = change.add_mutually_exclusive_group()
    enabled.add_argument("--enable", dest="enabled", action="store_true", default=None, help="let it log in")
    enabled.add_argument("--disable", dest="enabled", action="store_false", default=None, help="receive mail only")
    change.set_defaults(run=_set)

    check = verbs.add_parser("check", parents=[common], help="check the password that comes on standard input")
    _address(check)
    check.set_defaults(run=_check)


def _address(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("address", metavar="user@domain")


def _limits(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--quota", metavar="SIZE", help="what it may hold: 500M, 1G; 0: no limit")
    parser.add_argument("--messages", type=int, metavar="NUMBER", help="how many messages; 0: no limit")


def _value(account: Account) -> dict[str, object]:
    return {
        "account": account.address,
        "quota": quota_value(account.quota),
        "effective_quota": quota_value(account.effective_quota),
        "enabled": account.enabled,
        "password": account.has_password,
    }


def _row(account: Account) -> tuple[str, ...]:
    notes = [f"quota {format_quota(account.effective_quota)}"]
    if not account.enabled:
        notes.append("disabled")
    if not account.has_password:
        notes.append("no password")
    return account.address, ", ".join(notes)


def _imported(text: str) -> str:
    from angarium.auth.passwords import is_hash  # late: only where a password is touched

    if not is_hash(text):
        raise Failure(os.EX_DATAERR, "not a password hash that can be checked ($argon2id$…, $6$…, $2y$…, $y$…)")
    return text


def _hashed(address: str) -> str:
    from angarium.auth.passwords import hash_password  # late: only where a password is touched

    return hash_password(read_password(address))


def _add(admin: DirectoryAdmin, options: argparse.Namespace) -> Result:
    quota = quota_of(options.quota, options.messages)
    if options.no_password:
        stored = ""
    elif options.password_hash is not None:
        stored = _imported(options.password_hash)
    else:
        stored = _hashed(options.address)
    try:
        admin.add_account(options.address, stored, quota)
    except EntryExistsError:
        if not options.exist_ok:
            raise
        account = admin.show_account(options.address)
        return Result((f"account {account.address} is there already",), _value(account) | {"added": False})
    account = admin.show_account(options.address)
    return Result((f"added account {account.address}",), _value(account) | {"added": True})


def _list(admin: DirectoryAdmin, options: argparse.Namespace) -> Result:
    accounts = admin.accounts(options.domain)
    return Result(table(map(_row, accounts)), [_value(account) for account in accounts])


def _show(admin: DirectoryAdmin, options: argparse.Namespace) -> Result:
    account = admin.show_account(options.address)
    origin = "the domain's" if account.quota is None else "its own"
    lines = table(
        [
            ("account", account.address),
            ("quota", f"{format_quota(account.effective_quota)} ({origin})"),
            ("log-in", "disabled" if not account.enabled else "enabled" if account.has_password else "no password"),
        ]
    )
    return Result(lines, _value(account))


def _remove(admin: DirectoryAdmin, options: argparse.Namespace) -> Result:
    try:
        admin.remove_account(options.address)
    except NoSuchEntryError:
        if not options.missing_ok:
            raise
        return Result((f"no account {options.address}",), {"account": options.address, "removed": False})
    return Result((f"removed account {options.address}",), {"account": options.address, "removed": True})


def _set(admin: DirectoryAdmin, options: argparse.Namespace) -> Result:
    before = admin.show_account(options.address)
    quota = quota_of(options.quota, options.messages, before.settings)
    if options.inherit_quota and quota is not None:
        raise Failure(os.EX_USAGE, "--inherit-quota contradicts --quota and --messages")
    changed = []
    if options.password or options.password_hash is not None:
        stored = _hashed(before.address) if options.password else _imported(options.password_hash)
        admin.set_password(before.address, stored)
        changed.append("password")
    if options.enabled is not None:
        admin.set_enabled(before.address, options.enabled)
        changed.append("log-in")
    if options.inherit_quota or quota is not None:
        admin.set_quota(before.address, quota or replace(before.settings, bytes=None, messages=None))
        changed.append("quota")
    if not changed:
        raise Failure(os.EX_USAGE, "nothing to set")
    account = admin.show_account(before.address)
    return Result((f"set {', '.join(changed)} of {account.address}",), _value(account) | {"set": changed})


def _check(admin: DirectoryAdmin, options: argparse.Namespace) -> Result:
    from angarium.auth.passwords import UnknownHashError, check_password  # late: only where a password is touched

    account = admin.show_account(options.address)
    password = read_password(account.address)
    try:
        right = account.enabled and check_password(admin.password_hash(account.address), password)
    except UnknownHashError as error:
        raise Failure(os.EX_DATAERR, f"the password of {account.address} cannot be checked: {error}") from error
    if not right:
        raise Failure(os.EX_NOPERM, f"{account.address}: {'wrong password' if account.enabled else 'disabled'}")
    return Result((f"the password of {account.address} is right",), {"account": account.address, "right": True})
