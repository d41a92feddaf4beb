"""The entries of aliases(5), as postalias(1) reads them: ``name: value, value``.

A line is taken apart into the words of RFC 822: atoms, quoted strings, comments, domain literals, and the special
characters. What stands before the first colon is the name, without its quotes; what follows is the value, with one
space between its words and after each comma, whatever was there before.
"""

from __future__ import annotations

from collections.abc import Container, Sequence

from angarium.tables.text import SPACE

_OPERATORS = frozenset("<>@,;:.|)]")
_SPECIALS = _OPERATORS | frozenset('"([\\') | frozenset(SPACE)
_NORMAL = str.maketrans(dict.fromkeys(SPACE, " "))

_Word = tuple[str, str]
"""``("", text)`` of an atom, ``('"', text)`` of a quoted string or an atom that has to be one, ``("[", text)`` of a
domain literal, ``("(", whole text)`` of a comment, ``(special character, "")``."""


def split_alias(line: str) -> tuple[str, str]:
    """The name and the value of an alias.

    Raises:
        ValueError: it is none: ``need name:value pair``, ``name must be local``.
    """
    words = _words(line)
    colon = next((index for index, word in enumerate(words) if word == (":", "")), 0)
    if not colon or colon + 1 == len(words) or (",", "") in words[:colon]:
        raise ValueError("need name:value pair")
    if ("@", "") in words[:colon]:
        raise ValueError("name must be local")
    return _text(words[:colon], quoted=False), _text(words[colon + 1 :], quoted=True)


def _words(line: str) -> list[_Word]:
    words: list[_Word] = []
    at = 0
    while at < len(line):
        char = line[at]
        if char in SPACE:
            at += 1
        elif char == '"':
            text, at = _until(line, at + 1, '"')
            words.append((char, text))
            at += 1
        elif char == "[":
            text, at = _until(line, at + 1, "]")
            words.append((char, text))
            at += 1
        elif char == "(":
            end = _comment_end(line, at)
            words.append((char, line[at:end]))
            at = end
        elif char in _OPERATORS:
            words.append((char, ""))
            at += 1
        else:
            text, at = _until(line, at, _SPECIALS)
            words.append(('"' if _SPECIALS.intersection(text) else "", text))
    return words


def _until(line: str, at: int, end: Container[str]) -> tuple[str, int]:
    """The text up to one of the characters in ``end``, without its backslashes, and where it ended."""
    out: list[str] = []
    while at < len(line):
        char = line[at]
        if char == "\\":
            at += 1
            if at == len(line):
                break
            char = line[at]
        elif char in end:
            break
        out.append(char)
        at += 1
    return "".join(out).translate(_NORMAL), at


def _comment_end(line: str, at: int) -> int:
    """Behind the parenthesis that closes a comment, or the end of the line."""
    depth = 0
    while at < len(line):
        char = line[at]
        at += 2 if char == "\\" else 1
        if char == "(":
            depth += 1
        elif char == ")":
            depth -= 1
            if not depth:
                break
    return min(at, len(line))


def _text(words: Sequence[_Word], *, quoted: bool) -> str:
    out: list[str] = []
    for index, (kind, text) in enumerate(words):
        if kind == '"':
            inner = text.replace("\\", "\\\\").replace('"', '\\"')
            out.append(f'"{inner}"' if quoted else text)
        elif kind == "[":
            out.append(f"[{text}]")
        else:
            out.append(text or kind)
        following = words[index + 1][0] if index + 1 < len(words) else ">"
        apart = kind not in _OPERATORS and following not in _OPERATORS
        if kind == "," or apart or following == "<":
            out.append(" ")
    return "".join(out)
