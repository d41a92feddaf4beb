"""What happens to keys and values on their way into a table and out of it.

The keys of tables of fixed strings are folded, so that ``User@Example`` finds ``user@example``: as Unicode has it when
``smtputf8_enable`` is on (the ß is ss), else the letters of ASCII alone. With ``smtputf8_enable`` a key that is not
UTF-8 is in no table, and a value that is not UTF-8 is an error; in a ``str`` such bytes are lone surrogates.
"""

from __future__ import annotations

from collections.abc import Callable

KEY_LIMIT = 1 << 16
"""Characters: a longer key is in no table."""


Fold = Callable[[str], str]
"""Gives the form in which a table of fixed strings has a key."""


def fold_unicode(key: str) -> str:
    """Without regard to case, in any script."""
    return key.lower() if key.isascii() else key.casefold()


def fold_ascii(key: str) -> str:
    """Without regard to the case of the letters of ASCII."""
    if key.isascii():
        return key.lower()
    return key.encode("utf-8", "surrogateescape").lower().decode("utf-8", "surrogateescape")


def keep(key: str) -> str:
    """As it is."""
    return key


def is_utf8(text: str) -> bool:
    """Whether there is nothing in it that was no UTF-8."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def printable(text: str) -> str:
    """For a log line: a question mark for each control character and each byte that is no UTF-8."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else "?" for char in text)
