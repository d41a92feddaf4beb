"""``$name`` in the replies of smtpd: what the value of a name may consist of (postconf(5) ``smtpd_expansion_filter``).

The names' values come from clients and from the DNS, so each octet that the filter does not have becomes ``_``.
"""

from __future__ import annotations

import re
from functools import lru_cache

_ESCAPE = re.compile(r"\\([0-7]{1,3}|.)", re.DOTALL)
_LETTERS = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}

DEFAULT_FILTER = r"\t\40" + "".join(map(chr, range(33, 127))).replace("\\", "\\\\")
"""What Postfix ships: the printable ones, and the tab."""


@lru_cache(maxsize=64)
def allowed_octets(expansion_filter: str) -> frozenset[int]:
    r"""The octets that the parameter's value lets through; ``\t`` and ``\40`` in it are escapes of C."""

    def character(match: re.Match[str]) -> str:
        text = match[1]
        return chr(int(text, 8) & 255) if text[0].isdigit() and text[0] < "8" else _LETTERS.get(text, text)

    return frozenset(_ESCAPE.sub(character, expansion_filter).encode("utf-8", "surrogateescape"))


def filtered(text: str, expansion_filter: str) -> str:
    """A value with what it may not have replaced."""
    octets = text.encode("utf-8", "surrogateescape")
    allowed = allowed_octets(expansion_filter)
    if allowed.issuperset(octets):
        return text
    return bytes(octet if octet in allowed else 95 for octet in octets).decode("utf-8", "surrogateescape")
