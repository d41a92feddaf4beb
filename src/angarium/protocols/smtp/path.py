"""Addresses on the wire: paths (RFC 5321 section 4.1.2), their quoting, and xtext (RFC 3461 section 4).

The internal form of an address has no quoting; its local part is everything before the last ``@``. ``parse_path``
reads more than RFC 5321 allows, as mail clients have always sent more: a path without angle brackets, comments, a
display name before the brackets, blanks, an obsolete source route (appendix C: it is dropped). With ``strict``, the
brackets must be there and nothing else.

Fails with ValueError; the text says what is wrong and never reaches a peer.
"""

from __future__ import annotations

_ATEXT = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+-/=?^_`{|}~")
_DOT_ATOM = _ATEXT | {"."}
_PLAIN = _DOT_ATOM | {"@"}  # a path of these alone needs no scanner
_SPECIALS = frozenset('()<>@,;:\\".[]')
_BLANKS = " \t\r\n"
_HEX = "0123456789ABCDEF"
_XTEXT_PLAIN = frozenset(chr(code) for code in range(33, 127)) - {"+", "="}


def parse_path(text: str, *, strict: bool = False) -> str:
    """The address of a reverse- or forward-path in internal form; empty for ``<>``.

    Raises:
        ValueError: no address, or more than one, or one that is not closed.
    """
    if text[:1] == "<" and text[-1:] == ">":
        inner = text[1:-1]
        if _PLAIN.issuperset(inner):
            if inner[:1] == "@" or ".." in inner or inner[-1:] == "@":
                return _checked(inner)
            return inner
    elif strict:
        msg = "the path has no angle brackets"
        raise ValueError(msg)
    return _checked(_Scanner(text, strict).address())


def _checked(address: str) -> str:
    """Drop a source route from an internal address."""
    if address[:1] == "@":
        _, colon, rest = address.partition(":")
        if not colon or not rest:
            msg = "a route without an address"
            raise ValueError(msg)
        return rest
    return address


class _Scanner:
    """Reads an RFC 822 address out of its surroundings."""

    def __init__(self, text: str, strict: bool) -> None:
        self._text = text
        self._at = 0
        self._strict = strict

    def address(self) -> str:
        """The one address in the text."""
        bracketed: str | None = None
        loose: list[str] = []
        while (word := self._token()) is not None:
            if word == "<":
                if bracketed is not None:
                    msg = "more than one address"
                    raise ValueError(msg)
                bracketed = self._route_address()
            elif word == ",":
                msg = "more than one address"
                raise ValueError(msg)
            elif word == ">" or (bracketed is not None and self._strict):
                msg = f"unexpected {word!r}"
                raise ValueError(msg)
            else:
                _append(loose, word)
        if bracketed is not None:
            return bracketed
        return "".join(_unquoted(word) for word in loose)

    def _route_address(self) -> str:
        """What stands between ``<`` and ``>``, after its ``<``."""
        tokens: list[str] = []
        while (word := self._token()) is not None:
            if word == ">":
                return "".join(_unquoted(word) for word in tokens)
            if word == "<":
                msg = "brackets in brackets"
                raise ValueError(msg)
            _append(tokens, word)
        msg = "the angle bracket is not closed"
        raise ValueError(msg)

    def _token(self) -> str | None:
        """The next word, quoted string (with its quotes) or special; comments and blanks are skipped."""
        text = self._text
        length = len(text)
        while self._at < length:
            char = text[self._at]
            if char in _BLANKS:
                self._at += 1
            elif char == "(":
                self._comment()
            elif char == '"':
                return self._delimited('"')
            elif char == "[":
                return self._delimited("]")
            elif char == "\\":
                start = self._at
                self._at = min(start + 2, length)
                return text[start : self._at]
            elif char in _SPECIALS:
                self._at += 1
                return char
            else:
                start = self._at
                while self._at < length and text[self._at] not in _SPECIALS and text[self._at] not in _BLANKS:
                    self._at += 1
                return text[start : self._at]
        return None

    def _comment(self) -> None:
        depth = 0
        text = self._text
        while self._at < len(text):
            char = text[self._at]
            self._at += 2 if char == "\\" else 1
            if char == "(":
                depth += 1
            elif char == ")":
                depth -= 1
                if depth == 0:
                    return
        self._at = len(text)

    def _delimited(self, close: str) -> str:
        start = self._at
        text = self._text
        self._at += 1
        while self._at < len(text):
            char = text[self._at]
            self._at += 2 if char == "\\" else 1
            if char == close:
                return text[start : self._at]
        self._at = len(text)
        msg = f"{close!r} is missing"
        raise ValueError(msg)


def _append(tokens: list[str], word: str) -> None:
    """Add a word; two words in a row are kept apart by a blank."""
    if tokens and _is_word(word) and _is_word(tokens[-1]):
        tokens.append(" ")
    tokens.append(word)


def _is_word(word: str) -> bool:
    return word[0] not in _SPECIALS or word[0] == '"'


def _unquoted(word: str) -> str:
    if word[0] == '"':
        word = word[1:-1]
    elif word[0] != "\\":
        return word
    if "\\" not in word:
        return word
    out = []
    escaped = False
    for char in word:
        if char == "\\" and not escaped:
            escaped = True
        else:
            out.append(char)
            escaped = False
    return "".join(out)


def quote_address(address: str) -> str:
    """An internal address in wire form, without angle brackets: the local part quoted where it must be.

    RFC 5321 section 4.1.2; characters beyond ASCII need no quoting (RFC 6531 section 3.3).
    """
    local, at, domain = address.rpartition("@")
    if not at:
        local, domain = address, ""
    if _is_dot_string(local):
        return address
    escaped = local.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"{at}{domain}'


def _is_dot_string(local: str) -> bool:
    if not local:
        return True
    if not _DOT_ATOM.issuperset(local) and not all(char in _DOT_ATOM or char > "\x7f" for char in local):
        return False
    return local[0] != "." and local[-1] != "." and ".." not in local


def decode_xtext(text: str) -> str:
    """Undo xtext.

    Raises:
        ValueError: a ``+`` without two upper-case hexadecimal digits, or a character that must be encoded.
    """
    if "+" not in text:
        if not _XTEXT_PLAIN.issuperset(text):
            msg = "a character in xtext that must be encoded"
            raise ValueError(msg)
        return text
    octets = bytearray()
    at = 0
    while at < len(text):
        char = text[at]
        if char == "+":
            digits = text[at + 1 : at + 3]
            if len(digits) != 2 or digits[0] not in _HEX or digits[1] not in _HEX:
                msg = "a bad hexadecimal pair in xtext"
                raise ValueError(msg)
            octets.append(int(digits, 16))
            at += 3
        elif char in _XTEXT_PLAIN:
            octets.append(ord(char))
            at += 1
        else:
            msg = "a character in xtext that must be encoded"
            raise ValueError(msg)
    return octets.decode("utf-8", "surrogateescape")


def encode_xtext(text: str) -> str:
    """Encode as xtext."""
    if _XTEXT_PLAIN.issuperset(text):
        return text
    octets = text.encode("utf-8", "surrogateescape")
    return "".join(chr(code) if chr(code) in _XTEXT_PLAIN else f"+{code:02X}" for code in octets)
