"""Checks of names: parameters that mean nothing, are old, gone, or do nothing here."""

from __future__ import annotations

import re
from collections.abc import Iterator

from angarium.commands.check.finding import Finding, Rule, Severity
from angarium.commands.check.installation import Installation
from angarium.config.lines import logical_lines
from angarium.config.main_cf import Setting, shown
from angarium.config.obsolete import GONE, OLD
from angarium.config.parameter import Status, Type
from angarium.config.registry import registry
from angarium.config.table_files import complaints_of
from angarium.config.usage import Usage, changes_nothing, examine, nearest

UNKNOWN = Rule(
    "unknown-parameter",
    Severity.WARNING,
    "unused parameter: {name}={value}",
    "nothing here has this name and nothing refers to it: correct it or remove the line",
)
MISSPELT = Rule(
    "misspelt-parameter",
    Severity.WARNING,
    "unused parameter: {name}={value} (did you mean {near}?)",
    "write {near} = {value}",
)
UNDEFINED = Rule(
    "undefined-reference",
    Severity.WARNING,
    "undefined parameter: {name}",
    "${name} is empty: define it or correct the name",
)
GONE_NAME = Rule(
    "gone-parameter", Severity.WARNING, "unused parameter: {name}={value}", "Postfix has given this name up: {instead}"
)
OLD_NAME = Rule("old-parameter", Severity.NOTE, "{name} is an old name", "it still works; write instead: {instead}")
TWICE = Rule(
    "overridden-setting",
    Severity.WARNING,
    "overriding earlier entry: {name}={value}",
    "the earlier one is in line {earlier}; keep one of the two",
)
STRAY = Rule(
    "stray-line",
    Severity.WARNING,
    'logical line must not start with whitespace: "{text}"',
    "the line continues nothing and is left out: remove the blanks in front of it",
)
ODD_SERVICE = Rule(
    "odd-service-line",
    Severity.WARNING,
    "{complaint}",
    "the service is taken as it can be understood: correct the braces",
)
UNSUPPORTED = Rule(
    "unsupported-parameter",
    Severity.WARNING,
    "{name} is not supported yet: {reason}",
    "what it asks for is not done here; docs/compatibility.md lists what is",
)
NO_EFFECT = Rule(
    "parameter-without-effect",
    Severity.WARNING,
    "{name} has no effect: {reason}",
    "the line may stay or go; nothing changes",
)
TABLE_SETTING = Rule(
    "table-setting",
    Severity.WARNING,
    "{complaint}",
    "the settings of a table type stand in its manual page, such as mysql_table(5)",
)

TABLE_FILE = Rule(
    "missing-table-settings",
    Severity.ERROR,
    "{parameter}: {complaint}",
    "every look-up fails and mail waits: create the file, or take the table out",
)

RULES = (
    UNKNOWN,
    MISSPELT,
    UNDEFINED,
    GONE_NAME,
    OLD_NAME,
    TWICE,
    STRAY,
    ODD_SERVICE,
    UNSUPPORTED,
    NO_EFFECT,
    TABLE_SETTING,
    TABLE_FILE,
)


_PLACE = re.compile(r"(.*), line ([0-9]+): (.*)", re.DOTALL)


def check(site: Installation) -> Iterator[Finding]:
    """Find names that do not do what they seem to."""
    usage = examine(site.conf, site.services)
    yield from _files(site)
    yield from _unused(site, usage)
    for _view, setting in site.settings():
        yield from _known(site, setting)
    places = {(use.kind, use.name): use for use in site.tables()}
    for table in usage.table_files:
        use = places.get((table.kind, table.name))
        for complaint in complaints_of([table]):
            if complaint.startswith("open "):
                values = {"complaint": complaint, "parameter": use.parameter if use else "main.cf"}
                yield Finding(TABLE_FILE, *(use.place if use else ("", 0)), values)
            else:
                yield Finding(TABLE_SETTING, table.name, 0, {"complaint": complaint})


def _files(site: Installation) -> Iterator[Finding]:
    main = site.conf.main
    for setting, later in main.overridden:
        if main.settings[setting.name].value != setting.value:
            values = {"name": setting.name, "value": shown(setting.name, setting.value), "earlier": setting.line}
            yield Finding(TWICE, setting.file, later, values)
    for file in (main.file, site.conf.master.file):
        for line in logical_lines("\n".join(site.lines(file))).stray:
            yield Finding(STRAY, file, line.line, {"text": line.text[:100]})
    for complaint in site.conf.master.warnings:
        if place := _PLACE.match(complaint):
            yield Finding(ODD_SERVICE, place[1], int(place[2]), {"complaint": place[3]})


def _unused(site: Installation, usage: Usage) -> Iterator[Finding]:
    known = [*registry(), *usage.services, *GONE]
    unused = [*usage.unused, *(Setting(n, text, e.file, e.line) for e, n, text in usage.unused_overrides)]
    for setting in unused:
        values = {"name": setting.name, "value": shown(setting.name, setting.value)}
        place = site.find(setting, setting.name)
        if setting.name in GONE:
            instead = f"{GONE[setting.name]} took its place" if GONE[setting.name] else "remove the line"
            yield Finding(GONE_NAME, *place, {**values, "instead": instead})
        elif near := nearest(setting.name, known):
            yield Finding(MISSPELT, *place, {**values, "near": near})
        else:
            yield Finding(UNKNOWN, *place, values)
    for file, name in usage.undefined:
        yield Finding(UNDEFINED, file, _reference(site, file, name), {"name": name})


def _reference(site: Installation, file: str, name: str) -> int:
    """The first line of a file that refers to a name; 0 when none is found."""
    forms = (f"${name}", f"${{{name}", f"$({name}", f"${{{{${name}")
    for number, text in enumerate(site.lines(file), 1):
        if not text.lstrip().startswith("#") and any(form in text for form in forms):
            return number
    return 0


def _known(site: Installation, setting: Setting) -> Iterator[Finding]:
    place = site.find(setting, setting.name)
    if setting.name in OLD:
        yield Finding(OLD_NAME, *place, {"name": setting.name, "instead": OLD[setting.name]})
    parameter = changes_nothing(setting.name, setting.value)
    if parameter is not None and parameter.type is not Type.LEGACY:
        rule = UNSUPPORTED if parameter.status is Status.UNSUPPORTED else NO_EFFECT
        yield Finding(rule, *place, {"name": setting.name, "reason": parameter.reason})
