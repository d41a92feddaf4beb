"""What stands on the right side of an alias, in a ``.forward`` file and in an ``:include:`` file (aliases(5)).

============================  ==========================================================
``"|command"``                 ``Command``
``/file/name``, ``~/name``     ``File``; the second is below the recipient's home directory
``:include:/file/name``        ``Include``
anything else                  ``MailTo``, an address in internal form
============================  ==========================================================

Lines are read by the rules of address lists, which refuse nothing: two words without a comma are two addresses, and
a command with blanks that is not in quotes falls apart. A line of a file that begins with ``#`` is none.

Guarantees: never fails; time and memory are linear in the text.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from angarium.rewrite.addresslist import list_texts

_INCLUDE = ":include:"
_EMPTY = '""'


@dataclass(frozen=True, slots=True)
class Command:
    """A command that reads the message; ``text`` is its command line."""

    text: str


@dataclass(frozen=True, slots=True)
class File:
    """A file that the message is appended to, or with a slash at the end a Maildir; ``~/`` is somebody's home."""

    path: str


@dataclass(frozen=True, slots=True)
class Include:
    """A file of more destinations."""

    path: str


@dataclass(frozen=True, slots=True)
class MailTo:
    """An address, in internal form, which may be without a domain."""

    address: str


Destination = Command | File | Include | MailTo


def read(text: str) -> Iterator[Destination]:
    """The destinations of one line, or of the value of an alias, in order."""
    if text.strip() == _EMPTY:
        yield MailTo("")  # which is mailer-daemon, while such an entry of a longer list is none
        return
    for word in list_texts(text):
        if word.startswith("|"):
            yield Command(word[1:])
        elif word.startswith(("/", "~/")):
            yield File(word)
        elif word[: len(_INCLUDE)].lower() == _INCLUDE:
            yield Include(word[len(_INCLUDE) :])
        else:
            yield MailTo(word)


def read_file(text: str, line_length_limit: int) -> Iterator[Destination]:
    """The destinations of a file: line by line, none longer than ``line_length_limit`` characters."""
    for line in text.split("\n"):
        for start in range(0, len(line), line_length_limit):
            piece = line[start : start + line_length_limit]
            if not piece.startswith("#"):
                yield from read(piece)
