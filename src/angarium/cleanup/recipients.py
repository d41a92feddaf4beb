"""The envelope: addresses completed and mapped, automatic copies added, aliases expanded, duplicates dropped.

The order is cleanup(8)'s: completed, sender_canonical_maps or recipient_canonical_maps, canonical_maps, masquerade;
then virtual aliases. The copies of sender_bcc_maps come first, those of recipient_bcc_maps after their recipient,
those of header checks and always_bcc last. Copies carry NOTIFY=NEVER and are mapped as recipients are.

Of recipients that are the same in address, original address and what RFC 3461 says of them, the first stays; without
enable_original_recipient the address alone counts. duplicate_filter_limit is how many are remembered.

``AddressRules`` is what envelope and header have in common: which maps apply to which class of address. Nothing is
asked, and no task switched, for what is not configured. Failures: MailError.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from angarium.cleanup.aliases import AliasExpander
from angarium.cleanup.mapping import AddressMap, Canonical, Masquerade, Step, map_error
from angarium.cleanup.parameters import CleanupParameters
from angarium.model.envelope import Envelope, Notify, Recipient
from angarium.model.lookup import TemporaryError
from angarium.rewrite.resolve import TrivialRewrite
from angarium.runtime.log import ServiceLog
from angarium.tables.maps import AddressMatch, Maps, find_address
from angarium.tables.matchlist import MatchList
from angarium.tables.opener import TableOpener


class AddressRules:
    """What becomes of an address of each class (``envelope_sender``, ``header_recipient`` …), after its completion.

    Args:
        parameters: main.cf.
        resolver: completes results, and knows which domains are ours.
        opener: opens the tables.
        log: of cleanup.
    """

    def __init__(
        self, parameters: CleanupParameters, resolver: TrivialRewrite, opener: TableOpener, log: ServiceLog
    ) -> None:
        propagate = "canonical" in parameters.propagate_unmatched_extensions
        delimiters = parameters.recipient_delimiter

        def canonical(name: str, tables: Sequence[str]) -> Step | None:
            maps = Maps.open(name, tables, opener)
            if not maps:
                return None
            table = AddressMap(maps, delimiters, resolver.rewrite_listed, resolver.is_own, propagate=propagate, log=log)
            return Canonical(table, log)

        of_sender = canonical("sender_canonical_maps", parameters.sender_canonical_maps)
        of_recipient = canonical("recipient_canonical_maps", parameters.recipient_canonical_maps)
        common = canonical("canonical_maps", parameters.canonical_maps)
        masquerade: Step | None = None
        if parameters.masquerade_domains:
            exceptions = MatchList("masquerade_exceptions", parameters.masquerade_exceptions, opener)
            masquerade = Masquerade(parameters.masquerade_domains, exceptions)

        def steps(kind: str) -> Step | None:
            sender = kind.endswith("sender")
            own = of_sender if sender else of_recipient
            own_classes = parameters.sender_canonical_classes if sender else parameters.recipient_canonical_classes
            wanted = (
                (own, own_classes),
                (common, parameters.canonical_classes),
                (masquerade, parameters.masquerade_classes),
            )
            return _chain([step for step, classes in wanted if step is not None and kind in classes])

        self.envelope_sender = steps("envelope_sender")
        self.envelope_recipient = steps("envelope_recipient")
        self.header_sender = steps("header_sender")
        self.header_recipient = steps("header_recipient")


def _chain(steps: list[Step]) -> Step | None:
    if len(steps) < 2:
        return steps[0] if steps else None

    async def all_of_them(address: str, queue_id: str) -> str:
        for step in steps:
            address = await step(address, queue_id)
        return address

    return all_of_them


@dataclass(frozen=True, slots=True)
class Leave:
    """What may be done to a message.

    Attributes:
        mapping: canonical, masquerade, virtual aliases.
        copies: automatic copies.
    """

    mapping: bool = True
    copies: bool = True


@dataclass(slots=True)
class FinalEnvelope:
    """The addresses of a message, as they go into the queue.

    Attributes:
        sender: of the message.
        recipients: so far.
        last: the last recipient before its aliases, as the log of header checks shows it.
        expanded: see ``Envelope.expanded``.
        same: all is as it was received.
    """

    sender: str
    recipients: list[Recipient]
    last: str
    expanded: tuple[Recipient, ...] = ()
    same: bool = False


class EnvelopeRules:
    """What becomes of envelopes.

    Args:
        parameters: main.cf.
        resolver: completes addresses, and knows which domains are ours.
        opener: opens the tables.
        rules: the maps that come before aliases.
        log: of cleanup.
    """

    def __init__(
        self,
        parameters: CleanupParameters,
        resolver: TrivialRewrite,
        opener: TableOpener,
        rules: AddressRules,
        log: ServiceLog,
    ) -> None:
        self._parameters = parameters
        self._resolver = resolver
        self._rules = rules
        self._sender_copies = Maps.open("sender_bcc_maps", parameters.sender_bcc_maps, opener)
        self._recipient_copies = Maps.open("recipient_bcc_maps", parameters.recipient_bcc_maps, opener)
        self._aliases: AliasExpander | None = None
        maps = Maps.open("virtual_alias_maps", parameters.virtual_alias_maps, opener)
        if maps:
            propagate = "virtual" in parameters.propagate_unmatched_extensions
            delimiters = parameters.recipient_delimiter
            table = AddressMap(maps, delimiters, resolver.rewrite_listed, resolver.is_own, propagate=propagate, log=log)
            self._aliases = AliasExpander(table, parameters)
        self._simple = not (
            maps
            or self._sender_copies
            or self._recipient_copies
            or parameters.always_bcc
            or rules.envelope_recipient
            or rules.envelope_sender
        )
        self._bouncer = resolver.rewrite("MAILER-DAEMON").lower()

    def simple(self, envelope: Envelope) -> FinalEnvelope | None:
        """The commonest case, without a wait: one recipient, and nothing is configured that concerns envelopes."""
        if not self._simple or len(envelope.recipients) != 1:
            return None
        rewrite = self._resolver.rewrite
        sender = rewrite(envelope.sender)
        if sender and sender.lower() == self._bouncer:
            sender = ""
        only = envelope.recipients[0]
        address = rewrite(only.address or self._parameters.empty_address_recipient)
        if address == only.address:
            return FinalEnvelope(sender, [only], address, same=sender == envelope.sender)
        return FinalEnvelope(sender, [replace(only, address=address)], address)

    async def finish(self, queue_id: str, envelope: Envelope, leave: Leave) -> FinalEnvelope:
        """All but the copies that come last. Raises MailError."""
        rewrite = self._resolver.rewrite
        rules = self._rules
        sender = rewrite(envelope.sender)
        if sender and sender.lower() == self._bouncer:
            sender = ""
        if leave.mapping and sender and rules.envelope_sender is not None:
            sender = await rules.envelope_sender(sender, queue_id)
        return await self._several(queue_id, envelope, sender, leave)

    async def _several(self, queue_id: str, envelope: Envelope, sender: str, leave: Leave) -> FinalEnvelope:
        out = _Collector(self._parameters, queue_id, leave)
        if leave.copies and sender and self._sender_copies:
            await self._copy(out, self._sender_copies, sender)
        mapped = self._rules.envelope_recipient if leave.mapping else None
        address = ""
        for recipient in envelope.recipients:
            address = self._resolver.rewrite(recipient.address or self._parameters.empty_address_recipient)
            if mapped is not None:
                address = await mapped(address, queue_id)
            await self._add(out, recipient, address)
            if leave.copies and address and self._recipient_copies:
                await self._copy(out, self._recipient_copies, address)
        same = (
            len(envelope.recipients) == len(out.recipients) == 1
            and out.recipients[0] is envelope.recipients[0]
            and sender == envelope.sender
            and not envelope.expanded
        )
        return FinalEnvelope(sender, out.recipients, address, tuple(out.expanded), same=same)

    async def add_copies(self, queue_id: str, final: FinalEnvelope, addresses: Sequence[str], leave: Leave) -> None:
        """The copies that come last: ``addresses``, and always_bcc. Raises MailError."""
        if leave.copies and self._parameters.always_bcc:
            addresses = [*addresses, self._parameters.always_bcc]
        if addresses:
            out = _Collector(self._parameters, queue_id, leave, final.recipients)
            for address in addresses:
                await self._add_copy(out, address)

    async def expanded(self, recipients: Sequence[Recipient]) -> tuple[Recipient, ...]:
        """The recipients alone, without copies (``sendmail -bv``). Raises MailError."""
        mapped = self._rules.envelope_recipient
        out = _Collector(self._parameters, "", Leave())
        for recipient in recipients:
            address = self._resolver.rewrite(recipient.address)
            await self._add(out, recipient, address if mapped is None else await mapped(address, ""))
        return tuple(out.recipients)

    async def _copy(self, out: _Collector, maps: Maps, address: str) -> None:
        match = await find_address(maps, address, self._parameters.recipient_delimiter, self._resolver.is_own)
        if isinstance(match, TemporaryError):
            raise map_error(f"{maps.parameter} map lookup problem", match)
        if isinstance(match, AddressMatch):
            await self._add_copy(out, match.found.value)

    async def _add_copy(self, out: _Collector, text: str) -> None:
        address = self._resolver.rewrite(text)
        if out.leave.mapping and self._rules.envelope_recipient is not None:
            address = await self._rules.envelope_recipient(address, out.queue_id)
        await self._add(out, Recipient(address, address, Notify.NEVER), address)

    async def _add(self, out: _Collector, recipient: Recipient, address: str) -> None:
        if self._aliases is None or not out.leave.mapping:
            out.add(recipient, address)
            return
        addresses = await self._aliases.expand(address, out.queue_id)
        if recipient.notify & Notify.SUCCESS and addresses != [address]:
            # Whoever asked hears that the alias was expanded, and no more of its success (RFC 3461 section 5.2.7.3).
            out.expanded.append(replace(recipient, address=address))
            recipient = replace(recipient, notify=recipient.notify & ~Notify.SUCCESS or Notify.NEVER)
        for each in addresses:
            out.add(recipient, each)


class _Collector:
    """Recipients without duplicates."""

    def __init__(
        self,
        parameters: CleanupParameters,
        queue_id: str,
        leave: Leave,
        recipients: list[Recipient] | None = None,
    ) -> None:
        self.queue_id = queue_id
        self.leave = leave
        self.recipients = [] if recipients is None else recipients
        self.expanded: list[Recipient] = []
        self._limit = parameters.duplicate_filter_limit
        self._by_original = parameters.enable_original_recipient
        self._seen = {self._key(each, each.address) for each in self.recipients[: self._limit or None]}

    def _key(self, recipient: Recipient, address: str) -> tuple[str, ...]:
        if not self._by_original:
            return (address.lower(),)
        orcpt = recipient.orcpt.lower() if recipient.orcpt else ""
        return address.lower(), recipient.original.lower(), str(int(recipient.notify)), orcpt

    def add(self, recipient: Recipient, address: str) -> None:
        """Take one, unless it is there."""
        key = self._key(recipient, address)
        if key in self._seen:
            return
        if not self._limit or len(self._seen) < self._limit:
            self._seen.add(key)
        self.recipients.append(recipient if address == recipient.address else replace(recipient, address=address))
