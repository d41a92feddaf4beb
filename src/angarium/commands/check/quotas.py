"""Checks of quotas: what of their parameters makes no sense, and who may ask for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from angarium.commands.check.finding import Finding, Rule, Severity
from angarium.commands.check.installation import Installation
from angarium.config.error import ConfigError
from angarium.master.listeners import split_service
from angarium.model.quota import parse_grace, parse_rules, parse_thresholds

VALUE = Rule(
    "quota-value",
    Severity.ERROR,
    "{name}: {complaint}",
    "the services that use mailboxes do not start: correct the value",
)
TEMPLATES = Rule(
    "quota-templates-missing",
    Severity.WARNING,
    "mailstore_quota_template_directory: {directory} is no directory",
    "make it, or remove the parameter: until then warnings have the built-in texts",
)
CONTRADICTION = Rule(
    "quota-answers-differ",
    Severity.WARNING,
    "clients are told {code} for a full mailbox, and what is in the queue {action}",
    "over_quota_action = bounce goes with a code of 552, over_quota_action = defer with 452",
)
OPEN = Rule(
    "quota-status-open",
    Severity.WARNING,
    "{key}: anybody who reaches this port may ask which mailboxes there are, and which are full",
    "name an address in the first column, such as 127.0.0.1:12340, or a unix socket",
)

RULES = (VALUE, TEMPLATES, CONTRADICTION, OPEN)

_READERS: Mapping[str, Callable[[str], object]] = {
    "mailstore_quota_grace": parse_grace,
    "mailstore_quota_rules": parse_rules,
    "mailstore_quota_warnings": parse_thresholds,
}
_ANSWERS = {(True, "bounce"): "is returned", (False, "defer"): "waits"}
"""What contradicts: a temporary code with bounces, a permanent one with deferrals."""


def check(site: Installation) -> Iterator[Finding]:
    """Find what is wrong with quotas."""
    for name, read in _READERS.items():
        try:
            read(site.text(site.conf, name))
        except ValueError as error:
            yield Finding(VALUE, *site.place(site.conf, name), {"name": name, "complaint": error})
    directory = site.text(site.conf, "mailstore_quota_template_directory")
    if directory and not Path(directory).is_dir():
        place = site.place(site.conf, "mailstore_quota_template_directory")
        yield Finding(TEMPLATES, *place, {"directory": directory})
    yield from _answers(site)
    for entry in site.services:
        if entry.command == "quota-status" and entry.type == "inet" and not split_service(entry.name)[0]:
            yield Finding(OPEN, entry.file, entry.line, {"key": entry.key})


def _answers(site: Installation) -> Iterator[Finding]:
    try:
        code, action = site.conf.integer("over_quota_reject_code"), site.conf.choice("over_quota_action")
    except ConfigError:
        return  # told as a bad value
    outcome = _ANSWERS.get((code < 500, action))
    if outcome is not None:
        yield Finding(CONTRADICTION, *site.place(site.conf, "over_quota_action"), {"code": code, "action": outcome})
