"""Checks of the restriction lists: words that are none, lack an argument, are old, or can never be reached."""

from __future__ import annotations

from collections.abc import Iterator

from angarium.commands.check.finding import Finding, Rule, Severity
from angarium.commands.check.installation import Installation
from angarium.commands.check.verbs import RestrictionReader, Step, all_verbs
from angarium.config.obsolete import OLD_VERBS
from angarium.config.parameter import Type
from angarium.config.registry import registry
from angarium.config.usage import nearest
from angarium.policy.restrictions import NOT_YET

UNKNOWN = Rule(
    "unknown-restriction",
    Severity.ERROR,
    'unknown smtpd restriction: "{word}" in {parameter}',
    "whenever it is reached the client gets 451 4.3.5 and mail waits; {near}",
)
ARGUMENT = Rule(
    "restriction-without-argument",
    Severity.ERROR,
    'restriction "{word}" in {parameter} needs an argument',
    "whenever it is reached the client gets 451 4.3.5: write the table (type:name), service or list that it shall ask",
)
UNREACHABLE = Rule(
    "unreachable-restriction",
    Severity.WARNING,
    "restriction `{word}' after `{before}' is ignored",
    "{before} always ends the list: move it to the end of {parameter}, or remove what follows",
)
OLD = Rule("old-restriction", Severity.NOTE, "{word} is an old name", "write instead: {instead}")
SKIPPED = Rule(
    "unsupported-restriction",
    Severity.WARNING,
    "{parameter}: restriction {word} is not supported and is skipped",
    "nothing is permitted or refused by it here",
)

RULES = (UNKNOWN, ARGUMENT, UNREACHABLE, OLD, SKIPPED)


def check(site: Installation) -> Iterator[Finding]:
    """Find restrictions that do not do what they seem to."""
    lists = [each.name for each in registry().values() if each.type is Type.RESTRICTIONS]
    lists = [name for name in lists if name.endswith("_restrictions")]  # others are lists of clients
    said: set[tuple[str, str, int, str]] = set()
    for view, entry in site.views:
        reader = RestrictionReader(site, view)
        for name in lists:
            if entry is not None and name not in entry.overrides:
                continue
            for finding in _of_list(name, reader.read(name)):
                key = (finding.rule.id, finding.file, finding.line, finding.text)
                if key not in said:  # a class that stands in several lists is told of once
                    said.add(key)
                    yield finding


def _of_list(name: str, steps: tuple[Step, ...]) -> Iterator[Finding]:
    ended: Step | None = None
    for step in steps:
        if ended is not None:
            values = {"word": step.word, "before": ended.text, "parameter": name}
            yield Finding(UNREACHABLE, *step.place, values)
            return
        yield from _of_step(name, step)
        if step.steps is not None:
            yield from _of_list(name, step.steps)
        if step.ends:
            ended = step


def _of_step(name: str, step: Step) -> Iterator[Finding]:
    if step.missing:
        yield Finding(ARGUMENT, *step.place, {"word": step.word, "parameter": name})
    elif not step.verb and step.steps is None:
        near = nearest(step.word.lower(), all_verbs())
        hint = f"did you mean {near}?" if near else "correct or remove it"
        yield Finding(UNKNOWN, *step.place, {"word": step.word, "parameter": name, "near": hint})
    elif step.verb in OLD_VERBS and step.word.lower() == step.verb:
        yield Finding(OLD, *step.place, {"word": step.word, "instead": OLD_VERBS[step.verb]})
    if step.verb in NOT_YET:
        yield Finding(SKIPPED, *step.place, {"word": step.text, "parameter": name})
