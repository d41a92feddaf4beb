r"""Tables of patterns, asked in the order of their lines: regexp (and pcre, with the same engine), cidr.

regexp_table(5): ``/pattern/flags result``, ``!/pattern/flags result``, ``if`` and ``endif``; ``$1`` ``${1}`` ``$(1)``
stand for what parentheses matched, ``$$`` for a dollar sign. The flag ``i`` turns the case-insensitive match off, ``m``
turns multi-line mode on for regexp, ``x`` turns basic expressions on. cidr_table(5): ``network result``.

A rule that is wrong is skipped and reported through ``warn``; the others hold. A key is cut at ``KEY_LIMIT``
characters before a regular expression sees it, and matching that takes too long (``patience``) is a temporary error.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Generic, TypeVar

from angarium.model.lookup import NOT_FOUND, Found, Lookup, TemporaryError
from angarium.tables.patience import OutOfPatienceError, limited
from angarium.tables.text import logical_lines, split_list, unbrace
from angarium.tables.watch import WatchedFile

R = TypeVar("R")

KEY_LIMIT = 4096
_SUBSTITUTION = re.compile(r"\$(?:\$|(\d+)|\{(\d+)\}|\((\d+)\))")
_POSIX_CLASSES = {
    "[:alpha:]": "a-zA-Z",
    "[:digit:]": "0-9",
    "[:alnum:]": "a-zA-Z0-9",
    "[:upper:]": "A-Z",
    "[:lower:]": "a-z",
    "[:space:]": r"\s",
    "[:blank:]": r" \t",
    "[:xdigit:]": "0-9A-Fa-f",
    "[:punct:]": r"!-/:-@\[-`{-~",
    "[:cntrl:]": r"\x00-\x1f\x7f",
    "[:print:]": r"\x20-\x7e",
    "[:graph:]": r"\x21-\x7e",
}


@dataclass(frozen=True, slots=True)
class _RegexpRule:
    expression: re.Pattern[str]
    negated: bool
    result: str
    conditions: tuple[_Condition, ...]
    source: str


@dataclass(frozen=True, slots=True)
class _Condition:
    expression: re.Pattern[str]
    negated: bool

    def holds(self, key: str) -> bool:
        return (self.expression.search(key) is None) == self.negated


@dataclass(frozen=True, slots=True)
class _CidrRule:
    network: IPv4Network | IPv6Network
    negated: bool
    result: str
    conditions: tuple[tuple[IPv4Network | IPv6Network, bool], ...]
    source: str


def _expression(text: str) -> tuple[re.Pattern[str], bool, str]:
    """``[!]/pattern/flags rest`` -> (expression, negated, rest)."""
    body = text.lstrip("! \t")
    negated = text[: len(text) - len(body)].count("!") % 2 == 1
    if not body or body[0].isalnum():
        raise ValueError("no regexp: skipping this rule")
    delimiter = body[0]
    position = 1
    while position < len(body) and body[position] != delimiter:
        position += 2 if body[position] == "\\" else 1
    if position >= len(body):
        raise ValueError(f'no closing regexp delimiter "{delimiter}": ignoring this rule')
    pattern = body[1:position].replace("\\" + delimiter, delimiter) if delimiter != "\\" else body[1:position]
    tail = body[position + 1 :]
    pieces = tail.split(None, 1)
    flag_text, rest = ("", tail) if not pieces or tail[0].isspace() else (pieces[0], "".join(pieces[1:]))
    flags = re.IGNORECASE | re.DOTALL  # header_checks look at headers of several lines
    for flag in flag_text:
        if flag == "i":
            flags ^= re.IGNORECASE
        elif flag in "ms":
            flags ^= re.MULTILINE if flag == "m" else re.DOTALL
        elif flag not in "xAEUX":
            raise ValueError(f"unknown regexp option '{flag}': skipping this rule")
    for name, members in _POSIX_CLASSES.items():
        pattern = pattern.replace(name, members)
    try:
        return re.compile(pattern, flags), negated, rest.strip()
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"bad regexp: {error}: skipping this rule") from error


class RegexpTable:
    """``regexp:/file`` or ``regexp:{{/pattern/ result}, …}``."""

    pattern = True

    def __init__(self, name: str, argument: str, warn: Callable[[str], None]) -> None:
        self.name = name
        self._warn = warn
        self._rules: _Rules[_RegexpRule] = _Rules(name, argument, self._parse)

    def _parse(self, lines: Sequence[tuple[str, str]]) -> tuple[_RegexpRule, ...]:
        rules: list[_RegexpRule] = []
        conditions: list[_Condition] = []
        for source, line in lines:
            try:
                self._parse_line(source, line, rules, conditions)
            except ValueError as error:
                self._warn(f"{self.name.partition(':')[0]} map {source.replace(':', ', line ')}: {error}")
        return tuple(rules)

    @staticmethod
    def _parse_line(source: str, line: str, rules: list[_RegexpRule], conditions: list[_Condition]) -> None:
        word = line.split(" ", 1)[0].lower()
        if word == "endif":
            if not conditions:
                raise ValueError("ignoring ENDIF without matching IF")
            conditions.pop()
        elif word == "if" or word.startswith("if/"):
            expression, negated, _ = _expression(line[2:].lstrip())
            conditions.append(_Condition(expression, negated))
        else:
            expression, negated, result = _expression(line)
            if not result:
                raise ValueError("using empty result is not allowed: skipping this rule")
            rules.append(_RegexpRule(expression, negated, result, tuple(conditions), source))

    async def lookup(self, key: str) -> Lookup:
        """The result of the first rule that matches."""
        try:
            rules = self._rules.current()
        except OSError as error:
            return TemporaryError(f"open {self.name}: {error.strerror}", self.name)
        subject = key[:KEY_LIMIT]
        try:
            with limited():
                return self._search(rules, subject)
        except OutOfPatienceError:
            return TemporaryError(f"a regular expression takes too long for {subject[:100]!r}", self.name)

    @staticmethod
    def _search(rules: Sequence[_RegexpRule], subject: str) -> Lookup:
        for rule in rules:
            match = rule.expression.search(subject)
            if (match is None) == rule.negated and all(each.holds(subject) for each in rule.conditions):
                return Found(_substitute(rule.result, match), rule.source)
        return NOT_FOUND


def _substitute(result: str, match: re.Match[str] | None) -> str:
    def group(found: re.Match[str]) -> str:
        digits = found[1] or found[2] or found[3]
        if digits is None:
            return "$"
        number = int(digits)
        return (match[number] or "") if match is not None and number <= match.re.groups else ""

    return _SUBSTITUTION.sub(group, result) if "$" in result else result


class CidrTable:
    """``cidr:/file`` or ``cidr:{{network result}, …}``."""

    pattern = True

    def __init__(self, name: str, argument: str, warn: Callable[[str], None]) -> None:
        self.name = name
        self._warn = warn
        self._rules: _Rules[_CidrRule] = _Rules(name, argument, self._parse)

    def _parse(self, lines: Sequence[tuple[str, str]]) -> tuple[_CidrRule, ...]:
        rules: list[_CidrRule] = []
        conditions: list[tuple[IPv4Network | IPv6Network, bool]] = []
        for source, line in lines:
            try:
                self._parse_line(source, line, rules, conditions)
            except ValueError as error:
                self._warn(f"cidr map {source.replace(':', ', line ')}: {error}: skipping this rule")
        return tuple(rules)

    @staticmethod
    def _parse_line(
        source: str, line: str, rules: list[_CidrRule], conditions: list[tuple[IPv4Network | IPv6Network, bool]]
    ) -> None:
        words = line.split(" ", 1)
        if words[0].lower() == "endif":
            if not conditions:
                raise ValueError("ENDIF without matching IF")
            conditions.pop()
            return
        is_if = words[0].lower() == "if" and len(words) == 2
        text = words[1] if is_if else line
        body = text.lstrip("! \t")
        negated = text[: len(text) - len(body)].count("!") % 2 == 1
        address, _, result = body.partition(" ") if "\t" not in body else body.replace("\t", " ").partition(" ")
        network = ip_network(address.replace("[", "").replace("]", ""), strict=True)
        if is_if:
            conditions.append((network, negated))
        elif not result.strip():
            raise ValueError("no lookup result")
        else:
            rules.append(_CidrRule(network, negated, result.strip(), tuple(conditions), source))

    async def lookup(self, key: str) -> Lookup:
        """The result of the first rule whose network holds the address; other keys are never found."""
        try:
            address = ip_address(key)
        except ValueError:
            return NOT_FOUND
        try:
            rules = self._rules.current()
        except OSError as error:
            return TemporaryError(f"open {self.name}: {error.strerror}", self.name)
        for rule in rules:
            if (address in rule.network) != rule.negated and all(
                (address in network) != negated for network, negated in rule.conditions
            ):
                return Found(rule.result, rule.source)
        return NOT_FOUND


class _Rules(Generic[R]):
    """The rules of a pattern table, out of its file or its ``{ }`` argument."""

    __slots__ = ("_file", "_fixed")

    def __init__(self, name: str, argument: str, parse: Callable[[Sequence[tuple[str, str]]], tuple[R, ...]]) -> None:
        self._file: WatchedFile[tuple[R, ...]] | None = None
        self._fixed: tuple[R, ...] = ()
        if argument.startswith("{"):
            self._fixed = parse([(name, unbrace(item)) for item in split_list(unbrace(argument))])
        else:
            path = Path(argument)
            self._file = WatchedFile(
                path, lambda text: parse([(f"{path}:{number}", line) for number, line in logical_lines(text)])
            )

    def current(self) -> tuple[R, ...]:
        return self._fixed if self._file is None else self._file.current()
