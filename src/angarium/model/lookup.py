"""The three outcomes of a lookup: found, not found, temporary error.

The third is a value and not an exception so that no caller can forget it by accident: a temporary error defers
mail, it never bounces or loses it (postfix ``dict.h`` makes the same distinction).
"""

from __future__ import annotations

from msgspec import Struct


class Found(Struct, frozen=True):
    """The key is there.

    Attributes:
        value: what the table holds.
        source: where it stands, for people: ``/etc/postfix/access:3``, ``directory:accounts``.
    """

    value: str
    source: str


class NotFound(Struct, frozen=True):
    """The table was asked and does not have the key."""


class TemporaryError(Struct, frozen=True):
    """The table could not be asked.

    Attributes:
        cause: for the log.
        source: the table's name.
    """

    cause: str
    source: str


Lookup = Found | NotFound | TemporaryError

NOT_FOUND = NotFound()
