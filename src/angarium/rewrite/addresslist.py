"""The addresses of a list: what stands in a To header, and on the right side of an alias (RFC 5322 section 3.4).

Read as Postfix reads it, which is from right to left and refuses nothing: comments anywhere, groups, source routes,
quoted local parts, blanks around dots and ``@``, brackets that never close. A phrase before ``<`` and the name of a
group are no addresses; two words with nothing between them are two, with a comma missing.

Guarantees: never fails; time and memory are linear in the text. Text is bytes, for what is there need not be in any
encoding; the addresses are in internal form, undecodable bytes as surrogates.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from dataclasses import dataclass

from angarium.protocols.smtp.path import quote_address

_TOKEN = re.compile(
    rb"(?P<blank>[ \t\r\n]++)|(?P<comment>\()"
    rb'|(?P<quoted>"(?:[^"\\]++|\\.)*+(?:"|\\)?)|(?P<literal>\[(?:[^\]\\]++|\\.)*+[\]\\]?)'
    rb"|(?P<special>[|%!<>@,;:.)\]])|(?P<atom>(?:[^ \t\r\n\"\[|%!<>@,;:.()\]\\]++|\\.)++\\?)|(?P<other>\\)",
    re.DOTALL,
)
_PARENTHESIS = re.compile(rb"[()]|\\.", re.DOTALL)
_ESCAPE = re.compile(rb"\\(.|\Z)", re.DOTALL)
_NULL = re.compile(r"\s*<\s*>\s*")
_BLANK = re.compile(rb"\r\n|[ \t\r\n]")
_ONE = re.compile(r"[\w.+=/-]+@[\w.-]+")
"""What nearly every entry of a table is: one address that needs no reading."""

_WORDS = frozenset({"quoted", "literal", "atom", "other"})

_NOBODY = '""'

_MASKS = {ord(char): 0xD800 + place for place, char in enumerate("@!%:.")}
_UNMASKS = {code: char for char, code in _MASKS.items()}
"""High surrogates: undecodable bytes become low ones, and nothing else becomes either."""


_Token = tuple[str, int, int]
"""Kind (of a special: the character itself), start and stop."""


@dataclass(frozen=True, slots=True)
class ListedAddress:
    """One address of a list.

    Attributes:
        text: internal form.
        start: where its first word begins.
        stop: where its last word ends.
        masked: ``text`` with ``@``, ``!``, ``%``, ``:`` and ``.`` that stand in quotes, brackets or behind backslashes,
            and so separate nothing, replaced by characters that no text has; ``unmasked`` brings them back.
        comments: those inside it, in order.
        comma: where a comma is missing before it; -1: it is there, or not needed.
    """

    text: str
    start: int
    stop: int
    masked: str
    comments: tuple[bytes, ...] = ()
    comma: int = -1


@dataclass(frozen=True, slots=True)
class AddressList:
    """The addresses, in order, and where reading ended: before the end of the text if there were too many tokens."""

    addresses: tuple[ListedAddress, ...]
    stop: int


def parse_list(raw: bytes, start: int = 0, stop: int | None = None, limit: int = 0) -> AddressList:
    """Read the addresses between ``start`` and ``stop``; no more than ``limit`` tokens unless it is 0."""
    stop = len(raw) if stop is None else stop
    tokens, comments, ended = _scan(raw, start, stop, limit)
    found: list[ListedAddress] = []
    for first, last, missing in reversed(_grouped(tokens)):
        words = tokens[first:last]
        begin, end = words[0][1], words[-1][2]
        inside = tuple(raw[low:high] for low, high in _between(comments, begin, end)) if comments else ()
        text, masked = _texts(raw, words)
        comma = _after(comments, tokens[first - 1][2], begin) if missing else -1
        found.append(ListedAddress(text, begin, end, masked, inside, comma))
    return AddressList(tuple(found), ended)


def unmasked(text: str) -> str:
    """What was made of ``ListedAddress.masked``, in internal form."""
    return text if text.isascii() else text.translate(_UNMASKS)


def external(text: str) -> str:
    """An address as it stands in a header: quoted where it must be, a source route left before it."""
    if text.startswith("@") and ":" in text:
        route, _, rest = text.partition(":")
        return f"{route}:{quote_address(rest) or _NOBODY}"
    return quote_address(text) or _NOBODY


def is_as_meant(raw: bytes, address: ListedAddress) -> bool:
    """Whether what stands in the text is the address as others read it.

    It is not when quotes are missing, or when there are some in the domain. Quotes that nobody needs are no fault, and
    neither are blanks and comments, nor a bracket that is not closed.
    """
    written = raw[address.start : address.stop]
    meant = external(address.text).encode("utf-8", "surrogateescape")
    if written == meant:
        return True
    tokens, _, _ = _scan(raw, address.start, address.stop, 0)
    if b"".join(raw[start:stop] for _, start, stop in tokens) == meant:
        return True
    if "@" in address.masked and address.masked.rindex("@") != address.text.rindex("@"):
        return False
    places = [place for place, token in enumerate(tokens) if token[0] == "@"]
    local, domain = (tokens[: places[-1]], tokens[places[-1] + 1 :]) if places else (tokens, [])
    if any(b'"' in raw[start:stop] or b"\\" in raw[start:stop] for _, start, stop in domain):
        return False
    in_quotes = len(local) == 1 and local[0][0] == "quoted" and _is_closed(raw[local[0][1] : local[0][2]], b'"')
    return in_quotes or b'"' not in meant


def listed(text: str) -> tuple[ListedAddress, ...]:
    """The addresses of a table's result; ``<>`` alone is the null address."""
    if _ONE.fullmatch(text) is not None:
        return (ListedAddress(text, 0, len(text), text),)
    found = _parsed(text)
    if not found and _NULL.fullmatch(text) is not None:
        return (ListedAddress("", 0, len(text), ""),)
    return found


def list_texts(text: str) -> list[str]:
    """The addresses of an alias(5) entry, in internal form."""
    return [text] if _ONE.fullmatch(text) is not None else [each.text for each in _parsed(text)]


def _parsed(text: str) -> tuple[ListedAddress, ...]:
    return parse_list(text.encode("utf-8", "surrogateescape")).addresses


def _scan(raw: bytes, start: int, stop: int, limit: int) -> tuple[list[_Token], list[tuple[int, int]], int]:
    """The tokens without comments, the comments' spans, and where reading ended."""
    tokens: list[_Token] = []
    comments: list[tuple[int, int]] = []
    count = 0
    position = start
    while position < stop:
        match = _TOKEN.match(raw, position, stop)
        assert match is not None  # some alternative takes any byte
        kind = match.lastgroup or ""
        position = match.end()
        if kind == "blank":
            continue
        if limit and count >= limit:
            return tokens, comments, match.start()
        count += 1
        if kind == "comment":
            position = _comment_end(raw, position, stop)
            comments.append((match.start(), position))
        else:
            name = chr(raw[match.start()]) if kind == "special" else kind
            tokens.append((name, match.start(), position))
    return tokens, comments, stop


def _between(spans: list[tuple[int, int]], start: int, stop: int) -> list[tuple[int, int]]:
    return spans[bisect_left(spans, (start, 0)) : bisect_left(spans, (stop, 0))]


def _after(comments: list[tuple[int, int]], position: int, before: int) -> int:
    """The end of the last comment between two tokens, or of the first token."""
    at = bisect_left(comments, (before, 0))
    return max(position, comments[at - 1][1]) if at else position


def _comment_end(raw: bytes, position: int, stop: int) -> int:
    depth = 1
    for match in _PARENTHESIS.finditer(raw, position, stop):
        found = match[0]
        depth += (found == b"(") - (found == b")")
        if not depth:
            return match.end()
    return stop


def _grouped(tokens: list[_Token]) -> list[tuple[int, int, bool]]:  # noqa: C901 - one state machine, one case a token
    """First and last + 1 of the tokens of each address, and whether a comma is missing before; last one first."""
    found: list[tuple[int, int, bool]] = []
    in_group = False
    word_allowed = True
    right = len(tokens)
    at = right - 1

    def close(left: int, *, missing: bool = False) -> None:
        if left + 1 < right:
            found.append((left + 1, right, missing))

    while at >= 0:
        kind = tokens[at][0]
        if kind == ";":
            close(at, missing=True)
            right, in_group, word_allowed = at, True, True
        elif kind == ":" and in_group:
            close(at)
            while at >= 0 and tokens[at][0] != ",":
                at -= 1
            right = at
            continue
        elif kind == ">":
            close(at, missing=True)
            right, word_allowed = at, True
            while at >= 0 and tokens[at][0] != "<":
                at -= 1
            close(at)
            while at >= 0 and tokens[at][0] not in (">", ";", ",", ":"):
                at -= 1
            right = at
            continue
        elif kind in _WORDS:
            if not word_allowed:
                close(at, missing=True)
                right = at + 1
            word_allowed = False
        else:
            if kind == ",":
                close(at)
                right = at
            word_allowed = True
        at -= 1
    close(-1)
    return found


def _texts(raw: bytes, words: list[_Token]) -> tuple[str, str]:
    """The address that is made of these tokens, and the same with what separates nothing masked."""
    pieces = [_plain(raw, word) for word in words]
    for place, word in enumerate(words[1:], 1):
        if word[0] == "<":
            pieces[place] = b" <"  # one that never closes
    text = b"".join(pieces).decode("utf-8", "surrogateescape")
    if all(len(word[0]) == 1 or piece.isalnum() for word, piece in zip(words, pieces, strict=True)):
        return text, text
    masked = "".join(
        piece.decode("utf-8", "surrogateescape").translate(_MASKS if word[0] in _WORDS else {})
        for word, piece in zip(words, pieces, strict=True)
    )
    return text, masked


def _plain(raw: bytes, token: _Token) -> bytes:
    kind, start, stop = token
    data = raw[start:stop]
    if kind == "quoted":
        data = data[1:-1] if len(data) > 1 and _is_closed(data, b'"') else data[1:]
    elif kind == "literal" and not _is_closed(data, b"]"):
        data += b"]"
    if b"\\" in data:
        data = _ESCAPE.sub(rb"\1", data)
    return _BLANK.sub(b" ", data) if kind != "special" else data


def _is_closed(data: bytes, mark: bytes) -> bool:
    """Whether the mark at the end is not escaped."""
    return data.endswith(mark) and len(data) > 1 and (len(data) - 1 - len(data[:-1].rstrip(b"\\"))) % 2 == 0
