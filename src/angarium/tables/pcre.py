r"""pcre_table(5): rules with Perl compatible regular expressions.

The flag ``i`` minds the case; ``m`` lets ``^`` and ``$`` match at line ends; ``s`` keeps ``.`` from a line end; ``x``
takes space and comments; ``A`` anchors the expression at the start; ``E`` lets ``$`` match at the very end alone; ``U``
is not greedy.

Expressions are those of PCRE2 where its library is installed (extra ``pcre``), with a limit on the steps of a match.
Else they are those of ``re``, with a limit on its time: nearly the same language, but without ``U``, ``\h``, ``\K``,
recursion and the verbs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

from angarium.tables.interface import Table
from angarium.tables.opener import TableSite
from angarium.tables.posix import CLASSES, ReExpression
from angarium.tables.rules import BadExpressionError, Dialect, Expression, RuleTable, TooLongError

CASELESS, ENDONLY, DOTALL, EXTENDED, MULTILINE = 0x8, 0x10, 0x20, 0x80, 0x400
UNGREEDY, ANCHORED = 0x40000, 0x80000000
"""Flags, with the numbers that PCRE2 has for them."""

STEPS = 100_000
"""The limit on a match: some milliseconds."""

_LIMIT = f"(*LIMIT_MATCH={STEPS})".encode()


def compile_pcre2(library: Any) -> Callable[[str, int], Expression]:
    """What compiles expressions with the library ``pcre2``."""

    def compiled(pattern: str, flags: int) -> Expression:
        anchored = bool(flags & ANCHORED)
        before = len(_LIMIT) + (len(r"\A(?:") if anchored else 0)
        data = (_anchored(pattern, flags) if anchored else pattern).encode("utf-8", "surrogateescape")
        try:
            return _Pcre2Expression(library.compile(_LIMIT + data, flags & ~ANCHORED, jit=False), library.LibraryError)
        except library.PatternError as error:
            what = error.msg.rpartition("; ")[2]
            raise BadExpressionError(f"error in regex at offset {error.pos - before}: {what}") from error

    return compiled


class _Pcre2Expression:
    """An expression of PCRE2."""

    def __init__(self, compiled: Any, failure: type[Exception]) -> None:
        self._search = compiled.search
        self._failure = failure
        self.groups: int = compiled.groups

    def search(self, subject: bytes) -> Sequence[bytes | None] | None:
        """See Expression."""
        try:
            found = self._search(subject)
        except self._failure as error:
            raise TooLongError from error
        return None if found is None else (found[0], *found.groups())


def _anchored(pattern: str, flags: int) -> str:
    """The pattern, only at the start; a comment at its end is closed."""
    return rf"\A(?:{pattern}" + ("\n)" if flags & EXTENDED else ")")


def compile_re(pattern: str, flags: int) -> Expression:
    """Compile an expression with ``re``. Raises BadExpressionError."""
    if flags & UNGREEDY:
        raise BadExpressionError('the option "U" needs the library pcre2: skipping this rule')
    for name, members in CLASSES.items():
        pattern = pattern.replace(name, members)
    bits = 0
    for flag, bit in _FLAGS:
        bits |= bit if flags & flag else 0
    if flags & ENDONLY and not flags & MULTILINE:
        pattern = _END.sub(lambda found: found[1] + r"\Z", pattern)
    if flags & ANCHORED:
        pattern = _anchored(pattern, flags)
    return ReExpression(pattern, bits)


_FLAGS = ((CASELESS, re.IGNORECASE), (DOTALL, re.DOTALL), (EXTENDED, re.VERBOSE), (MULTILINE, re.MULTILINE))
_END = re.compile(r"((?:^|[^\\])(?:\\\\)*)\$")


def _best() -> Callable[[str, int], Expression]:
    try:
        return compile_pcre2(import_module("pcre2"))
    except ImportError:
        return compile_re


def dialect(compile_expression: Callable[[str, int], Expression]) -> Dialect:
    """The dialect, with one of the two ways to compile."""
    return Dialect(
        name="pcre",
        flags={
            "i": CASELESS,
            "m": MULTILINE,
            "s": DOTALL,
            "x": EXTENDED,
            "A": ANCHORED,
            "E": ENDONLY,
            "U": UNGREEDY,
        },
        default=CASELESS | DOTALL,
        obsolete="X",
        compile=compile_expression,
        unclosed="ignoring",
        zero="out of range",
        second=False,
    )


def open_table(name: str, argument: str, site: TableSite) -> Table:
    """Open a pcre table. Raises ValueError and OSError."""
    return RuleTable(name, argument, site, dialect(_best()))
