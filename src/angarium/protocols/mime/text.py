"""The text that SEARCH looks through: decoded, folded, bounded.

``body_text`` is the decoded text of the textual parts; HTML stays as it is written, blanks are kept, and line ends
become blanks, so that what a client wraps is found. ``header_text`` is the decoded header, ``part_headers`` those of
the parts and of enclosed messages: names of attachments among them. Folding is by case and by decomposition (as
i;unicode-casemap of RFC 5051, with full case folding), so that "cafe" finds "Café".
"""

from __future__ import annotations

import re
import unicodedata

from angarium.protocols.mime.types import MAX_HEADER, Part
from angarium.protocols.mime.words import decode_base64, decode_charset, decode_quoted_printable, decode_words

MAX_TEXT = 1024 * 1024
"""Bytes of folded text that are kept of one message's bodies, and of its headers."""


_MARKS = 30
# Combining marks are neither letters nor digits; no writing puts more than a few on one letter (Unicode Standard Annex
# 15 section 13 takes 30 for what text can need).
_NO_LETTER = r"[^\w\s\x00-\x7f]"
_MANY_MARKS = re.compile(rf"(?<!{_NO_LETTER}){_NO_LETTER}{{{_MARKS + 1},}}")
_PIECE = 16384
"""Characters that are folded at a time: one may become 18, and what exceeds the room is not computed."""


def fold(text: str) -> bytes:
    """The form in which text and needles are compared."""
    if text.isascii():
        return text.lower().encode()
    return _decomposed(text.casefold()).encode("utf-8", "replace")


def _decomposed(text: str) -> str:
    """Normalisation form KD. It puts marks in order by insertion, so a long run of them goes piece by piece."""
    pieces: list[str] = []
    at = 0
    for match in _MANY_MARKS.finditer(text):
        for stop in (*range(match.start() + _MARKS, match.end(), _MARKS), match.end()):
            pieces.append(unicodedata.normalize("NFKD", text[at:stop]))
            at = stop
    pieces.append(unicodedata.normalize("NFKD", text[at:]))
    return "".join(pieces)


def fold_to(text: str, room: int) -> bytes:
    """The first ``room`` bytes of the folded text."""
    if text.isascii():
        return text[:room].lower().encode()
    pieces: list[bytes] = []
    for start in range(0, len(text), _PIECE):
        piece = fold(text[start : start + _PIECE])
        pieces.append(piece)
        room -= len(piece)
        if room <= 0:
            break
    return b"".join(pieces)[: min(room, 0) or None]


def header_text(block: bytes) -> bytes:
    """A header block, its fields a line each."""
    block = block[:MAX_HEADER].replace(b"\r\n", b"\n").replace(b"\n ", b" ").replace(b"\n\t", b" ")
    return fold_to(decode_words(block), MAX_TEXT)


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
    return fold_to(decode_charset(raw, charset).replace("\r\n", " ").replace("\n", " "), room)
