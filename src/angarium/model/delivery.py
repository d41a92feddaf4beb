"""What the queue manager asks of a delivery agent, and what it hears back.

Data goes down once, as one flat value with the content by reference; one result comes back for each recipient.
Times are stored absolute and subtracted once, when logging (``delays=a/b/c/d``).
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from angarium.model.content import Content
from angarium.model.dsn import Dsn
from angarium.model.envelope import Envelope, Recipient


class Status(enum.Enum):
    """How an attempt ended for one recipient."""

    SENT = "sent"
    DEFERRED = "deferred"
    BOUNCED = "bounced"


@dataclass(frozen=True, slots=True)
class QueuedRecipient:
    """A recipient with its number in the message; (queue id, number) is what makes every later step idempotent."""

    number: int
    recipient: Recipient


@dataclass(frozen=True, slots=True)
class DeliveryRequest:
    """One message for one (transport, nexthop), to some of its recipients.

    Attributes:
        queue_id: as shown in the log.
        transport: the service name of master.cf: ``smtp``, ``virtual``, ``error`` …
        nexthop: domain, ``[host]:port``, or the transport's own argument.
        envelope: the message's envelope; its recipients are all of the message's, not only those to deliver now.
        recipients: those to deliver now.
        prefix: the header lines that we put before the content, in wire form.
        content: what the client sent.
        queued: seconds since the epoch when the message was committed to the queue.
        started: seconds since the epoch when the queue manager took it up for this attempt.
        verify: nothing is to be delivered; the results say what would become of it.
        through: the transports that have handed it on, the first first.
    """

    queue_id: str
    transport: str
    nexthop: str
    envelope: Envelope
    recipients: tuple[QueuedRecipient, ...]
    prefix: bytes
    content: Content
    queued: float
    started: float
    verify: bool = False
    through: tuple[str, ...] = ()

    def handed_on(
        self, transport: str, nexthop: str, recipients: tuple[QueuedRecipient, ...]
    ) -> DeliveryRequest | None:
        """The request for another transport; None when it goes in circles: that one has handed it on twice.

        Once is no circle: a user whom the other transport has renamed may well be the first one's to deliver to.
        """
        through = (*self.through, self.transport)
        if through.count(transport) > 1:
            return None
        return replace(
            self, transport=transport, nexthop=nexthop or self.nexthop, recipients=recipients, through=through
        )

    def circle(self, transport: str) -> str:
        """For the log: how it came to be handed on to a transport once too often."""
        way = " -> ".join((*self.through, self.transport, transport))
        return f"{self.queue_id}: transports hand on to each other: {way}"


CIRCLES = "unknown mail transport error"
"""Why mail is deferred (4.3.0) that transports hand on to each other: Postfix's words when its processes run out."""


@dataclass(frozen=True, slots=True)
class DeliveryResult:
    """How the attempt ended for one recipient.

    Attributes:
        recipient: which.
        status: sent, deferred or bounced.
        dsn: the enhanced status.
        relay: for the log: ``mx.example.org[192.0.2.1]:25``, ``virtual``, ``none``.
        text: for the log and the report, without the outer parentheses.
        remote_reply: the peer's words, for the Diagnostic-Code field of RFC 3464; empty when no peer spoke.
        remote_mta: the peer's host name for Remote-MTA; empty when no peer spoke.
        agent_ready: seconds since the epoch when the agent began to connect.
        connected: seconds since the epoch when the connection was set up.
        finished: seconds since the epoch when the outcome was known.
        destination_broken: the nexthop as a whole could not be reached; the queue manager slows down.
        relayed_dsn: the peer has taken on the duty to notify (it announced DSN), so a success report is not ours.
        relayed: what took the message sends it on from here, though no peer spoke (pipe(8) without its flag X).
        transport: to which of master.cf the recipient was handed on (mailbox_transport), so that the log line bears
            its name; empty when the agent that was asked delivered.
        final: the peer that took the message has put it into its mailbox (lmtp_assume_final), as far as anyone knows.
        conn_use: how many messages the connection has carried, this one included; the log shows it from 2 on.
        command_output: what a command said or its exit status means, when that is why it was not delivered; the report
            shows it as ``x-unix``.
        owner: who is told of a failure in place of the sender: the owner of a list; empty: the sender.
        others: what became of the recipient's other destinations, when it stands for several (local(8)); this result
            is the gravest, and the only one that counts for the queue.
    """

    recipient: QueuedRecipient
    status: Status
    dsn: Dsn
    relay: str
    text: str
    remote_reply: str = ""
    remote_mta: str = ""
    agent_ready: float = 0.0
    connected: float = 0.0
    finished: float = 0.0
    destination_broken: bool = False
    relayed_dsn: bool = False
    conn_use: int = 1
    command_output: str = ""
    owner: str = ""
    others: tuple[DeliveryResult, ...] = ()
    final: bool = False
    transport: str = ""
    relayed: bool = False

    def each(self) -> Iterator[DeliveryResult]:
        """This result and those of the recipient's other destinations, in the order in which they came about."""
        if self.others:
            yield from sorted((self, *self.others), key=lambda result: result.finished)
        else:
            yield self


class DeliveryAgent(Protocol):
    """A transport's delivery agent. It never raises for a delivery that failed: the result says so.

    An exception that does escape is a fault of ours; the queue manager logs it and defers the recipients.
    """

    async def deliver(self, request: DeliveryRequest) -> Sequence[DeliveryResult]:
        """Attempt the delivery; exactly one result for each recipient of the request."""
        ...
