"""Asks where an address would be delivered whether it is: what address verification rests on (verify(8)).

The address takes the way of mail: aliases are expanded, and when they make several addresses of it, it is deliverable;
else the transport is asked. ``smtp`` is asked over the network, up to RCPT; a mailbox of ours by its tables; ``error``
and ``retry`` have said it already. A transport that cannot be asked is taken to deliver.

Failures: what fails for now is "unverified".
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from angarium.cleanup.process import CleanupService
from angarium.model.delivery import DeliveryResult, Status
from angarium.model.dsn import Dsn
from angarium.model.envelope import Envelope, Origin, Recipient
from angarium.model.error import MailError
from angarium.model.lookup import TemporaryError
from angarium.policy.probesender import probe_sender
from angarium.policy.verification import Finding, Standing
from angarium.rewrite.resolve import TrivialRewrite

Ask = Callable[[str, str, Envelope], Awaitable[DeliveryResult]]
"""``(transport, nexthop, envelope of one recipient)`` -> how the delivery would end."""

_DELIVERABLE = Finding(Standing.DELIVERABLE)
_STANDINGS = {
    Status.SENT: Standing.DELIVERABLE,
    Status.DEFERRED: Standing.UNCERTAIN,
    Status.BOUNCED: Standing.UNDELIVERABLE,
}


class Prober:
    """The probes of one process.

    Args:
        cleanup: expands aliases.
        resolver: finds the way.
        transports: whom to ask, by transport.
        refusing: transports that run error(8) -> whether they only defer.
        sender: who asks (address_verify_sender).
        clock: seconds since the epoch.
        sender_ttl: for how long the sender stays the same (address_verify_sender_ttl); 0: always.
    """

    def __init__(
        self,
        cleanup: CleanupService,
        resolver: TrivialRewrite,
        transports: Mapping[str, Ask],
        refusing: Mapping[str, bool],
        sender: str,
        clock: Callable[[], float],
        sender_ttl: float = 0.0,
    ) -> None:
        self._cleanup = cleanup
        self._resolver = resolver
        self._transports = transports
        self._refusing = refusing
        self._sender = resolver.rewrite(sender) if sender and sender != "<>" else ""
        self._sender_ttl = sender_ttl
        self._clock = clock

    async def probe(self, address: str) -> Finding:
        """Ask about one address."""
        sender = probe_sender(self._sender, self._sender_ttl, self._clock())
        envelope = Envelope(sender, (Recipient(address, address),), self._clock(), Origin("local"))
        try:
            recipients = await self._cleanup.final_recipients(envelope)
        except MailError as error:
            return Finding(Standing.UNCERTAIN, error.cause or str(error.reply))
        if len(recipients) != 1:
            return _DELIVERABLE
        way = await self._resolver.resolve(sender, recipients[0].address)
        if isinstance(way, TemporaryError):
            return Finding(Standing.UNCERTAIN, f"{way.source}: {way.cause}")
        if way.transport in self._refusing:
            _, text = Dsn.split(way.nexthop)
            return Finding(Standing.UNCERTAIN if self._refusing[way.transport] else Standing.UNDELIVERABLE, text)
        ask = self._transports.get(way.transport)
        if ask is None:
            return _DELIVERABLE
        final = Envelope(sender, (Recipient(way.recipient, address),), envelope.arrival, envelope.origin)
        result = await ask(way.transport, way.nexthop, final)
        return Finding(_STANDINGS[result.status], result.text)
