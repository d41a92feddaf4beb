r"""Search filters, from their text (RFC 4515) to what is sent (RFC 4511 section 4.5.1).

As the client library that Postfix uses, it takes a simple filter without its parentheses (``mail=x``).

``escape`` makes a piece of a value harmless (RFC 4515 section 3). Fails with FilterError. Bounded: 64 levels.
"""

from __future__ import annotations

import re

from angarium.protocols.ldap import ber

_DEEPEST = 64
_AND, _OR, _NOT, _EQUAL, _SUBSTRINGS, _GREATER, _LESS, _PRESENT, _APPROXIMATE, _EXTENSIBLE = (
    0xA0, 0xA1, 0xA2, 0xA3, 0xA4, 0xA5, 0xA6, 0x87, 0xA8, 0xA9,
)  # fmt: skip
_INITIAL, _ANY, _FINAL = 0x80, 0x81, 0x82
_RULE, _TYPE, _VALUE, _DN = 0x81, 0x82, 0x83, 0x84

_ITEM = re.compile(r"\s*([A-Za-z0-9.;:_-]*?)\s*(:=|~=|>=|<=|=)([^()]*)", re.DOTALL)
_ESCAPED = re.compile(rb"\\(?:([0-9A-Fa-f]{2})|(.))", re.DOTALL)
_SPECIAL = re.compile(r"[*()\\\0]")


class FilterError(ValueError):
    """The text is no filter."""


def escape(text: str) -> str:
    """A piece of a value, so that nothing in it means anything."""
    return _SPECIAL.sub(lambda found: f"\\{ord(found[0]):02x}", text)


def encode(text: str) -> bytes:
    """The filter in the form in which it is sent. Raises FilterError."""
    stripped = text.strip()
    if not stripped.startswith("("):
        stripped = f"({stripped})"
    encoded, end = _filter(stripped, 0, 0)
    if stripped[end:].strip():
        raise FilterError("text after the filter")
    return encoded


def _filter(text: str, at: int, depth: int) -> tuple[bytes, int]:
    """The filter that begins at ``at``, and where it ends."""
    if depth > _DEEPEST:
        raise FilterError("filter is nested too deeply")
    at = _skip(text, at)
    if text[at : at + 1] != "(":
        raise FilterError("a parenthesis is missing")
    at = _skip(text, at + 1)
    kind = text[at : at + 1]
    if kind and kind in "&|!":
        parts: list[bytes] = []
        at = _skip(text, at + 1)
        while text[at : at + 1] == "(":
            part, at = _filter(text, at, depth + 1)
            parts.append(part)
            at = _skip(text, at)
        if kind == "!" and len(parts) != 1:
            raise FilterError("! wants one filter")
        encoded = ber.sequence(*parts, tag={"&": _AND, "|": _OR, "!": _NOT}[kind])
    else:
        found = _ITEM.match(text, at)
        if found is None or not found[1]:
            raise FilterError("a comparison is missing")
        encoded, at = _item(found[1], found[2], found[3]), found.end()
    if text[at : at + 1] != ")":
        raise FilterError("a parenthesis is not closed")
    return encoded, at + 1


def _skip(text: str, at: int) -> int:
    while text[at : at + 1].isspace():
        at += 1
    return at


def _item(attribute: str, operator: str, value: str) -> bytes:
    name = attribute.encode()
    match operator:
        case "=" if value.strip() == "*":
            return ber.octets(name, _PRESENT)
        case "=" if "*" in value:
            return _substrings(name, value)
        case ":=":
            return _extensible(attribute, value)
        case _:
            tag = {"=": _EQUAL, "~=": _APPROXIMATE, ">=": _GREATER, "<=": _LESS}[operator]
            return ber.sequence(ber.octets(name), ber.octets(_unescape(value)), tag=tag)


def _substrings(name: bytes, value: str) -> bytes:
    first, *middle, last = value.split("*")
    parts = [ber.octets(_unescape(first), _INITIAL)] if first else []
    parts += [ber.octets(_unescape(piece), _ANY) for piece in middle if piece]
    if last:
        parts.append(ber.octets(_unescape(last), _FINAL))
    if not parts:
        return ber.octets(name, _PRESENT)
    return ber.sequence(ber.octets(name), ber.sequence(*parts), tag=_SUBSTRINGS)


def _extensible(attribute: str, value: str) -> bytes:
    """``type:dn:rule:=value``; type, dn and rule may be missing (RFC 4515 section 3)."""
    name, *more = attribute.split(":")
    in_dn = bool(more) and more[0].lower() == "dn"
    rules = more[1:] if in_dn else more
    if len(rules) > 1 or (not name and not rules):
        raise FilterError("bad extensible match")
    parts = [ber.octets(rules[0].encode(), _RULE)] if rules else []
    if name:
        parts.append(ber.octets(name.encode(), _TYPE))
    parts.append(ber.octets(_unescape(value), _VALUE))
    if in_dn:
        parts.append(ber.boolean(value=True, tag=_DN))
    return ber.sequence(*parts, tag=_EXTENSIBLE)


def _unescape(text: str) -> bytes:
    r"""A value; a backslash that is not before two hexadecimal digits takes the next character as it is (RFC 1960)."""
    data = text.encode("utf-8", "surrogateescape")
    return _ESCAPED.sub(lambda found: bytes((int(found[1], 16),)) if found[1] else found[2], data)
