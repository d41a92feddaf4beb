"""What a message becomes when it leaves: smtp_generic_maps on its envelope and on the addresses in its headers.

The log and reports go on speaking of the addresses inside; the server hears those of the outside. Without a map a
message leaves as it is, at no cost. Failures: a table that cannot be asked is a ``MailError``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from angarium.cleanup.generic import GenericMap
from angarium.model.content import Content
from angarium.model.delivery import DeliveryRequest
from angarium.model.envelope import Envelope, Recipient


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message as the server gets it; ``recipients`` by their number in the queue."""

    envelope: Envelope
    recipients: dict[int, Recipient]
    prefix: bytes
    content: Content

    @classmethod
    def of(cls, request: DeliveryRequest) -> Outgoing:
        """As it is."""
        people = {queued.number: queued.recipient for queued in request.recipients}
        return cls(request.envelope, people, request.prefix, request.content)

    def named(self, numbers: Sequence[int]) -> list[Recipient]:
        """The recipients of these numbers."""
        return [self.recipients[number] for number in numbers]

    @property
    def size(self) -> int:
        """Octets, headers of ours included."""
        return len(self.prefix) + self.content.size


async def mapped(request: DeliveryRequest, generic: GenericMap | None) -> Outgoing:
    """The message as it leaves. Raises MailError."""
    message = Outgoing.of(request)
    if generic is None:
        return message
    envelope = replace(request.envelope, sender=await generic.address(request.envelope.sender))
    people = {
        number: replace(recipient, address=await generic.address(recipient.address))
        for number, recipient in message.recipients.items()
    }
    return Outgoing(envelope, people, b"", await generic.content(request.prefix, request.content))
