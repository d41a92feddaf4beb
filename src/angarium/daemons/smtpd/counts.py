"""How many commands of each kind a session had, and how many of them went well: the end of its disconnect line."""

from __future__ import annotations

from angarium.protocols.smtp.states import COMMANDS

_ORDER = (*COMMANDS, "unknown")


class CommandCounts:
    """The counters of one session, by verb; ``unknown`` is everything that is no command."""

    __slots__ = ("_good", "_total")

    def __init__(self) -> None:
        self._good: dict[str, int] = {}
        self._total: dict[str, int] = {}

    def received(self, verb: str) -> None:
        """A command came."""
        self._total[verb] = self._total.get(verb, 0) + 1

    def succeeded(self, verb: str) -> None:
        """It went well."""
        self._good[verb] = self._good.get(verb, 0) + 1

    def statistics(self) -> str:
        """``ehlo=1 mail=1 rcpt=0/1 quit=1 commands=3/4``."""
        good, total = self._good, self._total
        words = [f"{verb.lower()}={_ratio(good.get(verb, 0), total[verb])}" for verb in _ORDER if verb in total]
        words.append(f"commands={_ratio(sum(good.values()), sum(total.values()))}")
        return " ".join(words)


def _ratio(good: int, total: int) -> str:
    return str(good) if good == total > 0 else f"{good}/{total}"
