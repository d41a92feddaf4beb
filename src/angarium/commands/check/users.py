"""Checks of delivery to users of this system: local, its aliases, default_privs, the spool.

Nothing is found where no domain is local, or where its mail does not go to local.
"""

from __future__ import annotations

import pwd
from collections.abc import Iterator
from pathlib import Path

from angarium.commands.check.finding import Finding, Rule, Severity
from angarium.commands.check.installation import Installation
from angarium.config.config import Config
from angarium.config.error import ConfigError
from angarium.tables.ownership import NOBODY, owner, refusal

REFUSED = Rule(
    "alias-table-refused",
    Severity.ERROR,
    "alias_maps: {fault}",
    "a table of aliases names commands and files: use one that nobody else answers for; until then local mail waits",
)
OWNER = Rule(
    "alias-table-owner",
    Severity.ERROR,
    "alias_maps: {table} belongs to user {uid}, who is not in the password file",
    "its owner gives the rights for its commands and files: give it to a user, or to root for those of default_privs",
)
PRIVS = Rule(
    "default-privs",
    Severity.ERROR,
    "default_privs = {user}: {fault}",
    "name a user who owns nothing: until then commands and files of root's aliases get no mail",
)
SPOOL = Rule(
    "mail-spool",
    Severity.WARNING,
    "mail_spool_directory = {path} is no directory",
    "make it, with the group mail and the mode 2775 as Debian has it; until then mail for users is returned",
)
LIMIT = Rule(
    "mailbox-smaller-than-messages",
    Severity.WARNING,
    "mailbox_size_limit ({limit}) is smaller than message_size_limit ({largest})",
    "Postfix's local would deliver nothing at all; here messages over the limit go back to their senders: raise it",
)

RULES = (REFUSED, OWNER, PRIVS, SPOOL, LIMIT)


def check(site: Installation) -> Iterator[Finding]:
    """Find what keeps users of this system from their mail."""
    domains = site.text(site.conf, "mydestination")
    if not domains or site.text(site.conf, "local_transport").partition(":")[0] != "local":
        return
    for entry in site.services:
        if (entry.type, entry.name, entry.command) == ("unix", "local", "local"):
            yield from _local(site, site.conf.for_service(entry))


def _local(site: Installation, view: Config) -> Iterator[Finding]:
    base = Path(site.text(view, "queue_directory"))
    for name, place in site.words(view, "alias_maps"):
        fault = refusal(name)
        if fault:
            yield Finding(REFUSED, *place, {"fault": fault})
            continue
        try:
            uid = owner(name, base)
        except OSError:
            continue  # that it is missing, others say
        if uid == NOBODY or (uid and not _is_user(uid)):
            yield Finding(OWNER, *place, {"table": name, "uid": "several" if uid == NOBODY else uid})
    privileges = site.text(view, "default_privs")
    fault = _unfit(privileges)
    if fault:
        yield Finding(PRIVS, *site.place(view, "default_privs"), {"user": privileges, "fault": fault})
    spool = site.text(view, "mail_spool_directory")
    elsewhere = ("home_mailbox", "mailbox_command", "mailbox_transport")
    if not any(site.text(view, name) for name in elsewhere) and not Path(spool).is_dir():
        yield Finding(SPOOL, *site.place(view, "mail_spool_directory"), {"path": spool})
    try:
        limit, largest = view.size("mailbox_size_limit"), view.size("message_size_limit")
    except ConfigError:
        return  # a check of its own says so
    if limit and (limit < largest or not largest):
        place = site.place(view, "mailbox_size_limit")
        where = place if place.line else site.place(view, "message_size_limit")
        yield Finding(LIMIT, *where, {"limit": limit, "largest": largest or "none"})


def _is_user(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except (KeyError, OverflowError):
        return False
    return True


def _unfit(name: str) -> str:
    """Why a user cannot stand in for root; empty when he can."""
    try:
        entry = pwd.getpwnam(name)
    except (KeyError, ValueError):
        return "there is no such user"
    return "that is root" if entry.pw_uid == 0 else ""
