"""The addresses in the headers of local clients' mail, completed where they stand (trivial-rewrite(8), cleanup(8)).

``To: joe`` of a local user becomes ``To: joe@$myorigin``. Only the address itself is replaced; names, comments, folding
and everything else stay byte for byte, and a header whose addresses are whole is not touched. What is no address (two
words without brackets) stays.

Linear in the size of the header. Syntax: RFC 5322 section 3.4, with comments and white space anywhere.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from angarium.cleanup.headers import HeaderBlock
from angarium.cleanup.received import quote_local

_PLAIN_NAMES = (b"from", b"sender", b"reply-to", b"to", b"cc")
NAMES = (
    *_PLAIN_NAMES,
    *(b"resent-" + name for name in _PLAIN_NAMES),
    *(b"errors-to", b"return-receipt-to", b"disposition-notification-to", b"mail-followup-to", b"apparently-to"),
)
"""The headers that hold addresses, as Postfix has them; ``bcc`` is taken out anyway."""

_TOKEN = re.compile(
    rb'(?P<blank>[ \t\r\n]+)|(?P<quoted>"(?:[^"\\]|\\.)*")|(?P<literal>\[[^\[\]\r\n]*\])|(?P<special>[<>,:;@.()])'
    rb'|(?P<atom>(?:[^ \t\r\n"\[<>,:;@.()\\]|\\.)+)|(?P<other>.)',
    re.DOTALL,
)
_WHOLE = re.compile(rb"[^@!%\s]+@(?:[^@\s.]+\.[^@\s]*[^@\s.]|\[[^@\s]+\])")
_ESCAPE = re.compile(rb"\\(.)", re.DOTALL)

Edit = tuple[int, int, bytes]
"""Bytes ``start`` to ``stop`` of the header block, and what stands there instead."""

_Word = tuple[int, int, str, bytes]
"""Start, stop, kind and bytes of a token."""


def address_edits(header: HeaderBlock, rewrite: Callable[[str], str]) -> list[Edit]:
    """What completing the addresses of a header block changes."""
    edits: list[Edit] = []
    for name in NAMES:
        if name not in header.folded:
            continue
        at = header.find(name)
        while at >= 0:
            start, stop = header.span(at)
            value = header.raw.index(b":", start) + 1
            if not _all_whole(header.raw[value:stop]):
                edits.extend(_edits(header.raw, value, stop, rewrite))
            at = header.find(name, at + 1)
    return edits


def _all_whole(value: bytes) -> bool:
    """Whether a list of common form needs no work: what nearly every mail program writes."""
    if b'"' in value or b"(" in value or b":" in value:
        return False
    for part in value.split(b","):
        opening = part.find(b"<")
        address = part[opening + 1 : part.find(b">", opening)] if opening >= 0 else part.strip()
        if _WHOLE.fullmatch(address) is None:
            return False
    return True


def _edits(raw: bytes, start: int, stop: int, rewrite: Callable[[str], str]) -> Iterator[Edit]:
    for words in _addresses(raw, start, stop):
        text = "".join(_plain(kind, data) for _, _, kind, data in words)
        whole = rewrite(text)
        if whole != text:
            yield words[0][0], words[-1][1], quote_local(whole).encode("utf-8", "surrogateescape")


def _plain(kind: str, data: bytes) -> str:
    if kind == "quoted":
        data = _ESCAPE.sub(rb"\1", data[1:-1])
    return data.decode("utf-8", "surrogateescape")


def _addresses(raw: bytes, start: int, stop: int) -> Iterator[list[_Word]]:
    """The words of each address of a list, without blanks and comments."""
    outside: list[_Word] = []
    inside: list[_Word] | None = None
    done = False
    depth = 0
    for match in _TOKEN.finditer(raw, start, stop):
        kind, data = match.lastgroup or "", match[0]
        if kind == "blank" or depth or data in (b"(", b")"):
            depth = max(depth + (data == b"(") - (data == b")"), 0)
        elif data == b"<" and inside is None:
            inside = []
        elif data == b">" and inside is not None:
            if inside:
                yield inside
            inside, done = None, True
        elif inside is not None:
            inside.append((match.start(), match.end(), kind, data))
        elif data in (b",", b";", b":"):
            if data != b":" and not done and _is_address(outside):
                yield outside
            outside, done = [], False
        else:
            outside.append((match.start(), match.end(), kind, data))
    if inside is None and not done and _is_address(outside):
        yield outside


def _is_address(words: list[_Word]) -> bool:
    """Words with a ``.`` or ``@`` between each two; not a name of several words."""
    if not words or any(kind == "other" for _, _, kind, _ in words):
        return False
    before = "special"
    for _, _, kind, _ in words:
        if kind != "special" and before != "special":
            return False
        before = kind
    return before != "special"
