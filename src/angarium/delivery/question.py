"""How the queue manager asks the process of root's: one connection a delivery, a question and its answer.

The question is one line of JSON, with a descriptor beside its first byte: a file in memory that holds the message, the
prefix first. The answer is one line too, whose form the agent knows. No addresses but those to deliver to are sent, and
no content passes through the socket.

Both sides bound what they read; what makes no sense is a ValueError.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, fields
from typing import Any

from angarium.model.content import ContentLostError
from angarium.model.delivery import DeliveryRequest, QueuedRecipient
from angarium.model.envelope import BodyType, Envelope, Forwarded, Origin, Recipient, Ret

LINE = 64 * 1024 * 1024
"""Bytes of a question or an answer: an alias may have very many addresses."""

_PIECE = 65536
_ORIGIN = {field.name: field.default for field in fields(Origin)}
_SEALS = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL


class DescriptorContent:
    """Content in an open file, from an offset on (``model.content.Content``). Closes nothing."""

    def __init__(self, descriptor: int, offset: int, size: int) -> None:
        self._descriptor = descriptor
        self._offset = offset
        self._size = size

    @property
    def size(self) -> int:
        """Bytes."""
        return self._size

    def chunks(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """The bytes from ``start`` to ``stop`` in pieces of 64 KiB."""
        end = self._size if stop is None else min(stop, self._size)
        while start < end:
            piece = os.pread(self._descriptor, min(_PIECE, end - start), self._offset + start)
            if not piece:
                raise ContentLostError("the message became shorter")
            yield piece
            start += len(piece)

    def read(self, start: int = 0, stop: int | None = None) -> bytes:
        """The bytes from ``start`` to ``stop`` at once."""
        return b"".join(self.chunks(start, stop))


def message_file(request: DeliveryRequest) -> int:
    """A descriptor of a file in memory with prefix and content. Raises OSError."""
    descriptor = os.memfd_create("message", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        for piece in (request.prefix, *request.content.chunks()):
            rest = memoryview(piece)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
        os.fchmod(descriptor, 0)  # nobody shall open it by way of /proc
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _SEALS)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def encode_request(request: DeliveryRequest) -> bytes:
    """The question about a delivery."""
    envelope = request.envelope
    return json_line(
        {
            "queue_id": request.queue_id,
            "transport": request.transport,
            "nexthop": request.nexthop,
            "queued": request.queued,
            "started": request.started,
            "verify": request.verify,
            "prefix": len(request.prefix),
            "sender": envelope.sender,
            "arrival": envelope.arrival,
            "smtputf8": envelope.smtputf8,
            "origin": _facts(envelope.origin),
            "recipients": [
                [each.number, each.recipient.address, each.recipient.original] for each in request.recipients
            ],
        }
    )


def _facts(origin: Origin) -> dict[str, object]:
    """What an origin says, without what it leaves unsaid."""
    if origin.forwarded is not None:
        return asdict(origin)
    return {name: value for name in _ORIGIN if (value := getattr(origin, name)) != _ORIGIN[name]}


def decode_request(line: bytes, descriptor: int) -> DeliveryRequest:
    """The delivery that a question is about; it reads from ``descriptor``. Raises ValueError, OSError."""
    try:
        asked = json.loads(line)
        people = tuple(QueuedRecipient(number, Recipient(address, old)) for number, address, old in asked["recipients"])
        size = os.fstat(descriptor).st_size
        prefix = int(asked["prefix"])
        if not 0 <= prefix <= size:
            raise ValueError("a prefix longer than the message")
        return DeliveryRequest(
            queue_id=str(asked["queue_id"]),
            transport=str(asked["transport"]),
            nexthop=str(asked["nexthop"]),
            envelope=Envelope(
                sender=str(asked["sender"]),
                recipients=tuple(each.recipient for each in people),
                arrival=float(asked["arrival"]),
                origin=_origin(asked["origin"]),
                body=BodyType.UNSAID,
                smtputf8=bool(asked["smtputf8"]),
                ret=Ret.UNSAID,
            ),
            recipients=people,
            prefix=os.pread(descriptor, prefix, 0),
            content=DescriptorContent(descriptor, prefix, size - prefix),
            queued=float(asked["queued"]),
            started=float(asked["started"]),
            verify=bool(asked["verify"]),
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"not a delivery: {error}") from error


def _origin(said: dict[str, Any]) -> Origin:
    forwarded = said.pop("forwarded", None)
    return Origin(**said, forwarded=Forwarded(**forwarded) if forwarded is not None else None)


def json_line(value: object) -> bytes:
    """A value as one line."""
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"
