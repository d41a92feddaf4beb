"""Pages for man(1), made of the pages in Markdown: what ``docs/manual/`` says, in the macros of man(7).

Owns the small part of Markdown that those pages use: headings, paragraphs, lists, code, links, tables. The first line
is ``# name(section)``, the first paragraph says what it is. What it does not know stands as it is, as text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_TITLE = re.compile(r"# ([\w.-]+)\((\d)\)(?:: (.*))?")
_ITEM = re.compile(r"[-*] (.*)")
_TERM = re.compile(r"((?:`[^`]+`[, ]*(?:and |or )?)+): (.*)", re.DOTALL)
_ESCAPED = str.maketrans({"\\": "\\e", "-": "\\-", "`": "\\(ga", "^": "\\(ha", "~": "\\(ti"})
_INLINE = re.compile(r"`([^`]+)`|\*\*([^*]+)\*\*|\[([^\]]+)\]\([^)]*\)")


def roff(markdown: str) -> str:
    """The page, for man(1). Raises ValueError: it does not begin with its name."""
    first, _, rest = markdown.partition("\n")
    title = _TITLE.fullmatch(first)
    if title is None:
        raise ValueError(f"not the title of a page: {first}")
    name, section, about = title.groups()
    blocks = _blocks(rest.splitlines())
    if about is None:
        about = " ".join(next(blocks, ["mail system"]))
    lines = [
        f'.TH {name.upper()} {section} "" Angarium "Angarium"',
        ".SH NAME",
        f"{_plain(name)} \\- {_inline(about.rstrip('.'))}",
        ".SH DESCRIPTION",
    ]
    for block in blocks:
        lines += _block(block)
    return "\n".join(lines) + "\n"


def _blocks(lines: list[str]) -> Iterator[list[str]]:
    """Lines that belong together: a heading, a paragraph, an item of a list, code with its fences, a table."""
    block: list[str] = []
    fenced = False
    for line in lines:
        if line.startswith("```"):
            fenced = not fenced
            if fenced and block:
                yield block
                block = []
            block.append(line)
            if not fenced:
                yield block
                block = []
        elif fenced:
            block.append(line)
        elif not line.strip() or _starts(line):
            if block:
                yield block
            block = [line] if line.strip() else []
        else:
            block.append(line)
    if block:
        yield block


def _starts(line: str) -> bool:
    return line.startswith("#") or _ITEM.match(line) is not None


def _block(block: list[str]) -> Iterator[str]:
    first = block[0]
    if first.startswith("```"):
        yield from (".IP", ".nf", *map(_plain, block[1:-1]), ".fi", ".PP")
    elif first.startswith("|"):
        yield from (".IP", ".nf", *map(_plain, block), ".fi", ".PP")
    elif first.startswith("### "):
        yield f".SS {_inline(first[4:])}"
    elif first.startswith("#"):
        yield f".SH {_inline(first.lstrip('# ')).upper()}"
    elif (item := _ITEM.match(first)) is not None:
        text = " ".join([item[1], *(line.strip() for line in block[1:])])
        term = _TERM.fullmatch(text)
        if term is not None:
            yield from (".TP 8", _inline(term[1]), _inline(term[2]))
        else:
            yield from (".IP \\(bu 2", _inline(text))
    else:
        yield ".PP"
        yield _inline(" ".join(line.strip() for line in block))


def _inline(text: str) -> str:
    parts = []
    at = 0
    for match in _INLINE.finditer(text):
        parts.append(_plain(text[at : match.start()]))
        strong = match[1] or match[2]
        parts.append(f"\\fB{_plain(strong)}\\fR" if strong else _inline(match[3]))
        at = match.end()
    parts.append(_plain(text[at:]))
    line = "".join(parts)
    return f"\\&{line}" if line[:1] in (".", "'") else line


def _plain(text: str) -> str:
    text = text.translate(_ESCAPED)
    return f"\\&{text}" if text[:1] in (".", "'") else text
