"""LDAP messages: what a client sends, and what comes back (RFC 4511 section 4).

``LdapReader`` frames first, by the outer length, and bounds it; then it parses one message. A message of a kind that
is not known is kept as ``Other``.

Fails with BerError; after one the stream has no meaning any more.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass

from angarium.protocols.ldap import ber
from angarium.protocols.ldap.ber import BerError, Decoder

MESSAGE_LIMIT = 16 * 1024 * 1024
START_TLS = "1.3.6.1.4.1.1466.20037"

_BIND, _BOUND, _UNBIND, _SEARCH, _ENTRY, _DONE, _REFERENCE, _EXTENDED, _EXTENDED_DONE = (
    0x60, 0x61, 0x42, 0x63, 0x64, 0x65, 0x73, 0x77, 0x78,
)  # fmt: skip


class Scope(enum.IntEnum):
    """How far down a search goes."""

    BASE = 0
    ONE = 1
    SUB = 2


class ResultCode(enum.IntEnum):
    """The results that mean something here (RFC 4511 section 4.1.9)."""

    SUCCESS = 0
    SIZE_LIMIT_EXCEEDED = 4
    PARTIAL_RESULTS = 9
    REFERRAL = 10
    SASL_BIND_IN_PROGRESS = 14
    NO_SUCH_OBJECT = 32


@dataclass(frozen=True, slots=True)
class Result:
    """How an operation ended.

    Attributes:
        code: see ``ResultCode``.
        text: the server's words.
        referrals: URLs of who may know more.
    """

    code: int
    text: str = ""
    referrals: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.code}: {self.text}" if self.text else str(self.code)


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry that a search found: its attributes in the server's order."""

    name: str
    attributes: tuple[tuple[str, tuple[bytes, ...]], ...]


@dataclass(frozen=True, slots=True)
class Reference:
    """A part of the search that other servers could do."""

    urls: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Other:
    """A message that is of no interest, as a notice of disconnection."""

    tag: int


Operation = Result | Entry | Reference | Other


@dataclass(frozen=True, slots=True)
class Message:
    """A message and the number of the request that it answers."""

    number: int
    operation: Operation


@dataclass(frozen=True, slots=True)
class Search:
    """A search.

    Attributes:
        base: the DN where it starts.
        scope: how far down it goes.
        filter: as text, RFC 4515.
        attributes: which ones to return; none: all.
        dereference: of aliases: 0 never, 1 in searching, 2 in finding the base, 3 always.
        size_limit: the most entries; 0: no limit.
        time_limit: seconds; 0: no limit.
    """

    base: str
    scope: Scope
    filter: str
    attributes: tuple[str, ...]
    dereference: int = 0
    size_limit: int = 0
    time_limit: int = 0


def _message(number: int, operation: bytes) -> bytes:
    return ber.sequence(ber.integer(number), operation)


def _text(value: str) -> bytes:
    return value.encode("utf-8", "surrogateescape")


def simple_bind(number: int, version: int, name: str, password: str) -> bytes:
    """Log in with a name and a password, or as nobody when both are empty."""
    credentials = ber.octets(_text(password), 0x80)
    return _message(number, ber.sequence(ber.integer(version), ber.octets(_text(name)), credentials, tag=_BIND))


def sasl_bind(number: int, name: str, mechanism: str, credentials: bytes) -> bytes:
    """Log in by SASL, with a mechanism that is done after one message."""
    sasl = ber.sequence(ber.octets(mechanism.encode()), ber.octets(credentials), tag=0xA3)
    return _message(number, ber.sequence(ber.integer(3), ber.octets(_text(name)), sasl, tag=_BIND))


def start_tls(number: int) -> bytes:
    """Ask for TLS."""
    return _message(number, ber.sequence(ber.octets(START_TLS.encode(), 0x80), tag=_EXTENDED))


def unbind(number: int) -> bytes:
    """Say good-bye."""
    return _message(number, ber.element(_UNBIND, b""))


def search(number: int, request: Search, encoded_filter: bytes) -> bytes:
    """A search, its filter encoded already."""
    operation = ber.sequence(
        ber.octets(_text(request.base)),
        ber.enumerated(request.scope),
        ber.enumerated(request.dereference),
        ber.integer(request.size_limit),
        ber.integer(request.time_limit),
        ber.boolean(value=False),
        encoded_filter,
        ber.sequence(*(ber.octets(_text(name)) for name in request.attributes)),
        tag=_SEARCH,
    )
    return _message(number, operation)


class LdapReader:
    """Takes bytes, gives messages.

    Args:
        limit: bytes of the longest message.
    """

    __slots__ = ("_buffer", "_limit")

    def __init__(self, limit: int = MESSAGE_LIMIT) -> None:
        self._limit = limit
        self._buffer = bytearray()

    @property
    def pending(self) -> int:
        """Bytes of a message that is not complete."""
        return len(self._buffer)

    def receive_data(self, data: bytes) -> list[Message]:
        """The messages that are complete now. Raises BerError."""
        self._buffer += data
        messages: list[Message] = []
        while True:
            if self._buffer and self._buffer[0] != ber.SEQUENCE:
                raise BerError("this is not LDAP")
            length = ber.element_length(self._buffer)
            if length is not None and length > self._limit:
                raise BerError(f"message longer than {self._limit} bytes")
            if length is None or len(self._buffer) < length:
                return messages
            messages.append(_parse(bytes(self._buffer[:length])))
            del self._buffer[:length]


def _parse(data: bytes) -> Message:
    outer = Decoder(data).nested()
    number = outer.integer()
    match outer.tag:
        case 0x64:
            return Message(number, _entry(outer.nested(_ENTRY)))
        case 0x73:
            return Message(number, Reference(tuple(_strings(outer.nested(_REFERENCE)))))
        case 0x61 | 0x65 | 0x78 as tag:
            return Message(number, _result(outer.nested(tag)))
        case None:
            raise BerError("a message without an operation")
        case tag:
            return Message(number, Other(tag))


def _strings(elements: Decoder) -> Iterable[str]:
    while elements:
        yield elements.take(ber.OCTETS).decode("utf-8", "surrogateescape")


def _result(elements: Decoder) -> Result:
    code = elements.integer(ber.ENUMERATED)
    elements.take(ber.OCTETS)
    text = elements.take(ber.OCTETS).decode("utf-8", "replace")
    referrals = tuple(_strings(elements.nested(0xA3))) if elements.tag == 0xA3 else ()
    if code == ResultCode.PARTIAL_RESULTS:
        # LDAPv2's way to say that other servers hold more: the URLs are lines of the text.
        return Result(ResultCode.SUCCESS, "", tuple(text.split("\n")[1:]))
    return Result(code, text, referrals)


def _entry(elements: Decoder) -> Entry:
    name = elements.take(ber.OCTETS).decode("utf-8", "surrogateescape")
    attributes: list[tuple[str, tuple[bytes, ...]]] = []
    rows = elements.nested()
    while rows:
        row = rows.nested()
        attribute = row.take(ber.OCTETS).decode("utf-8", "surrogateescape")
        values = row.nested(ber.SET)
        found: list[bytes] = []
        while values:
            found.append(values.take(ber.OCTETS))
        attributes.append((attribute, tuple(found)))
    return Entry(name, tuple(attributes))
