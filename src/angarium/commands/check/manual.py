"""``docs/manual/checks.md``: every finding with its id, made from the rules.

``python -m angarium.commands.check.manual docs`` writes it; a test fails when it no longer says what the rules say.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from angarium.commands.check.engine import UNUSABLE, Family, families

NAME = "manual/checks.md"


_INTRODUCTION = """\
`postfix check` writes its findings to the mail log and to standard error, each with file, line and id, and exits with 0
as Postfix does, or with 1 for a value that cannot be read. `angarium check` prints the same findings with what to do
about them, `angarium check --json` prints them for programs; its exit status is 78 when one is an error. A start and a
reload make the checks of names, values, services and files.

An *error* loses, refuses or gives away mail, or keeps the server from starting; a *warning* is most likely not meant; a
*note* works, and could be said better. In the texts `{…}` stands for what is found."""


def page() -> str:
    """The page. Every id is in it once."""
    return "\n".join(_page()) + "\n"


def _page() -> Iterator[str]:
    yield "# What `postfix check` finds"
    yield ""
    yield "Made from the rules by `python -m angarium.commands.check.manual docs`; change"
    yield "`src/angarium/commands/check/`."
    yield ""
    yield _INTRODUCTION
    for family in (Family("The configuration as a whole", (UNUSABLE,), lambda _site: iter(())), *families()):
        yield f"\n## {family.title}\n"
        yield "| id | | what is found | what to do |"
        yield "|---|---|---|---|"
        for rule in family.rules:
            yield f"| `{rule.id}` | {rule.severity.value} | {_cell(rule.text)} | {_cell(rule.hint)} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    Path(sys.argv[1], NAME).write_text(page(), encoding="utf-8")
