"""Checks of what delivers to commands and files: pipe, spawn, and Maildir and mailbox trees of virtual.

A user or a program that is not there is a finding for services that mail is sent to: a stock master.cf has lines for
programs that few install.
"""

from __future__ import annotations

import os
import pwd
import shutil
from collections.abc import Iterator
from pathlib import Path

from angarium.commands.check.finding import Finding, Rule, Severity
from angarium.commands.check.installation import Installation
from angarium.commands.check.sources import entries
from angarium.config.config import Config
from angarium.config.error import ConfigError
from angarium.config.master_cf import MasterService
from angarium.delivery.actor import Reserved, actor
from angarium.delivery.attributes import PIPE, SPAWN, Attributes
from angarium.delivery.environment import PATH
from angarium.master import programs

ATTRIBUTES = Rule(
    "command-attributes",
    Severity.ERROR,
    "{key}: {fault}",
    "correct the line: until then mail for this transport, or a connection to this service, waits",
)
USER = Rule(
    "command-user",
    Severity.ERROR,
    "{key}: {fault}",
    "make the user, or name another one that is neither root nor {owner}: until then its mail waits",
)
PROGRAM = Rule(
    "command-program",
    Severity.ERROR,
    "{key}: {program} is not there, or cannot be executed",
    "install it, or correct argv=: until then its mail waits",
)
SINGLE = Rule(
    "command-recipient-limit",
    Severity.WARNING,
    "{key}: the flag {flag} needs {service}_destination_recipient_limit = 1",
    "messages for several recipients wait for ever without it: set it in main.cf",
)
TREES = Rule(
    "trees-not-used",
    Severity.WARNING,
    "{parameter} is set, but mail for virtual_mailbox_domains goes to the mailstore, not to Maildirs or mailbox files",
    "to deliver to the files below virtual_mailbox_base as Postfix does, set virtual_mailbox_format = files; to stay "
    "with the mailstore, remove {parameter}",
)
BASE = Rule(
    "files-without-base",
    Severity.ERROR,
    "{key}: virtual_mailbox_format = files needs virtual_mailbox_base, a path from the root",
    "set it, for example virtual_mailbox_base = /var/mail/vhosts: until then all of its mail waits",
)
MISSING = Rule(
    "files-base-missing",
    Severity.WARNING,
    "{key}: virtual_mailbox_base = {base} is no directory",
    "make it, and give it to the users of virtual_uid_maps: they make what is missing below, with their own rights",
)
OWNER = Rule(
    "files-without-owner",
    Severity.ERROR,
    "{key}: virtual_mailbox_format = files needs {parameter}",
    "say whose the mailboxes are, for example {parameter} = static:5000: until then all of its mail waits",
)
LIMIT = Rule(
    "files-smaller-than-messages",
    Severity.WARNING,
    "{key}: virtual_mailbox_limit ({limit}) is smaller than message_size_limit ({largest})",
    "Postfix would deliver nothing at all; here messages over the limit go back to their senders: raise it",
)
SERVED = Rule(
    "files-not-served",
    Severity.NOTE,
    "{command} of this server reads the mailstore, not the files that virtual_mailbox_format = files delivers to",
    "serve the files with another program (Dovecot), or let virtual deliver to the mailstore",
)

RULES = (ATTRIBUTES, USER, PROGRAM, SINGLE, TREES, BASE, MISSING, OWNER, LIMIT, SERVED)

_KNOWN = {"pipe": PIPE, "spawn": SPAWN}
_WAYS = (
    "local_transport",
    "virtual_transport",
    "relay_transport",
    "default_transport",
    "content_filter",
    "mailbox_transport",
    "fallback_transport",
)
_MAPS = (
    "transport_maps",
    "sender_dependent_default_transport_maps",
    "mailbox_transport_maps",
    "fallback_transport_maps",
)


def check(site: Installation) -> Iterator[Finding]:
    """Find commands that cannot run, and mailboxes that nobody delivers to."""
    used = _used(site)
    for entry in site.services:
        if entry.command in _KNOWN:
            yield from _command(site, entry, entry.command == "spawn" or entry.name in used)
    yield from _trees(site)


def _used(site: Installation) -> set[str]:
    """The transports that parameters and listed tables name."""
    found = {site.text(view, name).partition(":")[0].strip() for view, _entry in site.views for name in _WAYS}
    for use in site.tables():
        if use.parameter in _MAPS:
            found |= {entry.value.partition(":")[0] for entry in entries(use.kind, use.name) or ()}
    return found


def _command(site: Installation, entry: MasterService, used: bool) -> Iterator[Finding]:
    key = {"key": entry.key}
    try:
        attributes = Attributes.parse(entry.operands, _KNOWN[entry.command], entry.file, entry.line)
    except ConfigError as error:
        yield Finding(ATTRIBUTES, entry.file, entry.line, {**key, "fault": error.text})
        return
    if not used:
        return
    owner = site.text(site.conf, "mail_owner")
    try:
        actor(attributes.user, attributes.group, Reserved.of(owner, site.text(site.conf, "setgid_group")))
    except ConfigError as error:
        ours = os.geteuid() != 0 and attributes.user == owner == pwd.getpwuid(os.geteuid()).pw_name
        if not ours:
            yield Finding(USER, entry.file, entry.line, {**key, "fault": error.text, "owner": owner})
    except OSError:
        pass  # the password file cannot be asked now: nothing is known
    if not attributes.chroot and "$" not in attributes.argv[0] and shutil.which(attributes.argv[0], path=PATH) is None:
        yield Finding(PROGRAM, entry.file, entry.line, {**key, "program": attributes.argv[0]})
    limit = f"{entry.name}_destination_recipient_limit"
    for flag in sorted(attributes.flags & {"D", "O"}):
        try:
            if site.conf.integer(limit) == 1:
                continue
        except ConfigError:
            continue  # a check of its own says so
        yield Finding(SINGLE, entry.file, entry.line, {**key, "flag": flag, "service": entry.name})
        break


def _trees(site: Installation) -> Iterator[Finding]:
    """virtual, in either form."""
    lines = [entry for entry in site.services if entry.type == "unix" and entry.command == "virtual"]
    try:
        files = [entry for entry in lines if programs.delivers_to_files(entry, site.conf)]
    except ConfigError:
        return  # a check of its own says so
    for entry in files:
        yield from _files(site, site.conf.for_service(entry), entry)
    if lines and not files:
        for name in ("virtual_uid_maps", "virtual_gid_maps"):
            if site.text(site.conf, name):
                yield Finding(TREES, *site.place(site.conf, name), {"parameter": name})
                return
    if files and len(files) == len(lines):
        for entry in site.services:
            if entry.command in ("imapd", "pop3d"):
                yield Finding(SERVED, entry.file, entry.line, {"command": entry.command})
                return


def _files(site: Installation, view: Config, entry: MasterService) -> Iterator[Finding]:
    key = {"key": entry.key}
    base = Path(site.text(view, "virtual_mailbox_base"))
    if not base.is_absolute():
        yield Finding(BASE, entry.file, entry.line, key)
    elif not base.is_dir():
        yield Finding(MISSING, *site.place(view, "virtual_mailbox_base"), {**key, "base": base})
    for name in ("virtual_uid_maps", "virtual_gid_maps"):
        if not site.text(view, name):
            yield Finding(OWNER, entry.file, entry.line, {**key, "parameter": name})
    try:
        limit, largest = view.size("virtual_mailbox_limit"), view.size("message_size_limit")
    except ConfigError:
        return  # a check of its own says so
    if limit and (limit < largest or not largest):
        values = {**key, "limit": limit, "largest": largest or "none"}
        yield Finding(LIMIT, *site.place(view, "virtual_mailbox_limit"), values)
