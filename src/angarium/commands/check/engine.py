"""Runs the checks: all of them, or those that a start can afford.

The order of findings is that of the files, the lines and the families. Fails with nothing: a configuration that cannot
be read is itself the finding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from angarium.commands.check import delivery, files, names, quotas, services, settings
from angarium.commands.check.finding import Finding, Rule, Severity
from angarium.commands.check.installation import Installation
from angarium.config.config import Config
from angarium.config.error import ConfigError

UNUSABLE = Rule(
    "unusable-configuration",
    Severity.ERROR,
    "{complaint}",
    "nothing starts with it, and nothing else could be checked",
)


class Family(NamedTuple):
    """A module of checks.

    Attributes:
        title: of its section in the manual.
        rules: what it can find.
        check: finds it.
    """

    title: str
    rules: tuple[Rule, ...]
    check: Callable[[Installation], Iterator[Finding]]


QUICK = (
    Family("Names of parameters", names.RULES, names.check),
    Family("Values", settings.RULES, settings.check),
    Family("Services", services.RULES, services.check),
    Family("Commands and mailbox files", delivery.RULES, delivery.check),
    Family("Quotas", quotas.RULES, quotas.check),
    Family("Files", files.RULES, files.check),
)
"""Cheap enough for every start."""


def families() -> tuple[Family, ...]:
    """All families, in the order of the manual."""
    # Late: these want the policy engine, the tables and the cryptography library, which a start need not wait for.
    from angarium.commands.check import domains, networks, relay, restrictions, tables, tls, tlspeers, users

    return (
        *QUICK,
        Family("Users of this system", users.RULES, users.check),
        Family("Address classes", domains.RULES, domains.check),
        Family("Lookup tables", tables.RULES, tables.check),
        Family("Networks", networks.RULES, networks.check),
        Family("Restriction lists", restrictions.RULES, restrictions.check),
        Family("Relaying", relay.RULES, relay.check),
        Family("TLS", tls.RULES, tls.check),
        Family("The other end of TLS", tlspeers.RULES, tlspeers.check),
    )


def run(directory: Path) -> list[Finding]:
    """Check a configuration directory whole."""
    try:
        conf = Config.load(directory)
        site = Installation(conf, conf.master.services)
        return findings(site)
    except ConfigError as error:
        return [Finding(UNUSABLE, error.file, error.line, {"complaint": error.text})]


def findings(site: Installation, *, quick: bool = False) -> list[Finding]:
    """What the checks find. Raises ConfigError for a value that a check cannot do without."""
    found: list[Finding] = []
    for family in QUICK if quick else families():
        found += family.check(site)
    order = {str(site.conf.directory / name): at for at, name in enumerate(("main.cf", "master.cf"))}
    return sorted(_keyed(found), key=lambda each: (order.get(each.file, 2), each.file, each.line))


def _keyed(found: list[Finding]) -> Iterator[Finding]:
    """Without those that say the same of the same place."""
    seen: set[tuple[str, str, int, str]] = set()
    for each in found:
        key = (each.rule.id, each.file, each.line, each.text)
        if key not in seen:
            seen.add(key)
            yield each
