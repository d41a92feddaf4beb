"""What the server writes: atoms, strings, names, flags, sets. All functions return bytes for the wire."""

from __future__ import annotations

import re
from collections.abc import Iterable

from angarium.protocols.imap import utf7

_ATOM = re.compile(rb"[!#$&'+,\-./0-9:;<=>?@A-Z\[\]^_`a-z|}~]+")
_MUST_BE_LITERAL = re.compile(rb"[\x00\r\n\x80-\xff]")
_SPECIAL = re.compile(rb'(["\\])')
_MAX_QUOTED = 1000
"""A longer string is written as a literal, for clients that read lines into small buffers."""

_ORDER = {flag: at for at, flag in enumerate(("\\Answered", "\\Flagged", "\\Deleted", "\\Seen", "\\Draft", "\\Recent"))}


def quoted(data: bytes) -> bytes:
    """A quoted string; the caller knows that neither CR, LF, NUL nor 8-bit is in it."""
    return b'"' + (_SPECIAL.sub(rb"\\\1", data) if b'"' in data or b"\\" in data else data) + b'"'


def literal(data: bytes) -> bytes:
    """A literal."""
    return b"{%d}\r\n%b" % (len(data), data)


def string(data: bytes) -> bytes:
    """A quoted string where the grammar allows it, else a literal."""
    return literal(data) if len(data) > _MAX_QUOTED or _MUST_BE_LITERAL.search(data) else quoted(data)


def nstring(data: bytes | None) -> bytes:
    """A string, or NIL for None."""
    return b"NIL" if data is None else string(data)


def astring(data: bytes) -> bytes:
    """An atom where the grammar allows it, else a string."""
    return data if _ATOM.fullmatch(data) and data.upper() != b"NIL" else string(data)


def mailbox(name: str, *, utf8: bool) -> bytes:
    """A mailbox name: modified UTF-7, or quoted UTF-8 for a client that enabled it (RFC 6855 section 3)."""
    if not utf8:
        return astring(utf7.encode(name))
    data = name.encode("utf-8")
    return astring(data) if data.isascii() else quoted(data)


def flags(names: Iterable[str]) -> bytes:
    """Flags in parentheses: system flags first, then keywords by name."""
    ordered = sorted(names, key=lambda name: (_ORDER.get(name, 9), name))
    return b"(" + " ".join(ordered).encode("ascii", "replace") + b")"


def status(items: Iterable[tuple[str, int]]) -> bytes:
    """STATUS items with their values, in parentheses."""
    return b"(" + b" ".join(b"%b %d" % (name.encode("ascii"), value) for name, value in items) + b")"
