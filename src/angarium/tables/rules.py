r"""Tables of rules with regular expressions: what regexp_table(5) and pcre_table(5) have in common.

=============================  ==================================================================================
``/pattern/flags result``      the first rule that matches has the result
``!/pattern/flags result``     one that matches where the pattern does not
``/one/!/two/ result``         (regexp) one that matches where the first pattern does and the second does not
``if /pattern/flags``          the rules up to ``endif`` count only where the pattern matches; ``!`` turns that round
=============================  ==================================================================================

Any character that is no letter or digit may stand for the slash. In a result ``$1``, ``${1}`` and ``$(1)`` are what the
parentheses have matched, ``$$`` is a dollar sign. Expressions see bytes, not characters, and no case where the flag
``i`` is not given: as in Postfix.

A rule that is wrong is skipped and reported through ``warn``, in Postfix's words; the others hold. A key is cut at
``KEY_LIMIT`` bytes. An expression that takes too long is a temporary error.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from angarium.model.lookup import NOT_FOUND, Found, Lookup, TemporaryError
from angarium.tables.lines import RuleLines
from angarium.tables.opener import TableSite
from angarium.tables.text import SPACE

KEY_LIMIT = 102400
"""Bytes: no more of a key is looked at (header_size_limit)."""

_MACRO = re.compile(r"\$(?:\$|\{([^{}()]*)\}|\(([^{}()]*)\)|(\w+)|)", re.ASCII)


class TooLongError(Exception):
    """An expression took too much time."""


class BadExpressionError(Exception):
    """An expression that is wrong; the text says in what."""


class Expression(Protocol):
    """A compiled expression."""

    @property
    def groups(self) -> int:
        """How many parentheses can be referred to."""
        ...

    def search(self, subject: bytes) -> Sequence[bytes | None] | None:
        """The whole match and what each parenthesis has matched; None: no match. Raises TooLongError."""
        ...


@dataclass(frozen=True, slots=True)
class Dialect:
    """What tells the two types of table apart.

    Attributes:
        name: ``regexp``, ``pcre``.
        flags: the letters, and the bit that each turns over.
        default: the bits that are set without any.
        obsolete: letters that are ignored with a warning.
        compile: ``(pattern, bits)`` to an expression. Raises BadExpressionError.
        unclosed: what is said of a rule without its second delimiter.
        zero: what is said of ``$0``.
        second: a rule may have a second pattern.
    """

    name: str
    flags: Mapping[str, int]
    default: int
    obsolete: str
    compile: Callable[[str, int], Expression]
    unclosed: str
    zero: str
    second: bool


class _SkipError(ValueError):
    """The rule is skipped; the texts are for the log."""

    def __init__(self, *faults: str) -> None:
        super().__init__(*faults)
        self.faults = faults


@dataclass(frozen=True, slots=True)
class _Pattern:
    text: str
    flags: int
    negated: bool


@dataclass(slots=True)
class _Rule:
    """A rule, or a condition: ``template`` is None, and where it fails the search goes on at ``after``."""

    expression: Expression
    negated: bool
    template: tuple[str | int, ...] | None
    source: str
    after: int = 0
    second: Expression | None = None

    def matches(self, subject: bytes) -> Sequence[bytes | None] | None:
        groups = self.expression.search(subject)
        if self.negated:
            return () if groups is None else None
        if groups is not None and self.second is not None and self.second.search(subject) is not None:
            return None
        return groups


class _Parser:
    """Reads the lines of one table."""

    def __init__(self, dialect: Dialect, title: str, warn: Callable[[str], None], *, substitutes: bool) -> None:
        self._dialect = dialect
        self._substitutes = substitutes
        self._title = title
        self._warn = warn
        self._number = 0
        self._open: list[tuple[_Rule, int]] = []
        self.rules: list[_Rule] = []

    def parse(self, lines: Sequence[tuple[int, str, str]]) -> tuple[_Rule, ...]:
        for number, line, source in lines:
            self._number = number
            try:
                self._line(line, source)
            except _SkipError as error:
                for fault in error.faults:
                    self._complain(fault)
        for condition, number in reversed(self._open):
            condition.after = len(self.rules)
            self._number = number
            self._complain("IF has no matching ENDIF")
        return tuple(self.rules)

    def _complain(self, fault: str) -> None:
        if fault.startswith(("truncated macro", "empty macro")):
            self._warn(fault)
        else:
            self._warn(f"{self._title}, line {self._number}: {fault}")

    def _line(self, line: str, source: str) -> None:
        if not line[:1].isalnum():
            self._rule(line, source)
        elif line[:2].lower() == "if" and not line[2:3].isalnum():
            self._condition(line[2:].lstrip(SPACE), source)
        elif line[:5].lower() == "endif" and not line[5:6].isalnum():
            if not self._open:
                raise _SkipError("ignoring ENDIF without matching IF")
            self._open.pop()[0].after = len(self.rules)
            if line[5:].strip(SPACE):
                self._complain("ignoring extra text after ENDIF")
        else:
            raise _SkipError("ignoring unrecognized request")

    def _rule(self, line: str, source: str) -> None:
        pattern, rest = self._pattern(line)
        second: _Pattern | None = None
        if self._dialect.second and rest.startswith("!"):
            second, rest = self._pattern(rest)
        text = rest.strip(SPACE)
        if not text:
            self._complain("no replacement text: using empty string")
        template = self._template(text)
        highest = max((part for part in template if isinstance(part, int)), default=0)
        if highest and not self._substitutes:
            raise _SkipError("regular expression substitution is not allowed: skipping this rule")
        if highest and pattern.negated:
            raise _SkipError("$number found in negative match replacement text: skipping this rule")
        expression = self._compile(pattern)
        if highest > expression.groups:
            raise _SkipError(f'out of range replacement index "{highest}": skipping this rule')
        other = None if second is None else self._compile(second)
        self.rules.append(_Rule(expression, pattern.negated, template, source, second=other))

    def _condition(self, line: str, source: str) -> None:
        pattern, rest = self._pattern(line)
        text = rest.strip(SPACE)
        if text:
            self._complain(f'ignoring extra text after IF statement: "{text}"')
            self._complain("do not prepend whitespace to statements between IF and ENDIF")
        condition = _Rule(self._compile(pattern), pattern.negated, None, source)
        self.rules.append(condition)
        self._open.append((condition, self._number))

    def _compile(self, pattern: _Pattern) -> Expression:
        try:
            return self._dialect.compile(pattern.text, pattern.flags)
        except BadExpressionError as error:
            raise _SkipError(str(error)) from error

    def _pattern(self, line: str) -> tuple[_Pattern, str]:
        """``!/pattern/flags rest``."""
        dialect = self._dialect
        body = line.lstrip("!" + SPACE)
        negated = line[: len(line) - len(body)].count("!") % 2 == 1
        if not body:
            raise _SkipError("no regexp: skipping this rule")
        delimiter = body[0]
        end = 1
        while end < len(body) and body[end] != delimiter:
            end += 2 if body[end] == "\\" else 1
        if end >= len(body):
            raise _SkipError(f'no closing regexp delimiter "{delimiter}": {dialect.unclosed} this rule')
        position = end + 1
        flags = dialect.default
        while position < len(body) and body[position] not in SPACE + ("!" if dialect.second else ""):
            letter = body[position]
            position += 1
            if letter in dialect.flags:
                flags ^= dialect.flags[letter]
            elif letter in dialect.obsolete:
                self._complain(f'ignoring obsolete regexp option "{letter}"')
            else:
                raise _SkipError(f'unknown regexp option "{letter}": skipping this rule')
        return _Pattern(body[1:end], flags, negated), body[position:]

    def _template(self, text: str) -> tuple[str | int, ...]:
        """The literal parts of a result, and the numbers of the groups between them."""
        if "$" not in text:
            return (text,)
        parts: list[str | int] = []
        position = 0
        for found in _MACRO.finditer(text):
            parts.append(text[position : found.start()])
            position = found.end()
            name = next((each for each in found.groups() if each is not None), None)
            if found[0] == "$$":
                parts.append("$")
            elif name:
                parts.append(self._index(name))
            elif name is None and text[position : position + 1] in ("{", "("):
                raise _SkipError(f'truncated macro reference: "{text[found.start() :]}"', _BAD)
            else:
                raise _SkipError(f'empty macro name: "{text[found.start() :]}"', _BAD)
        parts.append(text[position:])
        return tuple(part for part in parts if part != "")

    def _index(self, name: str) -> int:
        if not (name.isascii() and name.isdigit()):
            raise _SkipError(f'non-numeric replacement index "{name}"', _BAD)
        if int(name[:9]) == 0:
            raise _SkipError(f'{self._dialect.zero} replacement index "{name}"', _BAD)
        return int(name[:9])


_BAD = "bad replacement syntax: skipping this rule"


class RuleTable:
    """``regexp:`` and ``pcre:``, with a file or with ``{{/pattern/ result}, …}``.

    Raises:
        ValueError: the rules between braces are not of that form.
        OSError: the file cannot be read, and the table is opened by a command.
    """

    pattern = True

    def __init__(self, name: str, argument: str, site: TableSite, dialect: Dialect) -> None:
        self.name = name
        self._warn = site.warn
        title = f"{dialect.name} map {argument}"

        def parse(lines: Sequence[tuple[int, str, str]]) -> tuple[_Rule, ...]:
            return _Parser(dialect, title, site.warn, substitutes=site.substitutes).parse(lines)

        self._title = title
        self._rules = RuleLines(dialect.name, name, argument, site, parse)

    async def lookup(self, key: str) -> Lookup:
        """The result of the first rule that matches."""
        try:
            rules = self._rules.current()
        except OSError as error:
            return TemporaryError(f"open {Path(self._rules.argument)}: {error.strerror}", self.name)
        subject = key.encode("utf-8", "surrogateescape")[:KEY_LIMIT]
        position = 0
        while position < len(rules):
            rule = rules[position]
            try:
                groups = rule.matches(subject)
            except TooLongError:
                self._warn(f"{rule.source}: an expression takes too long for a key; its mail has to wait")
                return TemporaryError(f"an expression takes too long for {key[:100]!r}", rule.source)
            if groups is not None and rule.template is not None:
                return Found(_fill(rule.template, groups), rule.source)
            position = rule.after if groups is None and rule.template is None else position + 1
        return NOT_FOUND


def _fill(template: tuple[str | int, ...], groups: Sequence[bytes | None]) -> str:
    if not template:
        return ""
    if len(template) == 1 and isinstance(template[0], str):
        return template[0]
    return "".join(
        part if isinstance(part, str) else (groups[part] or b"").decode("utf-8", "surrogateescape") for part in template
    )
