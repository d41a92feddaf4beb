"""A message as it is written to a mailbox, a Maildir file or a command: lines end in LF (local(8)).

==========  ==================  ==============  ====================
            ``From `` line      ``From `` in    empty line
            at the start        lines quoted    at the end
==========  ==================  ==============  ====================
MAILBOX     yes                 yes             yes
MAILDIR     no                  no              no
COMMAND     yes                 no              no
==========  ==================  ==============  ====================

Only ``From `` is quoted, not ``>From ``. All begin with Return-Path, X-Original-To and Delivered-To, each of which may
be left out.

Guarantees: pieces of bounded size whatever the content; the last line ends in LF.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator
from itertools import chain

from angarium.protocols.smtp.path import quote_address

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_FROM = b"From "


class Framing(enum.Enum):
    """For what kind of destination."""

    MAILBOX = "mailbox"
    MAILDIR = "maildir"
    COMMAND = "command"


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
    lines = _ended(_unix(message))
    if kind is not Framing.MAILDIR:
        yield mark
    yield from chain((header,), _quoted(lines)) if kind is Framing.MAILBOX else chain((header,), lines)
    if kind is Framing.MAILBOX:
        yield b"\n"


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


def _quoted(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """``>`` before each ``From `` that begins a line, also where a piece ends inside it."""
    held = b""
    at_start = True
    for piece in pieces:
        data = held + piece
        begins = data.rfind(b"\n") + 1
        rest = data[begins:]
        held = rest if (begins or at_start) and len(rest) < len(_FROM) and _FROM.startswith(rest) else b""
        data = data[: len(data) - len(held)]
        if not data:
            continue
        if at_start and data.startswith(_FROM):
            yield b">"
        yield data.replace(b"\nFrom ", b"\n>From ")
        at_start = data.endswith(b"\n")
    yield held
