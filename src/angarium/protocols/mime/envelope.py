"""ENVELOPE (RFC 9051 section 7.5.2) from the header fields of a message, in wire form.

A field that comes several times: of texts the last counts, addresses add up. Sender and Reply-To default to From.
Bounded by ``MAX_ADDRESS_TEXT``: of more, the addresses that stand first are shown.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from angarium.protocols.mime.address import parse_addresses
from angarium.protocols.mime.header import unfold
from angarium.protocols.mime.types import MAX_ADDRESS_TEXT
from angarium.protocols.mime.wire import human, nstring

_ADDRESSES = frozenset((b"from", b"sender", b"reply-to", b"to", b"cc", b"bcc"))
_TEXTS = frozenset((b"date", b"subject", b"in-reply-to", b"message-id"))
ENVELOPE_FIELDS = _ADDRESSES | _TEXTS
_SHORT = 120


class AddressRoom:
    """How many bytes of address fields may still be read; one for several envelopes bounds them together.

    What becomes more than twice as long counts as half of what it becomes: a comma can stand for an address.
    """

    __slots__ = ("left",)

    def __init__(self, left: int = MAX_ADDRESS_TEXT) -> None:
        self.left = left

    def take(self, value: bytes) -> bytes:
        """As much of a field as there is room for, cut behind an address."""
        if len(value) > self.left:
            value = value[: max(value.rfind(b",", 0, self.left), 0)]
            self.left = len(value)
        return value

    def spend(self, value: bytes, rendered: bytes) -> None:
        """A field was read."""
        self.left = max(self.left - max(len(value), len(rendered) // 2), 0)


def envelope(fields: Iterable[tuple[bytes, bytes]], room: AddressRoom | None = None) -> bytes:
    """The parenthesised list for ``(lower-case name, raw value)`` pairs."""
    room = room or AddressRoom()
    texts: dict[bytes, bytes] = {}
    found: dict[bytes, list[bytes]] = {}
    for name, value in fields:
        if name in _ADDRESSES:
            if len(value) <= _SHORT <= room.left:
                rendered = _short_addresses(value)
            else:
                value = room.take(value)  # noqa: PLW2901 - the rest of it is not looked at
                rendered = _addresses(value)
            room.spend(value, rendered)
            found.setdefault(name, []).append(rendered)
        elif name in _TEXTS:
            texts[name] = value
    addresses = {name: b"".join(rendered) for name, rendered in found.items()}
    sender = _list(addresses.get(b"from"))
    date = texts.get(b"date")
    reply = texts.get(b"in-reply-to")
    message_id = texts.get(b"message-id")
    return b"(%b %b %b %b %b %b %b %b %b %b)" % (
        nstring(None if date is None else unfold(date)),
        human(texts.get(b"subject")),
        sender,
        _list(addresses[b"sender"]) if addresses.get(b"sender") else sender,
        _list(addresses[b"reply-to"]) if addresses.get(b"reply-to") else sender,
        _list(addresses.get(b"to")),
        _list(addresses.get(b"cc")),
        _list(addresses.get(b"bcc")),
        nstring(None if reply is None else unfold(reply)),
        nstring(None if message_id is None else unfold(message_id)),
    )


def _list(rendered: bytes | None) -> bytes:
    return b"(%b)" % rendered if rendered else b"NIL"


@lru_cache(maxsize=2048)
def _short_addresses(value: bytes) -> bytes:
    """The same few people write to each other."""
    return _addresses(value)


def _addresses(value: bytes) -> bytes:
    """The addresses of a raw value in wire form, side by side."""
    return b"".join(
        [
            b"(%b %b %b %b)" % (human(one.name), nstring(one.route), nstring(one.mailbox), nstring(one.host))
            for one in parse_addresses(unfold(value))
        ]
    )
