"""What stands on the right side of an alias, in a ``.forward`` file and in an ``:include:`` file (aliases(5)).

============================  ==========================================================
``"|command"``                 ``Command``
``/file/name``, ``~/name``     ``File``; the second is below the recipient's home directory, ``~name`` is a mistake
``:include:/file/name``        ``Include``
anything else                  ``MailTo``, an address in internal form
============================  ==========================================================

Lines are read by the rules of address lists, which refuse nothing: two words without a comma are two addresses, and
a command with blanks that is not in quotes falls apart. A line of a file that begins with ``#`` is none; what has no
closing quote ends with the blank that the end of the line is.

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
    """A file that the message is appended to, or with a slash at the end a Maildir; ``~`` is somebody's home."""

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
        yield MailTo("")  # which is MAILER-DAEMON, while such an entry of a longer list is none
        return
    for word in list_texts(text):
        if word.startswith("|"):
            yield Command(word[1:])
        elif word.startswith(("/", "~")):
            yield File(word)
        elif word[: len(_INCLUDE)].lower() == _INCLUDE:
            yield Include(word[len(_INCLUDE) :])
        else:
            yield MailTo(word)


def read_file(text: str, line_length_limit: int) -> Iterator[tuple[int, Destination]]:
    """The destinations of a file with the numbers of their lines, none of which is longer than that many bytes."""
    number = 0
    for line in _lines(text):
        for piece in (line,) if len(line) * 4 < line_length_limit else _pieces(line, line_length_limit):
            number += 1
            if not piece.startswith("#"):
                for destination in read(piece.partition("\0")[0]):  # where a line of Postfix ends
                    yield number, destination


def _lines(text: str) -> list[str]:
    *lines, last = text.split("\n")
    return [f"{line}\n" for line in lines] + [last]


def _pieces(line: str, limit: int) -> Iterator[str]:
    data = line.encode("utf-8", "surrogateescape")
    for start in range(0, len(data), limit):
        yield data[start : start + limit].decode("utf-8", "surrogateescape")
