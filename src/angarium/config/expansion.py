"""Expansion of ``$name`` in values: the small language of postconf(5).

======================================  ==============================================================
``$name``, ``${name}``, ``$(name)``     the value of ``name``, itself expanded; nothing when undefined
``${name?text}``, ``${name?{text}}``    ``text`` when the value of ``name`` is not empty
``${name:text}``, ``${name:{text}}``    ``text`` when it is empty
``${name?{a}:{b}}``                     ``a`` or ``b``
``${{x} == {y} ? {a} : {b}}``           compare: ``== != < <= >= >``, with both sides expanded
``${{x} >=level {y} ? {a} : {b}}``      compare compatibility levels: 3.6 is below 3.10
``$$``                                  a dollar sign
======================================  ==============================================================

Two sides that are both all digits compare as numbers, else as text. A comparison without branches is ``true`` or
nothing. The parser makes a tree first (``parse``, remembered for texts it has seen); ``Expander`` walks it.

Fails with ConfigError, worded as Postfix words it; never recurses deeper than ``NESTING_LIMIT``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

from angarium.config.error import ConfigError

NESTING_LIMIT = 100
"""How deep names may refer to names. Postfix has the same bound."""

BRACE_LIMIT = 50
"""How deep ``{}`` may nest in one text; it keeps the parser's own recursion bounded."""

_OPERATORS = ("==", "!=", "<=", ">=", "<", ">")
_EXPECTED = '"==" or "!="" or "<"" or "<="" or ">="" or ">"'
_CLOSING = {"{": "}", "(": ")"}


class Literal(NamedTuple):
    """Text that stands for itself."""

    text: str


class Reference(NamedTuple):
    """``$name`` and its conditional forms. A branch of None is absent: the value itself, or nothing."""

    name: str
    plain: bool
    when_set: tuple[Node, ...] | None
    when_empty: tuple[Node, ...] | None


class Comparison(NamedTuple):
    """``${{left} operator {right} ? … : …}``."""

    left: tuple[Node, ...]
    operator: str
    level: bool
    right: tuple[Node, ...]
    when_true: tuple[Node, ...] | None
    when_false: tuple[Node, ...] | None


Node = Literal | Reference | Comparison


@lru_cache(maxsize=4096)
def parse(text: str) -> tuple[Node, ...]:
    """The tree of a text. Raises ConfigError for a malformed reference."""
    return _parse(text, 0)


def _parse(text: str, depth: int) -> tuple[Node, ...]:
    if depth > BRACE_LIMIT:
        raise ConfigError(f'unreasonable macro call nesting: "{text:.100}"')
    if "$" not in text:
        return (Literal(text),) if text else ()
    nodes: list[Node] = []
    at = 0
    while True:
        dollar = text.find("$", at)
        if dollar < 0:
            if at < len(text):
                nodes.append(Literal(text[at:]))
            return tuple(nodes)
        if dollar > at:
            nodes.append(Literal(text[at:dollar]))
        following = text[dollar + 1 : dollar + 2]
        if following == "$":
            nodes.append(Literal("$"))
            at = dollar + 2
        elif following in ("{", "("):
            end = closing(text, dollar + 1)
            if end < 0:
                raise ConfigError(f'truncated macro reference: "{text:.100}"')
            inside = text[dollar + 2 : end]
            if not inside:
                raise ConfigError(f'empty macro name: "{text:.100}"')
            nodes.append(_parse_reference(inside, depth + 1))
            at = end + 1
        else:
            end = _name_end(text, dollar + 1)
            if end == dollar + 1:
                raise ConfigError(f'empty macro name: "{text:.100}"')
            nodes.append(Reference(text[dollar + 1 : end], True, None, None))
            at = end


def closing(text: str, opening: int) -> int:
    """The position of the bracket that closes the one at ``opening``; -1 when nothing does."""
    open_char = text[opening]
    close_char = _CLOSING[open_char]
    level = 0
    at = opening
    while True:
        next_open = text.find(open_char, at)
        next_close = text.find(close_char, at)
        if next_close < 0:
            return -1
        if 0 <= next_open < next_close:
            level += 1
            at = next_open + 1
        else:
            level -= 1
            if level == 0:
                return next_close
            at = next_close + 1


def _is_name_char(char: str) -> bool:
    return char == "_" or (char.isascii() and char.isalnum())


def _name_end(text: str, start: int) -> int:
    end = start
    while end < len(text) and _is_name_char(text[end]):
        end += 1
    return end


def _skip_space(text: str, at: int) -> int:
    while at < len(text) and text[at].isspace():
        at += 1
    return at


def _unexpected(what: str, text: str, at: int) -> ConfigError:
    return ConfigError(f'{what} at: "...{text[max(0, at - 30) : at]}>>>{text[at : at + 20]}"')


def _parse_reference(inside: str, depth: int) -> Node:
    """What stands between ``${`` and ``}``."""
    at = _skip_space(inside, 0)
    if inside[at : at + 1] == "{":
        return _parse_comparison(inside, at, depth)
    end = _name_end(inside, at)
    name = inside[at:end]
    at = _skip_space(inside, end)
    if at == len(inside):
        return Reference(name, True, None, None)
    if not name or inside[at] not in "?:":
        raise _unexpected("attribute name syntax error", inside, end)
    when_set, when_empty = _parse_branches(inside, at, depth)
    return Reference(name, False, when_set, when_empty)


def _parse_comparison(inside: str, at: int, depth: int) -> Comparison:
    left, at = _braced(inside, at, depth)
    at = _skip_space(inside, at)
    operator = next((symbol for symbol in _OPERATORS if inside.startswith(symbol, at)), "")
    if not operator:
        raise _unexpected(f"{_EXPECTED} expected", inside, at)
    at += len(operator)
    level = inside.startswith("level", at)
    if level:
        at += len("level")
    elif at < len(inside) and _is_name_char(inside[at]):
        raise _unexpected(f"{_EXPECTED} expected", inside, at - len(operator))
    opening = _skip_space(inside, at)
    if inside[opening : opening + 1] != "{":
        raise _unexpected('"{expression}" expected', inside, at)
    right, at = _braced(inside, opening, depth)
    at = _skip_space(inside, at)
    if at == len(inside):
        return Comparison(left, operator, level, right, (Literal("true"),), ())
    if inside[at] not in "?:":
        raise _unexpected('"?" expected', inside, at)
    when_true, when_false = _parse_branches(inside, at, depth)
    return Comparison(left, operator, level, right, when_true or (), when_false or ())


def _braced(inside: str, opening: int, depth: int) -> tuple[tuple[Node, ...], int]:
    """The tree of ``{…}`` at ``opening`` and the position behind it."""
    end = closing(inside, opening)
    if end < 0:
        raise ConfigError(f"missing '}}' in \"{inside:.100}\"")
    return _parse(inside[opening + 1 : end], depth + 1), end + 1


def _parse_branches(inside: str, at: int, depth: int) -> tuple[tuple[Node, ...] | None, tuple[Node, ...] | None]:
    """``?{a}:{b}``, ``?a``, ``:b`` at ``at``: the branches for yes and no."""
    positive = inside[at] == "?"
    start = _skip_space(inside, at + 1)
    if inside[start : start + 1] != "{":
        branch = _parse(inside[at + 1 :], depth + 1)  # without braces, blanks are part of the text
        return (branch, None) if positive else (None, branch)
    branch, at = _braced(inside, start, depth)
    at = _skip_space(inside, at)
    if at == len(inside):
        return (branch, None) if positive else (None, branch)
    if not positive:
        raise _unexpected("unexpected input", inside, at)
    if inside[at] != ":":
        raise _unexpected('":" expected', inside, at)
    start = _skip_space(inside, at + 1)
    if inside[start : start + 1] != "{":
        return branch, _parse(inside[at + 1 :], depth + 1)
    other, at = _braced(inside, start, depth)
    at = _skip_space(inside, at)
    if at < len(inside):
        raise _unexpected("unexpected input", inside, at)
    return branch, other


def references(text: str) -> set[str]:
    """The names that a text refers to, in any branch. Raises ConfigError for a malformed reference."""
    names: set[str] = set()
    _collect(parse(text), names)
    return names


def _collect(nodes: tuple[Node, ...], names: set[str]) -> None:
    for node in nodes:
        if isinstance(node, Reference):
            names.add(node.name)
            _collect(node.when_set or (), names)
            _collect(node.when_empty or (), names)
        elif isinstance(node, Comparison):
            _collect(node.left, names)
            _collect(node.right, names)
            _collect(node.when_true or (), names)
            _collect(node.when_false or (), names)


class Expander:
    """Expands texts, asking ``lookup`` for the raw value of a name; None is an undefined name."""

    def __init__(self, lookup: Callable[[str], str | None]) -> None:
        self._lookup = lookup

    def expand(self, text: str) -> str:
        """``text`` with every reference replaced. Raises ConfigError."""
        if "$" not in text:
            return text
        return self._walk(parse(text), 0)

    def _walk(self, nodes: tuple[Node, ...], depth: int) -> str:
        return "".join(node.text if isinstance(node, Literal) else self._value(node, depth) for node in nodes)

    def _value(self, node: Reference | Comparison, depth: int) -> str:
        if isinstance(node, Comparison):
            left, right = self._walk(node.left, depth), self._walk(node.right, depth)
            holds = compare(left, node.operator, right, level=node.level)
            return self._walk((node.when_true if holds else node.when_false) or (), depth)
        if depth >= NESTING_LIMIT:
            raise ConfigError(f'unreasonable macro call nesting: "{node.name}"')
        raw = self._lookup(node.name)
        if node.plain:
            return self._walk(parse(raw), depth + 1) if raw else ""
        # The condition looks at the value as it stands, before expansion: Postfix does so.
        branch = node.when_set if raw else node.when_empty
        return self._walk(branch, depth + 1) if branch else ""


def compare(left: str, operator: str, right: str, *, level: bool = False) -> bool:
    """Compare as ``${{left} operator {right}}`` does."""
    order: int
    if level:
        order = _order(compatibility_level(left), compatibility_level(right))
    elif left.isascii() and left.isdigit() and right.isascii() and right.isdigit():
        order = _order(_number(left), _number(right))
    else:
        order = _order(left, right)
    match operator:
        case "==":
            return order == 0
        case "!=":
            return order != 0
        case "<":
            return order < 0
        case "<=":
            return order <= 0
        case ">":
            return order > 0
        case _:
            return order >= 0


def _number(digits: str) -> tuple[int, str]:
    """A key that orders digit strings as numbers, of any length and without converting them."""
    stripped = digits.lstrip("0")
    return len(stripped), stripped


def _order(left: str | tuple[int, ...] | tuple[int, str], right: str | tuple[int, ...] | tuple[int, str]) -> int:
    """-1, 0 or 1. Both sides are of one kind."""
    if left == right:
        return 0
    return 1 if left > right else -1  # type: ignore[operator]  # one kind, as said


def compatibility_level(text: str) -> tuple[int, int, int]:
    """Parse ``major[.minor[.patch]]``. Raises ConfigError."""
    parts = text.split(".")
    if len(parts) > 3 or not all(part.isascii() and part.isdigit() and len(part) < 6 for part in parts):
        raise ConfigError(f'malformed compatibility level syntax: "{text:.100}"')
    numbers = [int(part) for part in parts] + [0, 0]
    return numbers[0], numbers[1], numbers[2]
