"""Checks of what TLS is to find out about the other end: client certificates, and DANE."""

from __future__ import annotations

from collections.abc import Iterator

from angarium.commands.check.finding import Finding, Rule, Severity
from angarium.commands.check.installation import Installation
from angarium.commands.check.verbs import RestrictionReader, Step
from angarium.config.config import Config
from angarium.config.master_cf import MasterService

UNASKED = Rule(
    "client-certificate-not-asked",
    Severity.WARNING,
    "{parameter}: {word} knows nobody, as smtpd_tls_ask_ccert is off",
    "set smtpd_tls_ask_ccert = yes",
)
IN_VAIN = Rule(
    "client-certificate-not-required",
    Severity.WARNING,
    "smtpd_tls_req_ccert has no effect where TLS is optional",
    "set smtpd_tls_security_level = encrypt for this service, or smtpd_tls_ask_ccert = yes instead",
)
NO_DNSSEC = Rule(
    "dane-without-dnssec",
    Severity.ERROR,
    "{parameter} is {level}, but {obstacle}",
    "no TLSA record is looked up: set smtp_dns_support_level = dnssec and smtp_host_lookup = dns, with a name server "
    "on this host that validates",
)

RULES = (UNASKED, IN_VAIN, NO_DNSSEC)

_VERBS = frozenset({"permit_tls_clientcerts", "permit_tls_all_clientcerts", "check_ccert_access"})
_LISTS = tuple(
    f"smtpd_{stage}_restrictions" for stage in ("client", "helo", "sender", "relay", "recipient", "data", "end_of_data")
)


def check(site: Installation) -> Iterator[Finding]:
    """Find what asks for knowledge that nobody gathers."""
    said: set[tuple[str, str, int]] = set()
    for view, entry in site.views:
        for finding in (*_certificates(site, view, entry), *_dane(site, view)):
            key = (finding.rule.id, finding.file, finding.line)
            if key not in said:
                said.add(key)
                yield finding


def _certificates(site: Installation, view: Config, entry: MasterService | None) -> Iterator[Finding]:
    requires = site.text(view, "smtpd_tls_req_ccert") == "yes"
    mandatory = site.text(view, "smtpd_tls_security_level") == "encrypt" or any(
        site.text(view, name) == "yes" for name in ("smtpd_tls_wrappermode", "smtpd_enforce_tls")
    )
    if requires and not mandatory:
        yield Finding(IN_VAIN, *site.place(view, "smtpd_tls_req_ccert"), {})
    if requires or site.text(view, "smtpd_tls_ask_ccert") == "yes" or (entry is not None and entry.command != "smtpd"):
        return
    reader = RestrictionReader(site, view)
    for name in _LISTS:
        for step in _all(reader.read(name)):
            if step.verb in _VERBS:
                yield Finding(UNASKED, *step.place, {"parameter": name, "word": step.verb})


def _all(steps: tuple[Step, ...]) -> Iterator[Step]:
    for step in steps:
        yield step
        if step.steps is not None:
            yield from _all(step.steps)


def _dane(site: Installation, view: Config) -> Iterator[Finding]:
    parameter = "smtp_tls_security_level"
    level = site.text(view, parameter)
    if level not in ("dane", "dane-only"):
        return
    obstacle = ""
    if site.text(view, "smtp_dns_support_level") != "dnssec":
        obstacle = "smtp_dns_support_level is not dnssec"
    elif "dns" not in site.text(view, "smtp_host_lookup").replace(",", " ").split():
        obstacle = "smtp_host_lookup has no dns"
    if obstacle:
        values = {"parameter": parameter, "level": level, "obstacle": obstacle}
        yield Finding(NO_DNSSEC, *site.place(view, parameter), values)
