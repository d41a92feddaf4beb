"""A restriction list as the policy engine reads it, with the exact line of each word.

Which words are restrictions and how many arguments they take is the engine's own table (``policy.restrictions``);
classes of ``smtpd_restriction_classes`` are opened. ``ends`` says whether anything behind a step can be reached.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from angarium.commands.check.installation import Installation, Place
from angarium.config.config import Config
from angarium.config.error import ConfigError
from angarium.policy.restrictions import ARGUMENT_RESTRICTIONS, NOT_YET, RESTRICTIONS, TABLE_RESTRICTIONS

Words = Sequence[tuple[str, Place]]

BARE_TABLE: Mapping[str, str] = {
    "smtpd_client_restrictions": "check_client_access",
    "smtpd_helo_restrictions": "check_helo_access",
    "smtpd_sender_restrictions": "check_sender_access",
    "smtpd_recipient_restrictions": "check_recipient_access",
    "smtpd_relay_restrictions": "check_recipient_access",
}
"""What a table alone stands for in a list."""

FINAL = frozenset({"permit", "reject", "defer"})
_NESTING_LIMIT = 10


@dataclass(frozen=True, slots=True)
class Step:
    """One restriction of a list.

    Attributes:
        word: as it is written.
        verb: the restriction in lower case; of a table alone the one that it stands for; empty for what is unknown.
        argument: the table, service or list that it asks; empty when it takes none.
        place: its line.
        warn: ``warn_if_reject`` stands in front.
        missing: its argument is missing, or is none.
        steps: those of a restriction class.
    """

    word: str
    verb: str
    argument: str
    place: Place
    warn: bool = False
    missing: bool = False
    steps: tuple[Step, ...] | None = None

    @property
    def text(self) -> str:
        """The restriction with its argument."""
        return f"{self.word} {self.argument}" if self.argument and self.argument != self.word else self.word

    @property
    def ends(self) -> bool:
        """Nothing behind it is ever asked."""
        if self.steps is not None:
            return any(step.ends for step in self.steps)
        if self.verb in FINAL:
            return self.verb == "permit" or not self.warn
        if self.verb.startswith("check_") and self.verb.endswith("_access") and self.argument.startswith("static:"):
            first = self.argument.partition(":")[2].strip("{} ").split(" ")[0].upper()
            return first == "OK" or first.isdigit() or (first in ("REJECT", "DEFER") and not self.warn)
        return False


def arguments(verb: str) -> int | None:
    """How many arguments a restriction takes; None when there is no such restriction."""
    if verb in TABLE_RESTRICTIONS or verb in ARGUMENT_RESTRICTIONS:
        return 1
    return 0 if verb in RESTRICTIONS else NOT_YET.get(verb)


def all_verbs() -> frozenset[str]:
    """Every restriction that the policy engine knows, also those that it skips."""
    return (
        frozenset(RESTRICTIONS) | frozenset(TABLE_RESTRICTIONS) | frozenset(ARGUMENT_RESTRICTIONS) | frozenset(NOT_YET)
    )


class RestrictionReader:
    """Reads the lists of one view of the configuration."""

    def __init__(self, site: Installation, view: Config) -> None:
        self._site = site
        self._view = view
        try:
            self._classes = frozenset(view.names("smtpd_restriction_classes"))
        except ConfigError:
            self._classes = frozenset()

    def read(self, name: str) -> tuple[Step, ...]:
        """The steps of a list."""
        return self.steps(name, self._site.words(self._view, name))

    def steps(self, name: str, words: Words, depth: int = 0) -> tuple[Step, ...]:
        """The steps that some words make in the list ``name``."""
        steps: list[Step] = []
        warn = False
        rest = list(words)
        while rest:
            word, place = rest.pop(0)
            verb = word.lower()
            if verb == "warn_if_reject":
                warn = True
                continue
            step = self._step(name, word, place, depth)
            takes = arguments(verb) or 0
            if len(rest) < takes:
                step = replace(step, missing=True)
            elif takes:
                argument = " ".join(rest.pop(0)[0] for _ in range(takes))
                no_table = verb in TABLE_RESTRICTIONS and ":" not in argument and not argument.startswith("/")
                step = replace(step, argument=argument, missing=no_table)
            steps.append(replace(step, warn=warn))
            warn = False
        if warn and words:
            steps.append(Step("warn_if_reject", "warn_if_reject", "", words[-1][1], missing=True))
        return tuple(steps)

    def _step(self, name: str, word: str, place: Place, depth: int) -> Step:
        verb = word.lower()
        if arguments(verb) is not None:
            return Step(word, verb, "", place)
        if word in self._classes and depth < _NESTING_LIMIT:
            nested = self.steps(name, self._site.words(self._view, word), depth + 1)
            return Step(word, "", "", place, steps=nested)
        if ":" in word and name in BARE_TABLE:
            return Step(word, BARE_TABLE[name], word, place)
        return Step(word, "", "", place)
