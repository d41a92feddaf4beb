"""Logical lines: what main.cf, master.cf and Postfix's table files share (postconf(5), "Format").

A logical line starts with text in its first column; a physical line that starts with white space continues it.
Empty lines and lines whose first visible character is ``#`` are left out, also between a line and its continuation.
A continuation with nothing before it to continue is not an error: it is reported and left out, as Postfix does it.

Owns nothing. Never fails: any bytes are a list of logical lines and a list of complaints. Bytes that are not UTF-8
survive as surrogates; a NUL ends a line's text, as it does in Postfix, and a line that begins with one is not empty.
"""

from __future__ import annotations

from typing import NamedTuple


class LogicalLine(NamedTuple):
    """One logical line: its text without the line ends, and the number of its first physical line."""

    text: str
    line: int


class LogicalLines(NamedTuple):
    """The logical lines of a file, and the misplaced continuations that were left out."""

    lines: list[LogicalLine]
    stray: list[LogicalLine]


def decode(data: bytes) -> str:
    """Text of a configuration file; what is not UTF-8 is kept as surrogates."""
    return data.decode("utf-8", "surrogateescape")


def logical_lines(text: str) -> LogicalLines:
    """Join the physical lines of ``text`` into logical lines."""
    lines: list[LogicalLine] = []
    stray: list[LogicalLine] = []
    pieces: list[str] = []
    first = 0
    # A stray continuation swallows the continuations after it: they belong to it and not to an earlier line.
    for number, raw in enumerate(text.split("\n"), 1):
        physical = raw.partition("\0")[0]
        visible = physical.lstrip()
        if (not visible and len(physical) == len(raw)) or visible[:1] == "#":
            continue
        if physical[:1].isspace() and pieces:
            pieces.append(physical)
            continue
        if pieces:
            _keep(lines, stray, pieces, first)
        pieces = [physical]
        first = number
    if pieces:
        _keep(lines, stray, pieces, first)
    return LogicalLines(lines, stray)


def _keep(lines: list[LogicalLine], stray: list[LogicalLine], pieces: list[str], first: int) -> None:
    """File a finished logical line under ``lines`` or, when it continues nothing, under ``stray``."""
    joined = pieces[0] if len(pieces) == 1 else "".join(pieces)
    (stray if joined[:1].isspace() else lines).append(LogicalLine(joined, first))
