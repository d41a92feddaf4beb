"""The Basic Encoding Rules as LDAP restricts them (RFC 4511 section 5.1): definite lengths, tags of one byte.

Encoding is functions from values to bytes. ``Decoder`` walks through the elements of a value that is all there;
``element_length`` tells how many bytes the first element of a stream has.

Fails with BerError for anything else. Bounded by what it is given: it copies slices, and does not recurse.
"""

from __future__ import annotations

BOOLEAN = 0x01
INTEGER = 0x02
OCTETS = 0x04
ENUMERATED = 0x0A
SEQUENCE = 0x30
SET = 0x31

_LONGEST_LENGTH = 4  # bytes of a length; four gigabytes are enough


class BerError(ValueError):
    """The bytes are not BER, or not what was expected at this place."""


def element(tag: int, content: bytes) -> bytes:
    """Tag, length, content."""
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + content


def integer(value: int, tag: int = INTEGER) -> bytes:
    """A number of zero or more."""
    return element(tag, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def enumerated(value: int) -> bytes:
    """One of a list."""
    return integer(value, ENUMERATED)


def boolean(*, value: bool, tag: int = BOOLEAN) -> bytes:
    """True or false."""
    return element(tag, b"\xff" if value else b"\0")


def octets(value: bytes, tag: int = OCTETS) -> bytes:
    """A string."""
    return element(tag, value)


def sequence(*elements: bytes, tag: int = SEQUENCE) -> bytes:
    """Elements in a row."""
    return element(tag, b"".join(elements))


def element_length(data: bytes | bytearray) -> int | None:
    """How many bytes the first element has, head and all; None: more must come to tell. Raises BerError."""
    if len(data) < 2:
        return None
    first = data[1]
    if first < 0x80:
        return 2 + first
    count = first & 0x7F
    if not 0 < count <= _LONGEST_LENGTH:
        raise BerError("a length that LDAP does not allow")
    if len(data) < 2 + count:
        return None
    return 2 + count + int.from_bytes(data[2 : 2 + count], "big")


class Decoder:
    """The elements of ``data``, one after the other."""

    __slots__ = ("_at", "_data")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def __bool__(self) -> bool:
        """There are more elements."""
        return self._at < len(self._data)

    @property
    def tag(self) -> int | None:
        """The next element's tag; None at the end."""
        return self._data[self._at] if self else None

    def take(self, tag: int | None = None) -> bytes:
        """The next element's content; ``tag``: it must have this one. Raises BerError."""
        length = element_length(self._data[self._at : self._at + 2 + _LONGEST_LENGTH])
        if length is None or self._at + length > len(self._data):
            raise BerError("the data ends within an element")
        if tag is not None and self._data[self._at] != tag:
            raise BerError(f"tag {self._data[self._at]:#x} where {tag:#x} should be")
        first = self._data[self._at + 1]
        start = self._at + 2 + (first & 0x7F if first >= 0x80 else 0)
        self._at += length
        return self._data[start : self._at]

    def integer(self, tag: int = INTEGER) -> int:
        """The next element, a number. Raises BerError."""
        content = self.take(tag)
        if not 0 < len(content) <= 8:
            raise BerError("a number that is too long")
        return int.from_bytes(content, "big", signed=True)

    def nested(self, tag: int = SEQUENCE) -> Decoder:
        """The elements inside the next element. Raises BerError."""
        return Decoder(self.take(tag))
