"""The values of the MIME package, and the bounds within which it works.

A message that exceeds a bound still gets a valid answer: what lies beyond the bound is opaque, a leaf of the type that
its own header declares, or of the part above.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from msgspec import Struct

MAX_NESTING = 100
"""Levels of multipart and message/rfc822 that are taken apart."""
MAX_PARTS = 10_000
"""Parts of one message that are told apart."""
MAX_HEADER = 1024 * 1024
"""Bytes of one header block that are read for fields; the rest of it is skipped."""
MAX_FIELDS = 4096
"""Fields of one header block that are read."""
MAX_PARAMETERS = 256
"""Parameters of one Content-Type or Content-Disposition field."""
MAX_BROKEN = 256
"""Pieces of such a field that make no sense; behind them the rest is none of its parameters."""
MAX_ADDRESSES = 8192
"""Addresses of one field."""
MAX_ADDRESS_TEXT = 256 * 1024
"""Bytes of the address fields of one header block that are read; the addresses behind them are not shown."""
MAX_ENCLOSED_ADDRESS_TEXT = 512 * 1024
"""The same of all messages that are enclosed in one."""


class PartSpan(Struct, frozen=True):
    """Where one part lies in the message, in bytes: header from ``start``, body from ``body``, end at ``end``.

    ``path`` is IMAP's part number as a tuple; the empty tuple is the message itself. For a message/rfc822 part,
    the enclosed message's own header begins at ``body`` and its text at ``inner``; -1 elsewhere.
    """

    path: tuple[int, ...]
    start: int
    body: int
    end: int
    inner: int = -1


@dataclass(frozen=True, slots=True)
class MediaType:
    """A Content-Type: ``type/subtype`` in the writer's own case, and its parameters in order, names as written."""

    type: bytes
    subtype: bytes
    parameters: tuple[tuple[bytes, bytes], ...] = ()

    def parameter(self, name: bytes) -> bytes | None:
        """The value of the first parameter of that lower-case name."""
        for key, value in self.parameters:
            if key.lower() == name:
                return value
        return None


TEXT_PLAIN = MediaType(b"text", b"plain")
INVALID_TYPE = MediaType(b"", b"")
"""What a Content-Type that cannot be read says."""
MESSAGE_RFC822 = MediaType(b"message", b"rfc822")


@dataclass(slots=True)
class Part:
    """One node of the tree: a leaf, a multipart, or a message/rfc822 with exactly one child.

    Mutable while the scanner builds it; readers treat it as frozen.

    Attributes:
        start: offset of its header.
        body: offset of its body.
        end: offset of its end.
        fields: its Content-* fields by lower-case name without ``content-``; raw values, the first of a name. Those
            of a message without Content-Type and MIME-Version do not count.
        media: its type; TEXT_PLAIN (or MESSAGE_RFC822 in a digest) when the header does not say.
        children: parts of a multipart, or the one message of a message/rfc822.
        multipart: it was taken apart as a multipart.
        message: it was taken apart as an enclosed message.
    """

    start: int
    body: int = -1
    end: int = -1
    fields: dict[bytes, bytes] = field(default_factory=dict)
    media: MediaType = TEXT_PLAIN
    children: list[Part] = field(default_factory=list)
    multipart: bool = False
    message: bool = False
    lines: int = 0
