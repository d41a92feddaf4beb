r"""Content-Type, Content-Disposition and other fields with parameters (RFC 2045 section 5.1, RFC 2183, RFC 2231).

Broken fields yield what can be read of them, as widely used servers do: a parameter that makes no sense is skipped to
the next semicolon. Continuations (``name*0``, ``name*1`` …) are joined; a joined value with an encoded piece keeps its
encoding and is called ``name*``. Nothing raises.
"""

from __future__ import annotations

import re
from functools import lru_cache

from angarium.protocols.mime.header import unfold
from angarium.protocols.mime.lexer import quoted_string, skip_blanks, token
from angarium.protocols.mime.types import INVALID_TYPE, MAX_BROKEN, MAX_PARAMETERS, MediaType

_SIMPLE_TYPE = re.compile(rb"[ \t]*([\w!#$%&'*+.^`|~-]+)/([\w!#$%&'*+.^`|~-]+)[ \t]*(?=;|$)")
_SIMPLE_PARAMETER = re.compile(
    rb";[ \t]*([\w!#$%&'+.^`|~-]+)=(?:\"([^\"\\]*)\"|([\w!#$%&'*+.^`|~-]+))[ \t]*(?=;|$)", re.ASCII
)
_CONTINUED = re.compile(rb"(.+?)\*(?:([0-9]{1,4})(\*?))?$", re.DOTALL)

_SHORT = 50

Parameters = tuple[tuple[bytes, bytes], ...]


def part_fields(found: list[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """The Content-* fields of a part that count: the first of a name.

    A Content-Transfer-Encoding that is not one word does not count, and a Content-Disposition without parameters gives
    way to a later one.
    """
    chosen: dict[bytes, bytes] = {}
    settled = False  # whether the disposition has parameters
    for name, value in found:
        if name == b"transfer-encoding":
            word = _encoding(value)
            if word:
                chosen.setdefault(name, word)
        elif name == b"disposition":
            if not settled:
                chosen[name] = value
                settled = bool(parse_disposition(value)[1])
        elif name not in chosen:
            chosen[name] = value
    return chosen


def _encoding(value: bytes) -> bytes:
    """The one word of a Content-Transfer-Encoding; empty when it is something else."""
    value = unfold(value)
    word, at = token(value, skip_blanks(value, 0))
    return word if skip_blanks(value, at) == len(value) else b""


def parse_media_type(value: bytes) -> MediaType:
    """A raw Content-Type value; INVALID_TYPE when it is none."""
    return _short_media_type(value) if len(value) <= _SHORT else _media_type(value)


@lru_cache(maxsize=512)
def _short_media_type(value: bytes) -> MediaType:
    """The same few types come in every message."""
    return _media_type(value)


def _media_type(value: bytes) -> MediaType:
    value = unfold(value)
    match = _SIMPLE_TYPE.match(value)
    if match is not None:
        return MediaType(match[1], match[2], parse_parameters(value, match.end()))
    at = skip_blanks(value, 0)
    kind, at = token(value, at)
    at = skip_blanks(value, at)
    if at == len(value):
        return MediaType(kind, b"")
    if not kind or value[at : at + 1] != b"/":
        return INVALID_TYPE
    subtype, at = token(value, skip_blanks(value, at + 1))
    at = skip_blanks(value, at)
    if not subtype or value[at : at + 1] not in (b";", b""):
        return INVALID_TYPE
    return MediaType(kind, subtype, parse_parameters(value, at))


def parse_disposition(value: bytes) -> tuple[bytes, Parameters]:
    """A raw Content-Disposition value: the disposition, which may be empty, and its parameters."""
    value = unfold(value)
    at = skip_blanks(value, 0)
    kind, at = token(value, at)
    return kind, parse_parameters(value, skip_blanks(value, at))


def parse_parameters(value: bytes, at: int) -> Parameters:
    """The ``; name=value`` pairs from ``at`` on, continuations joined; joined ones come last."""
    plain: list[tuple[bytes, bytes]] = []
    pieces: list[tuple[bytes, bytes]] = []
    end = len(value)
    broken = 0
    while at < end and len(plain) + len(pieces) < MAX_PARAMETERS:
        match = _SIMPLE_PARAMETER.match(value, at)
        if match is not None:
            text = match[2]
            plain.append((match[1], match[3] if text is None else text))
            at = match.end()
            continue
        name, text, at = _parameter(value, at)
        if name is None:
            broken += 1
            at = value.find(b";", at + 1)
            if at < 0 or broken > MAX_BROKEN:
                break
        elif b"*" in name:
            pieces.append((name, text))
        else:
            plain.append((name, text))
    return tuple(plain) if not pieces else (*plain, *_join(pieces))


def _parameter(value: bytes, at: int) -> tuple[bytes | None, bytes, int]:
    """One parameter at ``at``; no name when it is broken, and then where to look for the next semicolon."""
    if value[at : at + 1] != b";":
        return None, b"", at
    at = skip_blanks(value, at + 1)
    name, at = token(value, at)
    at = skip_blanks(value, at)
    if value[at : at + 1] != b"=":
        return None, b"", at
    at = skip_blanks(value, at + 1)
    if value[at : at + 1] == b'"':
        text, at, closed = quoted_string(value, at)
        if not closed:
            return None, b"", at
    elif value[at : at + 1] == b"=":  # an encoded word where a token should stand: name==?utf-8?b?eA==?=
        start = at
        while at < len(value) and value[at] not in b"; \t":
            at += 1
        text = value[start:at]
    else:
        text, at = token(value, at)
    return name, text, skip_blanks(value, at)


def _join(pieces: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Join continuations of RFC 2231 section 3; what is not a whole sequence stays under its own name."""
    joined: list[tuple[bytes, bytes]] = []
    sequences: dict[bytes, list[tuple[int, bool, bytes]]] = {}
    for name, text in pieces:
        match = _CONTINUED.match(name)
        if match is None:
            joined.append((name, text))
        else:
            number, encoded = (0, True) if match[2] is None else (int(match[2]), bool(match[3]))
            sequences.setdefault(match[1], []).append((number, encoded, text))
    for key, sequence in sorted(sequences.items()):
        sequence.sort(key=lambda piece: piece[0])
        if [piece[0] for piece in sequence] != list(range(len(sequence))):
            joined.extend(
                (b"%b*%d%b" % (key, number, b"*" if encoded else b""), text) for number, encoded, text in sequence
            )
        elif any(encoded for _number, encoded, _text in sequence):
            whole = b"".join(text if encoded else text.replace(b"%", b"%25") for _number, encoded, text in sequence)
            joined.append((key + b"*", whole if sequence[0][1] else b"''" + whole))
        else:
            joined.append((key, b"".join(text for _number, _encoded, text in sequence)))
    return joined
