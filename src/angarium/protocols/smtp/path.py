"""Addresses on the wire: paths (RFC 5321 section 4.1.2), their quoting, and xtext (RFC 3461 section 4).

The internal form of an address has no quoting; its local part is everything before the last ``@``. ``parse_path``
reads more than RFC 5321 allows, as mail clients have always sent more: a path without angle brackets, comments, a
display name before the brackets, blanks, an obsolete source route (appendix C: it is dropped). With ``strict``, the
brackets must be there and nothing else. The domain must be one that can be.

Fails with ValueError; the text says what is wrong and never reaches a peer.
"""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address

_ATEXT = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+-/=?^_`{|}~")
_DOT_ATOM = _ATEXT | {"."}
_PLAIN = _DOT_ATOM | {"@"}  # a path of these alone needs no scanner
_LABEL = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")
_BLANKS = " \t\r\n"
_ATOM_ENDS = frozenset('()<>@,;:."[') - {")"} | frozenset(_BLANKS)
_SEPARATORS = frozenset("@.:,")
_HEX = frozenset("0123456789ABCDEFabcdef")
_XTEXT_PLAIN = frozenset(chr(code) for code in range(33, 127)) - {"+", "="}


def parse_path(
    text: str,
    *,
    strict: bool = False,
    smtputf8: bool = False,
    min_user: bool = True,
    numeric: bool = False,
    null: bool = False,
) -> str:
    """The address of a reverse- or forward-path in internal form; empty for ``<>``.

    Args:
        text: the path as one word of the command.
        strict: postconf(5) ``strict_rfc821_envelopes``.
        smtputf8: the domain may have characters beyond ASCII (RFC 6531 section 3.3).
        min_user: the address may begin with ``-``, as options of commands do (postconf(5) ``allow_min_user``).
        numeric: the domain may be an IPv4 address without brackets (``resolve_numeric_domain``).
        null: the domain may be empty (``resolve_null_domain``).

    Raises:
        ValueError: no address, or more than one, or one with a domain that cannot be.
    """
    if text[:1] == "<" and text[-1:] == ">" and _PLAIN.issuperset(inner := text[1:-1]):
        address = inner
    else:
        address = _Scanner(text, strict).address()
        if address[:1] == "@" and ":" in address:
            address = address.partition(":")[2]
    domain = _implied_domain(address)
    if (
        domain is not None
        and not is_domain(domain, smtputf8=smtputf8)
        and not (null and not domain)
        and not (numeric and domain[:1].isdigit() and _is_address(domain))
    ):
        msg = f"{domain!r} is no domain"
        raise ValueError(msg)
    if address[:1] == "-" and not min_user:
        msg = "the address looks like an option"
        raise ValueError(msg)
    if not address.isprintable() and any(char < " " or char == "\x7f" for char in address):
        # Quoting does not allow them (RFC 5321 section 4.1.2); a bare CR would end a line of the next server's.
        msg = "a control character in the address"
        raise ValueError(msg)
    if not address.isascii() and any("\ud800" <= char <= "\udfff" for char in address):
        msg = "the address is not UTF-8"
        raise ValueError(msg)
    return address


def _implied_domain(address: str) -> str | None:
    """The domain that an address is in; ``site!user`` and ``user%domain`` stand for one where there is no ``@``."""
    _, at, domain = address.rpartition("@")
    if at:
        return domain
    site, bang, _ = address.partition("!")
    if bang:
        return site
    _, percent, domain = address.rpartition("%")
    return domain if percent else None


@lru_cache(maxsize=1024)
def is_domain(domain: str, *, smtputf8: bool = False) -> bool:
    """Whether a name can be a mail domain: a host name (underscores are tolerated) or an address literal."""
    if domain[:1] == "[":
        return domain[-1:] == "]" and _is_address(domain[1:-1])
    name = domain.removesuffix(".")
    if not name or len(name) > 255 or name.replace(".", "").isdigit():
        return False
    return all(_is_label(label, smtputf8) for label in name.split("."))


def _is_label(label: str, smtputf8: bool) -> bool:
    if not 0 < len(label) <= 63 or label[0] == "-" or label[-1] == "-":
        return False
    if _LABEL.issuperset(label):
        return True
    return smtputf8 and all(char in _LABEL or (char > "\x7f" and char.isalnum()) for char in label)


def _is_address(text: str) -> bool:
    """The inside of an address literal (RFC 5321 section 4.1.3)."""
    try:
        if text[:5].lower() == "ipv6:":
            IPv6Address(text[5:])
        else:
            IPv4Address(text)
    except ValueError:
        return False
    return True


class _Scanner:
    """Reads one RFC 822 address out of its surroundings.

    Words that stand side by side are a fault, as are two addresses; comments are dropped, a bracket that does not
    belong is ignored, and what is not closed is closed at the end.
    """

    def __init__(self, text: str, strict: bool) -> None:
        if strict and (text[:1] != "<" or text[-1:] != ">"):
            msg = "the path has no angle brackets"
            raise ValueError(msg)
        self._text = text
        self._at = 0
        self._strict = strict

    def address(self) -> str:
        """The one address in the text."""
        found: list[str] = []  # addresses that are complete
        words: list[str] = []
        bracketed = False
        routed = False
        while (word := self._word()) is not None:
            if word == "<":
                words.clear()  # what stood before it was a display name
                bracketed = True
            elif word == ">":
                if bracketed and (words or found):
                    found.append(_joined(words))
                    words.clear()
                bracketed = False
            elif word in (",", ";") and not (words and words[0] == "@" and not routed):
                if words:
                    found.append(_joined(words))
                    words.clear()
                bracketed = False
            else:
                routed = routed or word == ":"
                words.append(word)
        if words:
            found.append(_joined(words))
        if len(found) > 1:
            msg = "more than one address"
            raise ValueError(msg)
        return found[0] if found else ""

    def _word(self) -> str | None:
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
            elif char in "<>@,;:.":
                self._at += 1
                return char
            else:
                return self._atom()
        return None

    def _atom(self) -> str:
        """A word without quotes; a backslash in it takes the next character as it is."""
        text = self._text
        start = self._at
        while self._at < len(text) and text[self._at] not in _ATOM_ENDS:
            self._at += 2 if text[self._at] == "\\" else 1
        self._at = min(self._at, len(text))
        return text[start : self._at]

    def _comment(self) -> None:
        if self._strict:
            msg = "a comment in a path"
            raise ValueError(msg)
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
        end = len(text) - 1 if text[-1:] == ">" else len(text)
        self._at += 1
        while self._at < end:
            char = text[self._at]
            self._at += 2 if char == "\\" else 1
            if char == close:
                return text[start : self._at]
        self._at = end
        return text[start:end] + close


def _joined(words: list[str]) -> str:
    """An address of its words, in internal form."""
    previous_is_atom = False
    out = []
    for word in words:
        is_atom = word not in _SEPARATORS
        if is_atom and previous_is_atom:
            msg = "two words side by side"
            raise ValueError(msg)
        previous_is_atom = is_atom
        out.append(_unquoted(word))
    return "".join(out)


def _unquoted(word: str) -> str:
    if word[0] == '"':
        word = word[1:-1]
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


@lru_cache(maxsize=512)  # a message's few addresses are quoted for each line of the log and each header
def quote_address(address: str) -> str:
    """An internal address in wire form, without angle brackets: the local part quoted where it must be.

    RFC 5321 section 4.1.2; characters beyond ASCII need no quoting (RFC 6531 section 3.3).
    """
    if not address:
        return ""
    local, at, domain = address.rpartition("@")
    if not at:
        local, domain = address, ""
    if _is_dot_string(local):
        return address
    escaped = local.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"{at}{domain}'


def _is_dot_string(local: str) -> bool:
    if not local:
        return False
    if not _DOT_ATOM.issuperset(local) and not all(char in _DOT_ATOM or char > "\x7f" for char in local):
        return False
    return local[0] != "." and local[-1] != "." and ".." not in local


def decode_xtext(text: str) -> str:
    """Undo xtext. Characters that should have been encoded, and lower-case digits, are taken as they are.

    Raises:
        ValueError: a ``+`` without two hexadecimal digits.
    """
    if "+" not in text:
        return text
    first, *pieces = text.split("+")
    octets = bytearray(first.encode("utf-8", "surrogateescape"))
    for piece in pieces:
        digits = piece[:2]
        if len(digits) != 2 or not _HEX.issuperset(digits):
            msg = "a bad hexadecimal pair in xtext"
            raise ValueError(msg)
        octets.append(int(digits, 16))
        octets += piece[2:].encode("utf-8", "surrogateescape")
    return octets.decode("utf-8", "surrogateescape")


def encode_xtext(text: str) -> str:
    """Encode as xtext."""
    if _XTEXT_PLAIN.issuperset(text):
        return text
    octets = text.encode("utf-8", "surrogateescape")
    return "".join(chr(code) if chr(code) in _XTEXT_PLAIN else f"+{code:02X}" for code in octets)
