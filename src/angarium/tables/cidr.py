"""cidr_table(5): networks and the results for addresses in them, in the order of their lines.

``network result``, ``!network result``, and ``if [!]network`` … ``endif``. A network has a length or is one address;
IPv6 may stand in ``[ ]``. A rule that is wrong, as one with host bits set, is skipped and reported through ``warn``. A
key that is no address, as Postfix writes them, is not found.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from angarium.model.lookup import NOT_FOUND, Found, Lookup, TemporaryError
from angarium.tables.interface import Table
from angarium.tables.lines import RuleLines
from angarium.tables.opener import TableSite
from angarium.tables.text import SPACE

_BLANK = re.compile(rf"[{SPACE}]+")


@dataclass(slots=True)
class _Rule:
    """A rule, or a condition: ``result`` is None, and where it fails the search goes on at ``after``."""

    network: int
    mask: int
    bits: int
    negated: bool
    result: str | None
    source: str
    after: int = 0

    def matches(self, address: int, bits: int) -> bool:
        return bits == self.bits and (address & self.mask == self.network) != self.negated


def _packed(text: str) -> tuple[int, int] | None:
    """An address as a number, and how many bits it has."""
    family = socket.AF_INET6 if ":" in text else socket.AF_INET
    try:
        packed = socket.inet_pton(family, text)
    except (OSError, ValueError):
        return None
    return int.from_bytes(packed, "big"), 8 * len(packed)


def _network(text: str) -> tuple[int, int, int]:
    """``(network, mask, bits)``. Raises ValueError."""
    body = text
    if text.startswith("["):
        inside, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith("/")):
            raise ValueError(f'bad address pattern: "{text}"')
        body = inside + rest
    address, slash, length_text = body.partition("/")
    packed = _packed(address)
    if slash and not (length_text.isascii() and length_text.isdigit()):
        raise ValueError(f'bad mask value in "{text}"')
    if packed is None:
        raise ValueError(f'bad address pattern: "{text}"')
    number, bits = packed
    length = int(length_text[:9]) if slash else bits
    if length > bits:
        raise ValueError(f'bad mask length in "{text}"')
    mask = (1 << bits) - (1 << (bits - length))
    if number & ~mask:
        family = socket.AF_INET6 if bits == 128 else socket.AF_INET
        meant = socket.inet_ntop(family, (number & mask).to_bytes(bits // 8, "big"))
        raise ValueError(f'non-null host address bits in "{text}", perhaps you should use "{meant}/{length}" instead')
    return number, mask, bits


def _parse(title: str, warn: Callable[[str], None], lines: Sequence[tuple[int, str, str]]) -> tuple[_Rule, ...]:
    rules: list[_Rule] = []
    opened: list[tuple[_Rule, int]] = []
    for number, line, source in lines:
        try:
            _parse_line(line.rstrip(SPACE), source, number, rules, opened)
        except ValueError as error:
            warn(f"{title}, line {number}: {error}: skipping this rule")
    for condition, number in reversed(opened):
        condition.after = len(rules)
        warn(f"{title}, line {number}: IF has no matching ENDIF")
    return tuple(rules)


def _parse_line(line: str, source: str, number: int, rules: list[_Rule], opened: list[tuple[_Rule, int]]) -> None:
    if line[:5].lower() == "endif" and not line[5:6].isalnum():
        if line[5:].strip(SPACE):
            raise ValueError("garbage after ENDIF")
        if not opened:
            raise ValueError("ENDIF without IF")
        opened.pop()[0].after = len(rules)
        return
    is_condition = line[:2].lower() == "if" and not line[2:3].isalnum()
    text = line[2:].lstrip(SPACE) if is_condition else line
    body = text.lstrip("!" + SPACE)
    negated = text[: len(text) - len(body)].count("!") % 2 == 1
    if is_condition:
        address, result = body, None
    else:
        address, *rest = _BLANK.split(body, 1)
        result = rest[0] if rest else ""
    if not address:
        raise ValueError("no address pattern")
    network, mask, bits = _network(address)
    if result == "":
        raise ValueError("no lookup result")
    rule = _Rule(network, mask, bits, negated, result, source)
    if is_condition:
        opened.append((rule, number))
    rules.append(rule)


class CidrTable:
    """``cidr:/file`` or ``cidr:{{network result}, …}``. Raises ValueError and OSError as ``RuleLines`` does."""

    pattern = True

    def __init__(self, name: str, argument: str, site: TableSite) -> None:
        self.name = name
        title = f"cidr map {argument}"
        self._rules: RuleLines[_Rule] = RuleLines(
            "cidr", name, argument, site, lambda lines: _parse(title, site.warn, lines)
        )

    async def lookup(self, key: str) -> Lookup:
        """The result of the first rule that the address matches."""
        packed = _packed(key)
        if packed is None:
            return NOT_FOUND
        try:
            rules = self._rules.current()
        except OSError as error:
            return TemporaryError(f"open {self._rules.argument}: {error.strerror}", self.name)
        address, bits = packed
        position = 0
        while position < len(rules):
            rule = rules[position]
            matches = rule.matches(address, bits)
            if matches and rule.result is not None:
                return Found(rule.result, rule.source)
            position = rule.after if rule.result is None and not matches else position + 1
        return NOT_FOUND


def open_table(name: str, argument: str, site: TableSite) -> Table:
    """Open a cidr table. Raises ValueError and OSError."""
    return CidrTable(name, argument, site)
