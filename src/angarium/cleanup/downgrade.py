"""Mail with eight bits for a server that takes seven: quoted-printable for each part that says it is 8bit or binary.

smtp(8) does this for a server without 8BITMIME (disable_mime_output_conversion), and cleanup(8) for all mail when
force_mime_input_conversion is on. What counts is what a part's headers
say of it, not what is in it: text that is not declared goes as it is. A multipart, and a message within, are labelled
7bit; the label moves to the end of its headers. As there, a message/* other than message/rfc822 is encoded although
its label says 7bit.

Guarantees: the original is not changed and not copied, but for the parts that are encoded: they are held in memory.
Others have their turn every few hundred lines. Fails with ``NestingError``.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace

from angarium.cleanup.checks import lines
from angarium.cleanup.mimewalk import Fault, MimeWalk, WalkedHeader, WalkLimits, encoding_domain
from angarium.cleanup.splice import SplicedContent, spliced
from angarium.model.content import Content

_SEVEN = b"7bit"
_TURN = 500
_BATCH = 65536
_FULL = 73
"""Octets of a line after which it is broken before the next one."""

_ODD = re.compile(rb"[^\t -<>-~]")
_CODES = {bytes([octet]): b"=%02X" % octet for octet in range(256)}


class NestingError(Exception):
    """There are more parts within parts than mime_nesting_limit allows."""


async def downgraded(content: Content, limits: WalkLimits) -> Content:
    """The message with what is not 7bit encoded; the same object when there is nothing to do.

    Raises:
        NestingError: it cannot be followed.
    """
    work = _Downgrade(limits)
    for number, (text, ending) in enumerate(lines(content, 0, work.walk, work.wants), 1):
        work.line(text, ending)
        if number % _TURN == 0:
            await asyncio.sleep(0)
    work.end(content.size)
    if Fault.NESTING in work.walk.faults:
        raise NestingError(Fault.NESTING.value)
    return SplicedContent(spliced(content, work.edits)) if work.edits else content


async def has_eight_bit_headers(content: Content, limits: WalkLimits) -> bool:
    """Whether a header of the message, or of one of its parts, is beyond ASCII, so that it needs SMTPUTF8."""
    walk = MimeWalk(0, replace(limits, report=frozenset({Fault.EIGHT_BIT_HEADER})))
    for number, (text, ending) in enumerate(lines(content, 0, walk, lambda _offset: False), 1):
        walk.line(text, ending)
        if walk.faults:
            return True
        if walk.plain:
            return False
        if number % _TURN == 0:
            await asyncio.sleep(0)
    walk.end()
    return bool(walk.faults)


class _Downgrade:
    """What is to be changed, line by line."""

    def __init__(self, limits: WalkLimits) -> None:
        self.walk = MimeWalk(0, replace(limits, report=frozenset({Fault.NESTING})))
        self.edits: list[tuple[int, int, bytes]] = []
        self._declared = _SEVEN  # by the headers that are read
        self._domain = _SEVEN  # of the body that is read
        self._run: list[bytes] = []
        self._run_size = 0
        self._run_start = 0

    def wants(self, _offset: int) -> bool:
        """Whether lines are looked at for their own sake, and not for boundaries alone."""
        return self._domain != _SEVEN

    def line(self, text: bytes, ending: int) -> None:
        """One line, and the size of its end."""
        walk = self.walk
        start, boundaries, in_headers = walk.position, walk.boundaries, walk.in_headers
        for found in walk.line(text, ending):
            if isinstance(found, WalkedHeader):
                self._header(found)
            elif in_headers:
                self._headers_end(found.start)
        if walk.boundaries != boundaries:
            self._declared = self._domain = _SEVEN
        body = not walk.in_headers and not (in_headers and not text)
        if body and self._domain != _SEVEN and walk.boundaries == boundaries:
            self._encode(start, text, ending)
        else:
            self._flush(start)

    def end(self, size: int) -> None:
        """There are no more lines."""
        self._flush(size)
        for found in self.walk.end():
            if isinstance(found, WalkedHeader):
                self._header(found)
        if self.walk.in_headers:
            self._headers_end(size)

    def _header(self, header: WalkedHeader) -> None:
        self._declared = encoding_domain(header.text) or self._declared
        if self._declared != _SEVEN and header.text[:26].lower() == b"content-transfer-encoding:":
            self.edits.append((header.start, header.stop, b""))

    def _headers_end(self, at: int) -> None:
        composite = self.walk.kind in (b"multipart", b"message")
        if self._declared != _SEVEN:
            label = b"7bit" if composite else b"quoted-printable"
            self.edits.append((at, at, b"Content-Transfer-Encoding: %b\r\n" % label))
        within = self.walk.kind == b"multipart" or self.walk.in_headers
        self._domain = _SEVEN if within else self._declared
        self._declared = _SEVEN

    def _encode(self, start: int, text: bytes, ending: int) -> None:
        if not self._run:
            self._run_start = start
        piece = quoted_printable(text) + (b"\r\n" if ending else b"=\r\n")
        self._run.append(piece)
        self._run_size += len(piece)
        if self._run_size > _BATCH:
            self._flush(start + len(text) + ending)

    def _flush(self, stop: int) -> None:
        if self._run:
            self.edits.append((self._run_start, stop, b"".join(self._run)))
            self._run = []
            self._run_size = 0


def quoted_printable(line: bytes) -> bytes:
    """A line, without its end, in quoted-printable (RFC 2045 section 6.7), broken where smtp(8) breaks it."""
    text = line if len(line) < _FULL and _ODD.search(line) is None else _broken(line)
    if text[-1:] in (b" ", b"\t"):
        text = text[:-1] + _CODES[text[-1:]]
    return text


def _broken(line: bytes) -> bytes:
    encoded = _ODD.sub(lambda match: _CODES[match[0]], line)
    pieces: list[bytes] = []
    position = 0
    while len(encoded) - position > _FULL:
        stop = position + _FULL
        # A code that begins before the mark goes whole onto this line.
        mark = encoded.rfind(b"=", stop - 2, stop)
        if mark >= 0:
            stop = mark + 3
        if stop >= len(encoded):
            break
        pieces.append(encoded[position:stop] + b"=\r\n")
        position = stop
    pieces.append(encoded[position:])
    return b"".join(pieces)
