"""Which line of a message is what: main header, header of a part, header of an attached message, body (RFC 2045, 2046).

Tells header_checks, mime_header_checks, nested_header_checks and body_checks apart as Postfix does: parts of
multipart/* and messages in message/rfc822 have headers of their own, everything else is body. Lines go in one by one;
no I/O, and constant memory but for one header and the boundaries.

What MIME forbids is noted in ``faults`` when it is asked for. What cannot be understood is body.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass

_NAME = re.compile(rb"([!-9;-~]+)[ \t]*:")
_TYPE = re.compile(rb"[ \t\r\n]*([!-.0-:<->@-~]+)[ \t\r\n]*/[ \t\r\n]*([!-:<->@-~]+)")
_BOUNDARY = re.compile(
    rb';[ \t\r\n]*boundary[ \t\r\n]*=[ \t\r\n]*(?:"((?:[^"\\]++|\\.)*+)"?|([^ \t\r\n;"]+))', re.IGNORECASE | re.DOTALL
)
_ESCAPE = re.compile(rb"\\(.)", re.DOTALL)
_MIME_NAMES = frozenset(
    {
        *(b"content-description", b"content-disposition", b"content-id", b"content-transfer-encoding", b"content-type"),
        b"mime-version",
    }
)
_ALWAYS = 2
"""How many levels Postfix lets pass before it begins to count."""


class Class(enum.Enum):
    """Whose checks look at a header."""

    PRIMARY = "header_checks"
    MIME = "mime_header_checks"
    NESTED = "nested_header_checks"


@dataclass(frozen=True, slots=True)
class WalkedHeader:
    """A header of a part or an attached message: where it is, and its text without the last line break."""

    kind: Class
    start: int
    stop: int
    text: bytes


@dataclass(frozen=True, slots=True)
class WalkedLine:
    """A line of a body.

    Attributes:
        start: where it begins.
        stop: where it ends, line break included.
        text: it, without the line break.
        offset: bytes of this body before it.
    """

    start: int
    stop: int
    text: bytes
    offset: int


class Fault(enum.Enum):
    """What a message may be refused for, in the order in which one of several is told."""

    NESTING = "MIME nesting exceeds safety limit"
    EIGHT_BIT_HEADER = "improper use of 8-bit data in message header"
    EIGHT_BIT_BODY = "improper use of 8-bit data in message body"
    ENCODING = "invalid message/* or multipart/* encoding domain"


@dataclass(frozen=True, slots=True)
class WalkLimits:
    """What a walk is bound to; each field is the parameter of that name, ``report`` the faults that are looked for."""

    mime_nesting_limit: int = 100
    mime_boundary_length_limit: int = 2048
    header_size_limit: int = 102400
    disable_mime_input_processing: bool = False
    report: frozenset[Fault] = frozenset()


_ENCODINGS = {
    b"7bit": b"7bit",
    b"8bit": b"8bit",
    b"binary": b"binary",
    b"base64": b"7bit",
    b"quoted-printable": b"7bit",
}
"""The content transfer encodings, and the domain of each (RFC 2045 section 6.2)."""


def _word(value: bytes) -> bytes:
    return value.split(b"(")[0].strip(b" \t\r\n;").lower()


def encoding_domain(header: bytes) -> bytes | None:
    """``7bit``, ``8bit`` or ``binary`` for a Content-Transfer-Encoding header; None for others and unknown words."""
    name, _, value = header.partition(b":")
    return _ENCODINGS.get(_word(value)) if name.lower() == b"content-transfer-encoding" else None


@dataclass(frozen=True, slots=True)
class _Level:
    boundary: bytes
    digest: bool


def header_class(name: bytes, state: Class) -> Class:
    """Content headers have the checks of MIME headers wherever they stand."""
    return Class.MIME if name.lower() in _MIME_NAMES else state


class MimeWalk:
    """Follows the structure of one message.

    Args:
        start: where the body begins.
        limits: main.cf.

    Attributes:
        faults: what was found, each once, with the text that it was found in.
        kind: the main type that the headers which have ended last have named, in lower case.
        boundaries: how many have been seen.
    """

    def __init__(self, start: int, limits: WalkLimits) -> None:
        self._position = start
        self._limits = limits
        self._enabled = not limits.disable_mime_input_processing
        self._levels: list[_Level] = []
        self._state: Class | None = Class.PRIMARY
        self._type = self._subtype = b""
        self._encoding = b"7bit"
        self.kind = b""
        self.boundaries = 0
        self._offset = 0
        self._pending: list[bytes] = []
        self._pending_size = 0
        self._pending_start = 0
        self._nesting = 0
        self.faults: dict[Fault, bytes] = {}

    @property
    def plain(self) -> bool:
        """All that follows is body, and nothing will be found in it."""
        return self._state is None and not self._levels and Fault.EIGHT_BIT_BODY not in self._limits.report

    @property
    def position(self) -> int:
        """Where the next line begins."""
        return self._position

    @property
    def in_headers(self) -> bool:
        """The next line may be a header."""
        return self._state is not None

    @property
    def idle(self) -> bool:
        """Only a boundary would change anything: lines that do not begin with ``--`` may be skipped."""
        return self._state is None and Fault.EIGHT_BIT_BODY not in self._limits.report

    @property
    def offset(self) -> int:
        """Bytes of this body that have been read."""
        return self._offset

    def skip(self, size: int) -> None:
        """Whole lines of a body, when ``idle``, that nobody wants to see: their bytes, line breaks included."""
        self._position += size
        self._offset += size

    def primary(self, text: bytes) -> None:
        """A header of the main block."""
        self._note(text)

    def line(self, text: bytes, ending: int) -> list[WalkedHeader | WalkedLine]:
        """The next line, without its line break of ``ending`` bytes; what is complete with it."""
        start = self._position
        self._position += len(text) + ending
        found: list[WalkedHeader | WalkedLine] = []
        state = self._state
        if state is not None:
            if self._pending:
                if text[:1] in (b" ", b"\t"):
                    self._add(b"\n" + text)
                    return found
                found.append(self._complete(state, start))
            match = _NAME.match(text)
            if match is not None:
                self._pending_start = start
                self._add(match[1] + b":" + text[match.end() :])
                return found
            self._header_ends(text)
            if self._state is not None:  # an attached message begins: its headers follow the empty line
                found.append(WalkedLine(start, self._position, text, 0))
                return found
        if self._levels and text.startswith(b"--"):
            self._boundary(text[2:])
        if self._encoding == b"7bit":
            self._eight_bit(Fault.EIGHT_BIT_BODY, text)
        found.append(WalkedLine(start, self._position, text, self._offset))
        self._offset += len(text) + 1
        return found

    def end(self) -> list[WalkedHeader | WalkedLine]:
        """There are no more lines."""
        if self._state is not None and self._pending:
            return [self._complete(self._state, self._position)]
        return []

    def _add(self, text: bytes) -> None:
        if self._pending_size < self._limits.header_size_limit:
            self._pending.append(text)
        self._pending_size += len(text)

    def _complete(self, state: Class, stop: int) -> WalkedHeader:
        text = b"".join(self._pending)
        self._pending.clear()
        self._pending_size = 0
        self._note(text)
        return WalkedHeader(header_class(text.partition(b":")[0], state), self._pending_start, stop, text)

    def _fault(self, fault: Fault, text: bytes) -> None:
        if fault in self._limits.report:
            self.faults.setdefault(fault, text)

    def _eight_bit(self, fault: Fault, text: bytes) -> None:
        if fault in self._limits.report and not text.isascii():
            self._fault(fault, text)

    def _note(self, text: bytes) -> None:
        """Learn what a Content-Type or Content-Transfer-Encoding header says."""
        if not self._enabled:
            return
        self._eight_bit(Fault.EIGHT_BIT_HEADER, text)
        if text[:8].lower() != b"content-":
            return
        name, _, value = text.partition(b":")
        if name.lower() == b"content-transfer-encoding":
            word = _word(value)
            if word in _ENCODINGS:
                self._encoding = word
        elif name.lower() == b"content-type":
            self._note_type(text)

    def _note_type(self, text: bytes) -> None:
        match = _TYPE.match(text, 13)
        if match is None:
            return
        self._type, self._subtype = match[1].lower(), match[2].lower()
        boundary = _BOUNDARY.search(text, match.end()) if self._type == b"multipart" else None
        if boundary is None:
            return
        self._nesting += 1
        if self._nesting > self._limits.mime_nesting_limit + _ALWAYS:
            self._fault(Fault.NESTING, text)
            return
        value = _ESCAPE.sub(rb"\1", boundary[1]) if boundary[1] is not None else boundary[2]
        self._levels.append(_Level(value[: self._limits.mime_boundary_length_limit], self._subtype == b"digest"))

    def _header_ends(self, text: bytes) -> None:
        kind, subtype, encoding = self._type, self._subtype, self._encoding
        self._type = self._subtype = b""
        self.kind = kind
        self._offset = 0
        self._state = None
        if kind in (b"message", b"multipart"):
            partial = kind == b"message" and subtype in (b"partial", b"external-body")
            if (_ENCODINGS[encoding] != b"7bit") if partial else (_ENCODINGS[encoding] != encoding):
                self._fault(Fault.ENCODING, encoding)
            self._encoding = b"7bit"
        if not text and self._enabled and kind == b"message" and subtype == b"rfc822":
            self._state = Class.NESTED

    def _boundary(self, text: bytes) -> None:
        for number in range(len(self._levels) - 1, -1, -1):
            level = self._levels[number]
            if text.startswith(level.boundary):
                self._encoding = b"7bit"
                self.boundaries += 1
                if text.startswith(b"--", len(level.boundary)):
                    del self._levels[number:]
                    self._nesting = number
                    return
                del self._levels[number + 1 :]
                self._nesting = number + 1
                self._state = Class.MIME
                if level.digest:
                    self._type, self._subtype = b"message", b"rfc822"
                return
