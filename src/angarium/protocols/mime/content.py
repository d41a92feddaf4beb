r"""Content-Type, Content-Disposition and other fields with parameters (RFC 2045 section 5.1, RFC 2183, RFC 2231).

Broken fields yield what can be read of them, as widely used servers do: a parameter that makes no sense is skipped to
the next semicolon. Continuations (``name*0``, ``name*1`` …) are joined; a joined value with an encoded piece keeps its
encoding and is called ``name*``. Nothing raises.
"""

from __future__ import annotations

import re
from urllib.parse import quote_from_bytes

from angarium.protocols.mime.header import unfold
from angarium.protocols.mime.lexer import quoted_string, skip_blanks, token
from angarium.protocols.mime.types import MAX_PARAMETERS, MediaType

_SIMPLE_TYPE = re.compile(rb"[ \t]*([\w!#$%&'*+.^`|~-]+)/([\w!#$%&'*+.^`|~-]+)[ \t]*(?=;|$)")
_SIMPLE_PARAMETER = re.compile(
    rb";[ \t]*([\w!#$%&'+.^`|~-]+)=(?:\"([^\"\\]*)\"|([\w!#$%&'*+.^`|~-]+))[ \t]*(?=;|$)", re.ASCII
)
_CONTINUED = re.compile(rb"(.+?)\*([0-9]{1,4})(\*?)$", re.DOTALL)
_UNENCODED = "!#$&+-.^_`{|}~"

Parameters = tuple[tuple[bytes, bytes], ...]


def parse_media_type(value: bytes) -> MediaType | None:
    """A raw Content-Type value; None when not even a type can be read."""
    value = unfold(value)
    match = _SIMPLE_TYPE.match(value)
    if match is not None:
        return MediaType(match[1], match[2], parse_parameters(value, match.end()))
    at = skip_blanks(value, 0)
    kind, at = token(value, at)
    if not kind:
        return None
    at = skip_blanks(value, at)
    if value[at : at + 1] != b"/":
        return MediaType(kind, b"")
    at = skip_blanks(value, at + 1)
    subtype, at = token(value, at)
    if not subtype:
        return MediaType(kind, b"")
    return MediaType(kind, subtype, parse_parameters(value, skip_blanks(value, at)))


def parse_disposition(value: bytes) -> tuple[bytes, Parameters] | None:
    """A raw Content-Disposition value: the disposition and its parameters; None when it has none."""
    value = unfold(value)
    at = skip_blanks(value, 0)
    kind, at = token(value, at)
    if not kind:
        return None
    return kind, parse_parameters(value, skip_blanks(value, at))


def parse_parameters(value: bytes, at: int) -> Parameters:
    """The ``; name=value`` pairs from ``at`` on, continuations joined; joined ones come last."""
    plain: list[tuple[bytes, bytes]] = []
    pieces: list[tuple[bytes, bytes]] = []
    end = len(value)
    while at < end and len(plain) + len(pieces) < MAX_PARAMETERS:
        match = _SIMPLE_PARAMETER.match(value, at)
        if match is not None:
            text = match[2]
            plain.append((match[1], match[3] if text is None else text))
            at = match.end()
            continue
        name, text, at = _parameter(value, at)
        if not name:
            at = value.find(b";", max(at, 1) if at else 0)
            if at < 0:
                break
        elif b"*" in name:
            pieces.append((name, text))
        else:
            plain.append((name, text))
    return tuple(plain) if not pieces else (*plain, *_join(pieces))


def _parameter(value: bytes, at: int) -> tuple[bytes, bytes, int]:
    """One parameter at ``at``; an empty name when it is broken, and then where to look for the next semicolon."""
    if value[at : at + 1] != b";":
        return b"", b"", at
    at = skip_blanks(value, at + 1)
    name, at = token(value, at)
    at = skip_blanks(value, at)
    if not name or value[at : at + 1] != b"=":
        return b"", b"", at
    at = skip_blanks(value, at + 1)
    if value[at : at + 1] == b'"':
        text, at, closed = quoted_string(value, at)
        if not closed:
            return b"", b"", at
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
    sequences: dict[bytes, list[tuple[int, bool, bytes, bytes]]] = {}
    for name, text in pieces:
        match = _CONTINUED.match(name)
        if match is None:
            joined.append((name, text))
        else:
            sequences.setdefault(match[1], []).append((int(match[2]), bool(match[3]), text, name))
    for key, sequence in sorted(sequences.items()):
        sequence.sort(key=lambda piece: piece[0])
        if [piece[0] for piece in sequence] != list(range(len(sequence))):
            joined.extend((name, text) for _number, _encoded, text, name in sequence)
        elif any(encoded for _number, encoded, _text, _name in sequence):
            whole = b"".join(text if encoded else _encode(text) for _number, encoded, text, _name in sequence)
            joined.append((key + b"*", whole if sequence[0][1] else b"''" + whole))
        else:
            joined.append((key, b"".join(text for _number, _encoded, text, _name in sequence)))
    return joined


def _encode(text: bytes) -> bytes:
    return quote_from_bytes(text, safe=_UNENCODED).encode("ascii")
