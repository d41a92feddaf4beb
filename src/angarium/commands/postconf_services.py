"""What postconf(1) shows of master.cf: services (``-M``), their ``-o`` settings (``-P``), their fields (``-F``).

Operands choose services: ``name``, ``name/type`` and, after -P and -F, ``name/type/what``; ``*`` stands for all. One
that chooses nothing is a warning. Fails with UsageError for one that cannot be understood.
"""

from __future__ import annotations

from collections.abc import Sequence

from angarium.commands.postconf_options import Request, UsageError
from angarium.commands.postconf_output import print_setting, value_of, warn, warn_without_effect
from angarium.config.config import Config
from angarium.config.master_cf import MasterService
from angarium.config.render import service_line

FIELDS = ("service", "type", "private", "unprivileged", "chroot", "wakeup", "process_limit", "command")


def show(request: Request, config: Config, services: Sequence[MasterService]) -> None:
    """Print what is asked for. Raises UsageError."""
    if "M" in request.flags:
        _show_entries(request, config, services)
    elif "P" in request.flags:
        _show_overrides(request, config, services)
    else:
        _show_fields(request, services)


def _matches(pattern: Sequence[str], entry: MasterService) -> bool:
    name, kind = pattern[0], pattern[1] if len(pattern) > 1 else "*"
    return name in ("*", entry.name) and kind in ("*", entry.type)


def _patterns(request: Request, form: str) -> list[tuple[str, list[str]]]:
    """Each operand with its pieces; ``form`` names the option and the most that it takes."""
    parts = form.count("/") + 1
    patterns = []
    for operand in request.operands or ["*"]:
        pieces = operand.split("/")
        if len(pieces) > parts:
            raise UsageError(form)
        patterns.append((operand, pieces))
    return patterns


def _unmatched(request: Request, operand: str) -> None:
    if request.operands:
        warn(f'unmatched request: "{operand}"')


def _show_entries(request: Request, config: Config, services: Sequence[MasterService]) -> None:
    for operand, pattern in _patterns(request, "-M option requires service_name[/type]"):
        chosen = [entry for entry in services if _matches(pattern, entry)]
        for entry in chosen:
            shown = _expanded(config.for_service(entry), entry) if "x" in request.flags else entry
            print(service_line(shown, fold="f" in request.flags))
        if not chosen:
            _unmatched(request, operand)


def _expanded(layered: Config, entry: MasterService) -> MasterService:
    """The service with the ``$name`` in its settings replaced."""
    arguments = list(entry.arguments)
    at = 0
    while at < len(arguments) and arguments[at].startswith("-"):
        if arguments[at] == "-o" and at + 1 < len(arguments):
            at += 1
            name, equals, value = arguments[at].partition("=")
            arguments[at] = f"{name}{equals}{layered.expand(value)}"
        at += 1
    return entry._replace(arguments=tuple(arguments))


def _show_overrides(request: Request, config: Config, services: Sequence[MasterService]) -> None:
    for operand, pattern in _patterns(request, "-P option requires service_name[/type[/parameter]]"):
        found = False
        for entry in services:
            if not _matches(pattern, entry):
                continue
            layered = config.for_service(entry)
            for name in sorted(entry.overrides):
                if len(pattern) > 2 and pattern[2] not in ("*", name):
                    continue
                found = True
                print_setting(request, f"{entry.key}/{name}", value_of(request, layered, name))
                warn_without_effect(request, name, f"{entry.file}:{entry.line}", entry.overrides[name])
        if not found:
            _unmatched(request, operand)


def _show_fields(request: Request, services: Sequence[MasterService]) -> None:
    for operand, pattern in _patterns(request, "-F option requires service_name[/type[/field]]"):
        if len(pattern) > 2 and pattern[2] not in ("*", *FIELDS):
            raise UsageError(f'invalid service attribute name: "{pattern[2]}"')
        found = False
        for entry in services:
            if not _matches(pattern, entry):
                continue
            command = " ".join(service_line(entry).split()[7:])
            for name, text in zip(FIELDS, (*entry.fields[:7], command), strict=True):
                if len(pattern) < 3 or pattern[2] in ("*", name):
                    found = True
                    print_setting(request, f"{entry.key}/{name}", text)
        if not found:
            _unmatched(request, operand)
