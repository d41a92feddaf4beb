"""``angarium check``: what is wrong with the configuration, with file and line, an id and a hint.

The same checks as those of ``postfix check``; this one changes nothing and writes nothing to the mail log. Exit status
0; 78 (EX_CONFIG) when a finding is an error. ``docs/manual/checks.md`` lists all ids.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from angarium.commands.angarium_output import Result


def add_parsers(nouns: Any, common: argparse.ArgumentParser) -> None:
    """Add the parser of ``angarium check``."""
    check = nouns.add_parser("check", parents=[common], help="find what is wrong with the configuration")
    check.add_argument("--severity", choices=("error", "warning", "note"), default="note", help="the least to tell")
    check.set_defaults(inspect=inspect)


def inspect(directory: Path, options: argparse.Namespace) -> tuple[Result, int]:
    """Run the checks on a configuration directory; what to print, and the exit status."""
    from angarium.commands.check.engine import run  # late: the other nouns do not want the checks
    from angarium.commands.check.finding import Severity

    order = list(Severity)
    least = order.index(Severity(options.severity))
    found = [each for each in run(directory.absolute()) if order.index(each.rule.severity) <= least]
    lines = []
    for each in found:
        lines.append(f"{each.rule.severity.value}: {each} [{each.rule.id}]")
        lines.append(f"    {each.hint}")
    failed = any(each.rule.severity is Severity.ERROR for each in found)
    return Result(tuple(lines), [each.as_json() for each in found]), os.EX_CONFIG if failed else 0
