"""The text form of tables: logical lines, entries with quoted keys, and the ``{ }`` lists of main.cf.

A logical line starts with non-space text; a line that starts with white space continues it; empty lines and lines
whose first non-space character is ``#`` are no part of anything (postmap(1), regexp_table(5), cidr_table(5)). White
space is that of ASCII, so that a no-break space is a part of a word as in Postfix. What follows a NUL in a line is not
seen.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

SPACE = " \t\n\v\f\r"
_NOT_A_LINE = -1
_BLANK = re.compile(rf"[{SPACE}]")
_UNDELIMITED = re.compile(rf'(?:[^"\\{SPACE}]|\\.?|"(?:[^"\\]|\\.)*")*', re.DOTALL)


def logical_lines(
    text: str | Iterable[str], complain: Callable[[str], None] | None = None
) -> Iterator[tuple[int, str]]:
    """``(number of its first line, text)`` of each logical line, without its line ends.

    Args:
        text: what the file holds, or its lines.
        complain: takes what is wrong with a line that starts with white space and continues nothing. Such a line and
            what continues it are left out.
    """
    start = 0
    parts: list[str] = []
    for number, raw in enumerate(_lines(text) if isinstance(text, str) else text, 1):
        line = raw.rstrip("\n")
        if not line:
            continue
        first = line[0]
        if first in SPACE:
            stripped = line.lstrip(SPACE)
            if not stripped or stripped[0] == "#":
                continue
            if start:
                parts.append(line)
                continue
            start, parts = _NOT_A_LINE, [line]
            if complain is not None:
                shown = line if len(line) <= 30 else f"{line[:30]}..."
                complain(f'logical line must not start with whitespace: "{shown}"')
            continue
        if first == "#":
            continue
        if start > 0:
            yield start, _joined(parts)
        start, parts = number, [line]
    if start > 0:
        yield start, _joined(parts)


def _lines(text: str) -> Iterator[str]:
    """One after the other: a list of them all takes more memory than the text."""
    position = 0
    while (end := text.find("\n", position)) >= 0:
        yield text[position:end]
        position = end + 1
    yield text[position:]


def _joined(parts: list[str]) -> str:
    line = parts[0] if len(parts) == 1 else "".join(parts)
    return line.partition("\0")[0] if "\0" in line else line


def split_entry(line: str) -> tuple[str, str]:
    """Take a table line apart into key and value, at the first white space outside of double quotes.

    The quotes stay in the key, as in Postfix: it asks for a quoted local part with its quotes.

    Raises:
        ValueError: there is no value, or a quote is not closed.
    """
    if '"' in line or "\\" in line:
        end = _key_end(line)
        key, value = line[:end], line[end:].strip(SPACE)
    else:
        pieces = _BLANK.split(line, 1)
        key, value = pieces[0], pieces[1].strip(SPACE) if len(pieces) > 1 else ""
    if not key or not value:
        raise ValueError("expected format: key whitespace value")
    return key, value


def _key_end(line: str) -> int:
    """Where the key ends. Raises ValueError for a quote that is not closed."""
    found = _UNDELIMITED.match(line)
    end = found.end() if found else 0
    if end < len(line) and line[end] == '"':
        raise ValueError(f"unbalanced '\"' in '{line}' -- ignoring this line")
    return end


def split_list(text: str) -> list[str]:
    """Split at commas and white space outside ``{ }``: ``a, b{c d}`` -> ``["a", "b{c d}"]``.

    Raises:
        ValueError: a brace is not closed.
    """
    items: list[str] = []
    current: list[str] = []
    depth = 0
    for char in text:
        if depth == 0 and (char in SPACE or char == ","):
            if current:
                items.append("".join(current))
                current = []
            continue
        if char == "{":
            depth += 1
        elif char == "}" and depth:
            depth -= 1
        current.append(char)
    if depth:
        raise ValueError("missing '}'")
    if current:
        items.append("".join(current))
    return items


def unbrace(text: str) -> str:
    """Take one pair of outer braces and the white space inside it off: ``{ a b }`` -> ``a b``."""
    if text.startswith("{") and text.endswith("}"):
        return text[1:-1].strip(SPACE)
    return text
