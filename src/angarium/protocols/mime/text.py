"""The text that SEARCH looks through: decoded, folded, bounded.

``body_text`` is the decoded text of the textual parts; HTML stays as it is written, blanks are kept, and line ends
become blanks, so that what a client wraps is found. ``header_text`` is the decoded header, ``part_headers`` those of
the parts and of enclosed messages: names of attachments among them. Folding is by case and by decomposition (as
i;unicode-casemap of RFC 5051, with full case folding), so that "cafe" finds "Café".
"""

from __future__ import annotations

import unicodedata

from angarium.protocols.mime.types import MAX_HEADER, Part
from angarium.protocols.mime.words import decode_base64, decode_charset, decode_quoted_printable, decode_words

MAX_TEXT = 1024 * 1024
"""Bytes of folded text that are kept of one message's bodies, and of its headers."""


def fold(text: str) -> bytes:
    """The form in which text and needles are compared."""
    if text.isascii():
        return text.lower().encode()
    return unicodedata.normalize("NFKD", text.casefold()).encode("utf-8", "replace")


def header_text(block: bytes) -> bytes:
    """A header block, its fields a line each."""
    block = block[:MAX_HEADER].replace(b"\r\n", b"\n").replace(b"\n ", b" ").replace(b"\n\t", b" ")
    return fold(decode_words(block))[:MAX_TEXT]


def part_headers(data: bytes, root: Part) -> bytes:
    """The headers of the parts below ``root``, and of enclosed messages."""
    pieces: list[bytes] = []
    room = MAX_TEXT
    stack = list(reversed(root.children))
    while stack and room > 0:
        part = stack.pop()
        stack.extend(reversed(part.children))
        piece = header_text(data[part.start : min(part.body, part.start + room)])
        pieces.append(piece)
        room -= len(piece)
    return b"".join(pieces)


def body_text(data: bytes, root: Part) -> bytes:
    """The text of the message's textual parts."""
    pieces: list[bytes] = []
    room = MAX_TEXT
    stack = [root]
    while stack and room > 0:
        part = stack.pop()
        stack.extend(reversed(part.children))
        if not part.children and part.media.type.lower() in _TEXTUAL:
            piece = _leaf(data, part, room)
            pieces.append(piece)
            room -= len(piece)
    return b"\n".join(pieces)


_TEXTUAL = frozenset((b"text", b"message"))


def _leaf(data: bytes, part: Part, room: int) -> bytes:
    raw = data[part.body : min(part.end, part.body + 2 * room)]
    encoding = part.fields.get(b"transfer-encoding", b"").lower()
    if encoding == b"base64":
        raw = decode_base64(raw)
    elif encoding == b"quoted-printable":
        raw = decode_quoted_printable(raw)
    charset = part.media.parameter(b"charset") or b"us-ascii"
    return fold(decode_charset(raw, charset).replace("\r\n", " ").replace("\n", " "))[:room]
