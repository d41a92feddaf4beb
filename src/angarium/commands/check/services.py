"""Checks of master.cf: services that nothing runs, that are there twice, or that mail is sent to and are missing."""

from __future__ import annotations

from collections.abc import Iterator

from angarium.commands.check.finding import Finding, Rule, Severity
from angarium.commands.check.installation import Installation
from angarium.commands.check.sources import entries
from angarium.config.master_cf import MasterService
from angarium.config.usage import nearest
from angarium.master import programs

UNSUPPORTED = Rule(
    "unsupported-service",
    Severity.WARNING,
    "{command} is not supported yet; {key} is left out",
    "nothing listens there, and mail for this transport waits; docs/compatibility.md lists what is supported",
)
UNKNOWN = Rule(
    "unknown-service",
    Severity.WARNING,
    "{command} is no program of Postfix or of this server; {key} is left out",
    "{near}",
)
DOUBLED = Rule(
    "doubled-service",
    Severity.WARNING,
    "duplicate service: {key}",
    "the first one stands in line {earlier}; the last one counts",
)
TRANSPORT = Rule(
    "missing-transport",
    Severity.ERROR,
    "{parameter} = {value}: master.cf has no service {transport}",
    "mail waits in the queue: add the line `{transport} unix - - n - - …`, or correct the parameter",
)

CHROOT = Rule(
    "chroot-not-done",
    Severity.WARNING,
    "chroot is not done here: these services see the whole file system: {services}",
    "write n in the chroot column",
)

RULES = (UNSUPPORTED, UNKNOWN, DOUBLED, TRANSPORT, CHROOT)

POSTFIX = frozenset(
    {
        "dnsblog",
        "nqmgr",
        "postscreen",
        "qmqpd",
    }
)
"""Programs of Postfix, beside those that ``master.programs`` knows."""

_TRANSPORTS = (
    "local_transport",
    "virtual_transport",
    "relay_transport",
    "default_transport",
    "content_filter",
    "mailbox_transport",
    "fallback_transport",
)
_TRANSPORT_MAPS = ("transport_maps", "sender_dependent_default_transport_maps")


def check(site: Installation) -> Iterator[Finding]:
    """Find services that do not do what they seem to."""
    ours = programs.NETWORK | programs.LOCAL | programs.AGENTS | programs.SPAWNING | programs.BUILT_IN
    left_out = {entry.key for entry in programs.unsupported(site.services)}
    seen: dict[str, MasterService] = {}
    for entry in site.services:
        if entry.key in seen:
            values: dict[str, object] = {"key": entry.key, "earlier": seen[entry.key].line}
            yield Finding(DOUBLED, entry.file, entry.line, values)
        seen.setdefault(entry.key, entry)
        if entry.key not in left_out or entry.command in ours:
            continue
        if entry.command in POSTFIX:
            yield Finding(UNSUPPORTED, entry.file, entry.line, {"command": entry.command, "key": entry.key})
        else:
            near = nearest(entry.command, [*ours, *POSTFIX])
            hint = f"did you mean {near}?" if near else "correct the last column"
            yield Finding(UNKNOWN, entry.file, entry.line, {"command": entry.command, "key": entry.key, "near": hint})
    jailed = [entry for entry in site.services if entry.chroot]
    if jailed:
        values = {"services": ", ".join(entry.key for entry in jailed)}
        yield Finding(CHROOT, jailed[0].file, jailed[0].line, values)
    yield from _transports(site)


def _transports(site: Installation) -> Iterator[Finding]:
    there = {entry.name for entry in site.services if entry.type == "unix"}
    for parameter in _TRANSPORTS:
        value = site.text(site.conf, parameter)
        transport = value.partition(":")[0].strip()
        if not transport or transport in there or site.conf.setting(parameter) is None:
            continue
        values: dict[str, object] = {"parameter": parameter, "value": value, "transport": transport}
        yield Finding(TRANSPORT, *site.place(site.conf, parameter), values)
    for use in site.tables():
        if use.parameter not in _TRANSPORT_MAPS:
            continue
        for entry in entries(use.kind, use.name) or ():
            transport, colon, _nexthop = entry.value.partition(":")
            if colon and transport and "$" not in transport and transport not in there:
                place = (use.name, entry.line) if entry.line else use.place
                values = {"parameter": f"{use.parameter}: {entry.key}", "value": entry.value, "transport": transport}
                yield Finding(TRANSPORT, *place, values)
