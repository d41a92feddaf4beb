"""Patterns of LIST and LSUB (RFC 9051 section 6.3.9): ``*`` stands for anything, ``%`` for anything without ``/``.

A pattern is a nondeterministic automaton whose states are the bits of one number, so that the time is the length of
the name, whatever the pattern: no backtracking. A pattern with more characters than a name can have matches nothing.
"""

from __future__ import annotations

import re

SEPARATOR = "/"
MAX_LITERALS = 1000
"""Characters of a pattern beside its wildcards; the mailstore takes no longer name."""
_WILDCARDS = re.compile(r"[*%]+")
_WILDCARD = re.compile(r"[*%]")


class Pattern:
    """One pattern, made ready to be compared with many names."""

    __slots__ = ("_any", "_end", "_exact", "_level", "_literals", "_nothing", "_prefix", "_suffix", "_wild")

    def __init__(self, text: str) -> None:
        text = _WILDCARDS.sub(_one_wildcard, text)
        self._exact = text if _WILDCARD.search(text) is None else None
        # With wildcards apart from each other there is at most one more of them than of other characters.
        self._nothing = len(text) > 2 * MAX_LITERALS + 1 or len(_WILDCARD.sub("", text)) > MAX_LITERALS
        self._any = self._level = self._wild = 0
        self._literals: dict[str, int] = {}
        self._prefix = self._suffix = ""
        self._end = len(text)
        if self._exact is not None or self._nothing:
            return
        self._prefix, *_middle, self._suffix = _WILDCARD.split(text)
        for at, char in enumerate(text):
            if char == "*":
                self._any |= 1 << at
            elif char == "%":
                self._level |= 1 << at
            else:
                self._literals[char] = self._literals.get(char, 0) | 1 << at
        self._wild = self._any | self._level

    def matches(self, name: str) -> bool:
        """Whether it matches the whole name."""
        if self._exact is not None:
            return name == self._exact
        if self._nothing or not name.startswith(self._prefix) or not name.endswith(self._suffix):
            return False
        wild, stays, literals = self._wild, self._any, self._literals
        states = 1 | (wild & 1) << 1  # a bit for each place in the pattern; a wildcard may stand for nothing
        for char in name:
            kept = states & (stays if char == SEPARATOR else wild)
            states = kept | (states & literals.get(char, 0)) << 1
            states |= (states & wild) << 1
            if not states:
                return False
        return bool(states >> self._end & 1)


def _one_wildcard(run: re.Match[str]) -> str:
    """Of wildcards side by side one is enough."""
    return "*" if "*" in run[0] else "%"
