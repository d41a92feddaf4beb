"""Checks of lookup tables: types that are not there, files that are missing, unreadable or older than their source."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from angarium.commands.check.finding import Finding, Rule, Severity
from angarium.commands.check.installation import Installation, TableUse
from angarium.commands.check.sources import BUILT, KEYED, PATTERNS
from angarium.config.parameter import Type
from angarium.config.usage import nearest
from angarium.tables.opener import TableOpener

UNKNOWN_TYPE = Rule(
    "unknown-table-type",
    Severity.ERROR,
    'unsupported dictionary type: "{kind}" in {parameter}',
    "every look-up fails and mail waits; {near}`postconf -m` lists the types",
)
MISSING = Rule(
    "missing-table",
    Severity.ERROR,
    "{parameter}: open {path}: {reason}",
    "every look-up fails and mail waits: create the file, or take the table out",
)
STALE = Rule(
    "stale-table",
    Severity.WARNING,
    "database {built} is older than source file {path}",
    "run: {command} {kind}:{path}",
)
RELATIVE = Rule(
    "relative-table",
    Severity.NOTE,
    "{parameter}: {kind}:{name} is looked for below the queue directory",
    "write the whole path of the file",
)

RULES = (UNKNOWN_TYPE, MISSING, STALE, RELATIVE)

OURS = ("directory",)
_CACHES = frozenset(
    {
        "address_verify_map",
        "lmtp_tls_session_cache_database",
        "postscreen_cache_map",
        "smtp_tls_session_cache_database",
        "smtpd_tls_session_cache_database",
    }
)
"""They are made when they are first written to."""


def check(site: Installation) -> Iterator[Finding]:
    """Find tables that cannot be asked, or answer with what used to be."""
    known = {*TableOpener(lambda _text: None).types, *OURS}
    seen: set[tuple[str, str]] = set()
    for use in site.tables():
        if (use.kind, use.name) in seen or use.parameter in _CACHES:
            continue
        seen.add((use.kind, use.name))
        if use.kind not in known:
            if not _is_address(use):
                near = nearest(use.kind, known)
                values = {
                    "kind": use.kind,
                    "parameter": use.parameter,
                    "near": f"{near} may be meant; " if near else "",
                }
                yield Finding(UNKNOWN_TYPE, *use.place, values)
        elif use.kind in KEYED | PATTERNS and not use.name.startswith("{"):
            yield from _file(site, use)
    yield from _includes(site)


def _includes(site: Installation) -> Iterator[Finding]:
    """Files with the patterns of a match list: ``mydestination = /etc/postfix/domains``."""
    for view, setting in site.settings():
        parameter = view.declared(setting.name)
        if parameter is None or parameter.type is not Type.TABLES or setting.name.endswith(("_maps", "_checks")):
            continue
        if "/" not in setting.value and "$" not in setting.value:
            continue
        for word, place in site.words(view, setting.name):
            path = word.removeprefix("!")
            if path.startswith("/") and (fault := _fault(Path(path))):
                yield Finding(MISSING, *place, {"parameter": setting.name, "path": path, "reason": fault})


def _is_address(use: TableUse) -> bool:
    """``fe80::`` in a list of networks is no table, nor is the ``inet:host:port`` of a service."""
    return all(char in "0123456789abcdef" for char in use.kind) or use.name.startswith(("//", ":"))


def _file(site: Installation, use: TableUse) -> Iterator[Finding]:
    if not use.name.startswith("/"):
        values = {"parameter": use.parameter, "kind": use.kind, "name": use.name}
        yield Finding(RELATIVE, *use.place, values)
    path = Path(site.text(site.conf, "queue_directory") or "/") / use.name
    built = path.with_name(path.name + BUILT[use.kind]) if use.kind in BUILT else None
    fault = _fault(path)
    if fault and (built is None or _fault(built)):
        yield Finding(MISSING, *use.place, {"parameter": use.parameter, "path": path, "reason": fault})
        return
    if built is None or fault:
        return
    try:
        stale = built.stat().st_mtime < path.stat().st_mtime
    except OSError:
        return  # not built yet: the source itself is read
    if stale:
        command = "postalias" if use.parameter.startswith("alias_") else "postmap"
        values = {"built": str(built), "path": str(path), "command": command, "kind": use.kind}
        yield Finding(STALE, *use.place, values)


def _fault(path: Path) -> str:
    """Why a file cannot be read; empty when it can be."""
    try:
        with path.open("rb"):
            return ""
    except OSError as error:
        return os.strerror(error.errno or 0)
