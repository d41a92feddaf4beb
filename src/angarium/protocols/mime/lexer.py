r"""The lexical elements of RFC 5322 section 3.2 and RFC 2045 section 5.1 on bytes.

Blanks with comments, quoted strings, tokens. Functions take ``(data, position)`` and return the new position, so that
a parser is plain code over one buffer. None raises; a comment or a string that does not end is closed by the end of
the data. Comments nest without recursion.
"""

from __future__ import annotations

import re

_BLANKS = re.compile(rb"[ \t\r\n]*")
_TOKEN = re.compile(rb"[^\x00-\x20()<>@,;:\\\"/\[\]?=\x7f]*")
_QUOTED = re.compile(rb'[^"\\]*')
_COMMENT = re.compile(rb"[^()\\]+")
_ATOM = re.compile(rb"[^\x00-\x20()<>@,;:\\\".\[\]\x7f]+")


def skip_comment(data: bytes, at: int) -> tuple[int, bytes, bool]:
    """Behind the comment that opens at ``at``; its text with escapes undone; whether it was closed."""
    depth = 0
    text = bytearray()
    end = len(data)
    while at < end:
        match = _COMMENT.match(data, at)
        if match is not None:
            text += match[0]
            at = match.end()
            continue
        char = data[at]
        if char == 0x5C and at + 1 < end:  # backslash
            at += 1
            text.append(data[at])
        elif char == 0x28:
            depth += 1
            if depth > 1:
                text.append(char)
        elif char == 0x29:
            depth -= 1
            if depth == 0:
                return at + 1, bytes(text), True
            text.append(char)
        else:
            text.append(char)
        at += 1
    return end, bytes(text), False


def skip_blanks(data: bytes, at: int) -> int:
    """Behind blanks, line ends and comments."""
    while True:
        match = _BLANKS.match(data, at)
        assert match is not None
        at = match.end()
        if data[at : at + 1] != b"(":
            return at
        at = skip_comment(data, at)[0]


def token(data: bytes, at: int) -> tuple[bytes, int]:
    """The MIME token at ``at`` (empty when there is none) and the position behind it."""
    match = _TOKEN.match(data, at)
    assert match is not None
    return match[0], match.end()


def quoted_string(data: bytes, at: int) -> tuple[bytes, int, bool]:
    """The text of the quoted string that opens at ``at``, the position behind it, and whether it was closed."""
    pieces: list[bytes] = []
    at += 1
    end = len(data)
    while True:
        match = _QUOTED.match(data, at)
        assert match is not None
        pieces.append(match[0])
        at = match.end()
        if at >= end:
            return b"".join(pieces), end, False
        if data[at] == 0x22:
            return b"".join(pieces), at + 1, True
        pieces.append(data[at + 1 : at + 2])
        at += 2


def atom(data: bytes, at: int) -> tuple[bytes, int]:
    """The atom at ``at`` (empty when there is none) and the position behind it."""
    match = _ATOM.match(data, at)
    return (match[0], match.end()) if match is not None else (b"", at)
