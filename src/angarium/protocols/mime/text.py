"""The text that SEARCH looks through: decoded and case-folded, bounded.

BODY is the decoded text of the textual parts, and the headers of enclosed messages; HTML stays as it is written. Blanks
are kept, since a substring may span them; line ends become single blanks, so that one does span lines.
"""

from __future__ import annotations

from collections.abc import Iterable

from angarium.protocols.mime.header import fields, unfold
from angarium.protocols.mime.types import Part
from angarium.protocols.mime.words import decode_base64, decode_charset, decode_quoted_printable, decode_words

MAX_TEXT = 1024 * 1024
"""Bytes of folded text that are kept of one message."""


def fold(text: str) -> bytes:
    """The form in which text and needles are compared."""
    if text.isascii():
        return text.lower().encode()
    return text.casefold().encode("utf-8", "replace")


def header_text(found: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Fields as one folded text, a line each."""
    return fold(
        "\n".join([f"{name.decode('ascii', 'replace')}: {decode_words(unfold(value))}" for name, value in found])
    )


def body_text(data: bytes, root: Part) -> bytes:
    """The folded text of the message's body."""
    pieces: list[bytes] = []
    room = MAX_TEXT
    stack = [root]
    while stack and room > 0:
        part = stack.pop()
        if part.children:
            stack.extend(reversed(part.children))
            if part.message:
                child = part.children[0]
                piece = header_text((name, value) for name, value, _s, _e in fields(data[child.start : child.body]))
                pieces.append(piece[:room])
                room -= len(piece)
        elif part.media.type.lower() == b"text" or (part.media.type.lower() == b"message"):
            piece = _leaf(data, part, room)
            pieces.append(piece)
            room -= len(piece)
    return b"\n".join(pieces)


def _leaf(data: bytes, part: Part, room: int) -> bytes:
    raw = data[part.body : min(part.end, part.body + 2 * room)]
    encoding = part.fields.get(b"transfer-encoding", b"").lower()
    if encoding == b"base64":
        raw = decode_base64(raw)
    elif encoding == b"quoted-printable":
        raw = decode_quoted_printable(raw)
    charset = part.media.parameter(b"charset") or b"us-ascii"
    return fold(decode_charset(raw, charset).replace("\r\n", " ").replace("\n", " "))[:room]
