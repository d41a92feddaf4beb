"""A message as it is written to a mailbox, a Maildir file or a command (local(8), pipe(8)).

==========  ==================  ==============  ====================
            ``From `` line      ``From `` in    empty line
            at the start        lines quoted    at the end
==========  ==================  ==============  ====================
MAILBOX     yes                 yes             yes
MAILDIR     no                  no              no
COMMAND     yes                 no              no
==========  ==================  ==============  ====================

Only ``From `` is quoted, not ``>From ``. All begin with Return-Path, X-Original-To and Delivered-To, each of which may
be left out. Lines end in LF; pipe(8) chooses each of these things, the end of lines, and dots before dots beside them.

Guarantees: pieces of bounded size whatever the content; the last line ends.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

from angarium.protocols.smtp.path import quote_address

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_FROM = b"From "


@dataclass(frozen=True, slots=True)
class Form:
    """What is done to a message on its way.

    Attributes:
        mark: a ``From `` line comes first.
        quotes: lines that begin with ``From `` are quoted.
        dots: lines that begin with a dot get another one.
        blank: an empty line ends it.
        eol: the end of each line.
    """

    mark: bool = False
    quotes: bool = False
    dots: bool = False
    blank: bool = False
    eol: bytes = b"\n"


class Framing(enum.Enum):
    """For what kind of destination; the value is its form."""

    MAILBOX = Form(mark=True, quotes=True, blank=True)
    MAILDIR = Form()
    COMMAND = Form(mark=True)


def postmark(sender: str, date: str) -> bytes:
    """The line before a message in a mailbox; ``date`` is as ctime(3) writes it: ``Tue Nov 24 12:19:34 2026``."""
    return f"From {quote_address(sender) or 'MAILER-DAEMON'}  {date}\n".encode("utf-8", "surrogateescape")


def delivery_header(sender: str, original: str, delivered: str) -> bytes:
    """Return-Path, and unless they are empty X-Original-To and Delivered-To."""
    lines = f"Return-Path: <{quote_address(sender)}>\n"
    if original:
        lines += f"X-Original-To: {quote_address(original)}\n"
    if delivered:
        lines += f"Delivered-To: {quote_address(delivered)}\n"
    return lines.encode("utf-8", "surrogateescape")


def framed(kind: Framing, mark: bytes, header: bytes, message: Iterable[bytes]) -> Iterator[bytes]:
    """The whole, in pieces.

    Args:
        kind: for what.
        mark: from ``postmark``.
        header: from ``delivery_header``.
        message: the message in wire form, in pieces that may end anywhere.
    """
    return shaped(kind.value, mark, header, message)


def shaped(form: Form, mark: bytes, header: bytes, message: Iterable[bytes]) -> Iterator[bytes]:
    """The whole in any form, in pieces; see ``framed``."""
    lines = _ended(_unix(message))
    if form.quotes:
        lines = _marked(lines, _FROM, b">")
    if form.dots:
        lines = _marked(lines, b".", b".")
    whole = chain((mark if form.mark else b"", header), lines, (b"\n" if form.blank else b"",))
    pieces = filter(None, whole)
    return pieces if form.eol == b"\n" else (piece.replace(b"\n", form.eol) for piece in pieces)


def _unix(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """CRLF becomes LF, also where a piece ends between the two."""
    held = b""
    for piece in pieces:
        data = held + piece
        held = b"\r" if data.endswith(b"\r") else b""
        yield data[: len(data) - len(held)].replace(b"\r\n", b"\n")
    yield held


def _ended(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The last line ends."""
    last = b"\n"
    for piece in pieces:
        if piece:
            last = piece[-1:]
            yield piece
    if last != b"\n":
        yield b"\n"


def _marked(pieces: Iterable[bytes], start: bytes, mark: bytes) -> Iterator[bytes]:
    """``mark`` before each line that begins with ``start``, also where a piece ends inside it."""
    held = b""
    at_start = True
    for piece in pieces:
        data = held + piece
        begins = data.rfind(b"\n") + 1
        rest = data[begins:]
        held = rest if (begins or at_start) and len(rest) < len(start) and start.startswith(rest) else b""
        data = data[: len(data) - len(held)]
        if not data:
            continue
        if at_start and data.startswith(start):
            yield mark
        yield data.replace(b"\n" + start, b"\n" + mark + start)
        at_start = data.endswith(b"\n")
    yield held
