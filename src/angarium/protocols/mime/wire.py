r"""Strings in IMAP's wire form (RFC 9051 section 4.3): ``NIL``, quoted, or a literal.

No IMAP4rev1 string may hold a NUL: one in a header field becomes U+FFFD.
"""

from __future__ import annotations

import re
from functools import lru_cache

_PLAIN = re.compile(rb"[\x01-\x09\x0b\x0c\x0e-\x21\x23-\x5b\x5d-\x7f]*")
_HUMAN_WORD = rb"[\x01-\x08\x0b\x0c\x0e-\x1f\x21\x23-\x5b\x5d-\x7f]+"
_HUMAN_PLAIN = re.compile(b"(?:" + _HUMAN_WORD + b"(?: " + _HUMAN_WORD + b")*)?")
_BLANKS = re.compile(rb"[ \t\r\n]+")
_MAX_ESCAPES = 4
_SHORT = 40


def string(text: bytes) -> bytes:
    """Quoted where that is possible, else a literal."""
    return _short(text) if len(text) <= _SHORT else _render(text)


@lru_cache(maxsize=4096)
def _short(text: bytes) -> bytes:
    """The same few types, parameters and hosts come in every message."""
    return _render(text)


def _render(text: bytes) -> bytes:
    if _PLAIN.fullmatch(text):
        return b'"%b"' % text
    if (
        text.isascii()
        and b"\r" not in text
        and b"\n" not in text
        and b"\0" not in text
        and text.count(b'"') + text.count(b"\\") <= _MAX_ESCAPES
    ):
        return b'"%b"' % text.replace(b"\\", b"\\\\").replace(b'"', b'\\"')
    return literal(text)


def nstring(text: bytes | None) -> bytes:
    """``string``, or NIL for None."""
    return b"NIL" if text is None else string(text)


def literal(text: bytes) -> bytes:
    """A literal."""
    text = text.replace(b"\0", b"\xef\xbf\xbd")
    return b"{%d}\r\n%b" % (len(text), text)


def human(text: bytes | None) -> bytes:
    """An nstring for what people read: runs of blanks become one; anything but plain text goes as a literal."""
    if text is None:
        return b"NIL"
    if _HUMAN_PLAIN.fullmatch(text):
        return b'"%b"' % text
    text = _BLANKS.sub(b" ", text).strip(b" ")
    return literal(text) if text else b'""'
