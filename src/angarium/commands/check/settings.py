"""Checks of values: what cannot be read, a comment that is none, a host name that is not one."""

from __future__ import annotations

import re
from collections.abc import Iterator

from angarium.commands.check.finding import Finding, Rule, Severity
from angarium.commands.check.installation import Installation
from angarium.config.error import ConfigError
from angarium.config.parameter import Type
from angarium.config.verp import verp_rules

BAD_VALUE = Rule(
    "bad-value", Severity.ERROR, "{complaint}", "the services that read this parameter do not start: correct the value"
)
HASH = Rule(
    "hash-in-value",
    Severity.WARNING,
    "{name}: the value goes on with {comment}",
    "a comment begins in the first column or stands alone in its line; here it is part of the value",
)
HOSTNAME = Rule(
    "hostname-not-qualified",
    Severity.WARNING,
    "myhostname is {name}, which is no full host name",
    "set myhostname to the name that the DNS has for this machine, such as mail.example.com",
)

DELIMITER = Rule(
    "verp-without-extension",
    Severity.NOTE,
    "{name}: recipient_delimiter has no {delimiter}, so bounces to list{delimiter}user=domain are not for list",
    "add {delimiter} to recipient_delimiter, or have something else take the bounces of VERP mail",
)

RULES = (BAD_VALUE, HASH, HOSTNAME, DELIMITER)

_COMMENT = re.compile(r"(?:^|\s)(#.*)")
_COMMENT_IN_TEXT = re.compile(r"\s(#\s.*)")
"""In text of which ``#`` may be a part, such as a command, one with blanks on both sides is most likely none."""


def check(site: Installation) -> Iterator[Finding]:
    """Find values that are not what they seem to be."""
    for view, setting in site.settings():
        try:
            view.check(setting.name)
        except ConfigError as error:
            place = (error.file, error.line) if error.file else site.find(setting, setting.name)
            yield Finding(BAD_VALUE, *place, {"complaint": error.text})
    yield from _hashes(site)
    yield from _hostname(site)
    yield from _verp(site)


def _hashes(site: Installation) -> Iterator[Finding]:
    for view, setting in site.settings():
        parameter = view.declared(setting.name)
        raw = parameter is not None and parameter.type is Type.RAW
        match = (_COMMENT_IN_TEXT if raw else _COMMENT).search(setting.value)
        if match is not None and "{" not in setting.value[: match.start()]:
            values = {"name": setting.name, "comment": match[1][:40]}
            yield Finding(HASH, *site.find(setting, match[1][:20]), values)


def _hostname(site: Installation) -> Iterator[Finding]:
    name = site.text(site.conf, "myhostname")
    if name and (
        "." not in name.strip(".") or name.endswith((".localdomain", ".local")) or name.startswith("localhost")
    ):
        yield Finding(HOSTNAME, *site.place(site.conf, "myhostname"), {"name": name})


def _verp(site: Installation) -> Iterator[Finding]:
    """Delimiters that cannot be used (no service starts then), or that say nothing to who gets the bounces."""
    for view in (site.conf, *(view for view, _entry in site.views)):
        if not all(site.text(view, name) for name in ("default_verp_delimiters", "verp_delimiter_filter")):
            continue  # told as a bad value
        try:
            rules = verp_rules(view)
        except ConfigError as error:
            yield Finding(BAD_VALUE, error.file, error.line, {"complaint": error.text})
            continue
        name = "smtpd_authorized_verp_clients"
        if site.text(view, name) and rules.default[0] not in site.text(view, "recipient_delimiter"):
            yield Finding(DELIMITER, *site.place(view, name), {"name": name, "delimiter": rules.default[0]})
