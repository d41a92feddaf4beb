"""Checks of the address classes: a domain belongs to one (ADDRESS_CLASS_README)."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping

from angarium.commands.check.finding import Finding, Rule, Severity
from angarium.commands.check.installation import Installation, Place
from angarium.commands.check.sources import entries
from angarium.config.error import ConfigError
from angarium.config.lines import decode
from angarium.config.values import names

TWO_CLASSES = Rule(
    "domain-in-two-classes",
    Severity.WARNING,
    "do not list domain {domain} in BOTH {first} and {second}",
    "keep it in the one that says where its mailboxes are; the other is in {other}",
)

RULES = (TWO_CLASSES,)

_CLASSES = ("mydestination", "virtual_alias_domains", "virtual_mailbox_domains", "relay_domains")
_TOGETHER = {("mydestination", "relay_domains")}
"""Postfix's own default puts the first into the second."""


def check(site: Installation) -> Iterator[Finding]:
    """Find domains that are in two classes."""
    listed = {name: _domains(site, name) for name in _CLASSES}
    for first, second in itertools.combinations(_CLASSES, 2):
        if (first, second) in _TOGETHER:
            continue
        for domain in listed[first].keys() & listed[second].keys():
            place, other = listed[second][domain], listed[first][domain]
            where = f"{other.file}:{other.line}" if other.file else "its default"
            values = {"domain": domain, "first": first, "second": second, "other": where}
            yield Finding(TWO_CLASSES, *place, values)


def _domains(site: Installation, parameter: str) -> Mapping[str, Place]:
    """The domains of a list, with the places where they stand."""
    found: dict[str, Place] = {}
    setting = site.conf.setting(parameter)
    raw = "" if setting is None else setting.value
    if parameter in ("virtual_alias_domains", "relay_domains") and setting is None:
        return found  # by default the keys of virtual_alias_maps, most of which are addresses; $mydestination
    try:
        words = names(site.conf.expand(raw)) if setting is not None else site.conf.names(parameter)
    except ConfigError:
        return found
    for word in words:
        place = Place("", 0) if setting is None else site.find(setting, word)
        if word.startswith("!"):
            continue
        if word.startswith("/"):
            for number, line in enumerate(site.lines(word), 1):
                for each in line.partition("#")[0].split():
                    found.setdefault(decode(each.encode()).lower(), Place(word, number))
            continue
        kind, colon, name = word.removeprefix("proxy:").partition(":")
        if not colon:
            found.setdefault(word.lower(), place)
            continue
        for entry in entries(kind, name) or ():
            if kind not in ("static", "cidr", "regexp", "pcre"):
                found.setdefault(entry.key, Place(name, entry.line) if name.startswith("/") else place)
    return found
