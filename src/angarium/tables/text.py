"""The text form of tables: logical lines, quoted keys, and the ``{ }`` lists of main.cf.

A logical line starts with non-space text; a line that starts with white space continues it; empty lines and lines
whose first character is ``#`` are no part of anything (postmap(1), regexp_table(5), cidr_table(5)).
"""

from __future__ import annotations

from collections.abc import Iterator

_SPACE = " \t\r\n"


def logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """``(number of its first line, text)`` of each logical line, joined and without trailing space."""
    start = 0
    parts: list[str] = []
    for number, line in enumerate(text.split("\n"), 1):
        stripped = line.lstrip()
        if not stripped or stripped[0] == "#":
            continue
        if line[0] in " \t" and parts:
            parts.append(line.rstrip())
            continue
        if parts:
            yield start, "".join(parts)
        start, parts = number, [line.rstrip()]
    if parts:
        yield start, "".join(parts)


def split_entry(line: str) -> tuple[str, str]:
    """Take a table line apart into key and value; a key in double quotes may hold white space.

    Raises:
        ValueError: there is no value, or a quote is not closed.
    """
    if line.startswith('"'):
        key, rest = _quoted(line)
        value = rest.strip(_SPACE)
    else:
        pieces = line.split(None, 1)
        key, value = pieces[0] if pieces else "", pieces[1].strip(_SPACE) if len(pieces) > 1 else ""
    if not key or not value:
        raise ValueError("expected format: key whitespace value")
    return key, value


def _quoted(line: str) -> tuple[str, str]:
    out: list[str] = []
    position = 1
    while position < len(line):
        char = line[position]
        if char == '"':
            return "".join(out), line[position + 1 :]
        if char == "\\" and position + 1 < len(line):
            position += 1
            char = line[position]
        out.append(char)
        position += 1
    raise ValueError("a quote is not closed")


def split_list(text: str) -> list[str]:
    """Split at commas and white space outside ``{ }``: ``a, b{c d}`` -> ``["a", "b{c d}"]``.

    Raises:
        ValueError: a brace is not closed.
    """
    items: list[str] = []
    current: list[str] = []
    depth = 0
    for char in text:
        if depth == 0 and (char in _SPACE or char == ","):
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
        return text[1:-1].strip(_SPACE)
    return text
