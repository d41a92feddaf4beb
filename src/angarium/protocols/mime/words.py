r"""Encoded words of RFC 2047, and RFC 2231 values, decoded for people and for SEARCH; encoded for names in headers.

Charsets are Python's codecs. An unknown charset, or bytes that do not fit it, decode with replacement characters: this
is for finding text, and nothing here raises.
"""

from __future__ import annotations

import base64
import binascii
import codecs
import re

_WORD = re.compile(rb"=\?([^?\s]{1,40})\?([QqBb])\?([^?\r\n]*)\?=")
_BETWEEN = re.compile(rb"(\?=)[ \t\r\n]+(?==\?[^?\s]{1,40}\?[QqBb]\?)")
_HEX = re.compile(rb"=([0-9A-Fa-f]{2})")
_NOT_BASE64 = re.compile(rb"[^A-Za-z0-9+/]")
# Codecs for text that are no charsets of mail; two of them take quadratic time.
_NO_CHARSETS = frozenset(("unicode-escape", "raw-unicode-escape", "idna", "punycode", "undefined", "mbcs", "oem"))


def decode_charset(data: bytes, charset: bytes | str) -> str:
    """``data`` in that charset, with replacement characters where it does not fit; UTF-8 for an unknown charset."""
    name = charset.decode("ascii", "replace") if isinstance(charset, bytes) else charset
    name = name.partition("*")[0].strip().lower()
    if name in ("us-ascii", "ascii", "utf-8", "utf8", ""):
        return data.decode("utf-8", "replace")
    try:
        found = codecs.lookup(name)
        # the only way to tell "rot13" and "zlib" from charsets
        if found.name in _NO_CHARSETS or not found._is_text_encoding:  # noqa: SLF001 - see above
            return data.decode("utf-8", "replace")
        return found.decode(data, "replace")[0]
    except (LookupError, ValueError, UnicodeError):
        return data.decode("utf-8", "replace")


def decode_words(value: bytes) -> str:
    """A header value with its encoded words decoded; raw 8-bit text is taken as UTF-8."""
    if b"=?" not in value:
        return value.decode("utf-8", "replace")
    value = _BETWEEN.sub(rb"\1", value)
    pieces: list[str] = []
    pending: list[bytes] = []  # adjacent words of one charset are joined before decoding: writers split characters
    charset = b""
    at = 0
    for match in _WORD.finditer(value):
        between = value[at : match.start()]
        if pending and (between or match[1].lower() != charset):
            pieces.append(decode_charset(b"".join(pending), charset))
            pending = []
        if between:
            pieces.append(between.decode("utf-8", "replace"))
        charset = match[1].lower()
        pending.append(_decode_q(match[3]) if match[2] in b"Qq" else decode_base64(match[3]))
        at = match.end()
    if pending:
        pieces.append(decode_charset(b"".join(pending), charset))
    pieces.append(value[at:].decode("utf-8", "replace"))
    return "".join(pieces)


def _decode_q(text: bytes) -> bytes:
    text = text.replace(b"_", b" ")
    return _HEX.sub(lambda match: bytes((int(match[1], 16),)), text) if b"=" in text else text


def decode_base64(text: bytes) -> bytes:
    """Base64 with whatever does not belong to it left out; a broken end is dropped."""
    try:
        return binascii.a2b_base64(text, strict_mode=False)
    except binascii.Error:
        clean = _NOT_BASE64.sub(b"", text)
        clean = clean[: len(clean) // 4 * 4] if len(clean) % 4 == 1 else clean + b"=" * (-len(clean) % 4)
        try:
            return binascii.a2b_base64(clean)
        except binascii.Error:
            return b""


def decode_quoted_printable(text: bytes) -> bytes:
    """Quoted-printable (RFC 2045 section 6.7); what is broken stays as it is."""
    return binascii.a2b_qp(text)


_WORD_LENGTH = 75
_Q_PLAIN = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!*+-/")


def encode_words(text: str, charset: str) -> str:
    """Text as encoded words of a phrase (RFC 2047 sections 2 and 5): the shorter encoding, with blanks between.

    Args:
        text: undecodable bytes are surrogates.
        charset: what its bytes are said to be in; they stay what they are.
    """
    letters = [char.encode("utf-8", "surrogateescape") for char in text]
    data = b"".join(letters)
    quoted = sum(1 if byte in _Q_PLAIN or byte == 32 else 3 for byte in data)
    letter = "Q" if quoted <= (len(data) + 2) // 3 * 4 else "B"
    room = max(_WORD_LENGTH - len(f"=?{charset}?{letter}??="), 12)
    words: list[bytes] = []
    word = b""
    for each in letters:
        if word and _encoded_length(word + each, letter) > room:
            words.append(word)
            word = b""
        word += each
    words.append(word)
    return " ".join(f"=?{charset}?{letter}?{_encoded(each, letter)}?=" for each in words)


def _encoded_length(data: bytes, letter: str) -> int:
    if letter == "B":
        return (len(data) + 2) // 3 * 4
    return sum(1 if byte in _Q_PLAIN or byte == 32 else 3 for byte in data)


def _encoded(data: bytes, letter: str) -> str:
    if letter == "B":
        return base64.b64encode(data).decode("ascii")
    return "".join("_" if byte == 32 else chr(byte) if byte in _Q_PLAIN else f"={byte:02X}" for byte in data)
