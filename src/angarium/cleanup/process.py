"""cleanup(8): a received transaction becomes what the queue stores.

What it does to an envelope: addresses completed, virtual aliases expanded, duplicates of (address, original address)
removed, whatever their case. What it does to a message: a Received header before it; ``message_drop_headers`` taken
out; for local clients the headers that are missing, and addresses in headers completed. The body is passed on by
reference, byte for byte.

Guarantees: constant memory beyond the header block; no wait but that of a table. Refuses with ``MailError``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

from angarium.cleanup.addresses import Edit, address_edits
from angarium.cleanup.aliases import AliasExpander
from angarium.cleanup.headers import HeaderBlock
from angarium.cleanup.parameters import CleanupParameters
from angarium.cleanup.received import mail_date, message_id, quote_local, received
from angarium.cleanup.splice import Slice, SplicedContent
from angarium.mailqueue.interface import NewMessage
from angarium.model.content import Content
from angarium.model.envelope import Envelope, Origin, Recipient
from angarium.model.error import MailError
from angarium.model.lookup import Found
from angarium.model.reply import Reply
from angarium.rewrite.resolve import TrivialRewrite
from angarium.runtime.log import ServiceLog
from angarium.runtime.spool import SPOOL_BOUND, Spool
from angarium.tables.maps import Maps
from angarium.tables.matchlist import MatchList
from angarium.tables.opener import TableOpener


class CleanupService:
    """``Cleanup`` of one configuration.

    Args:
        parameters: main.cf, with the overrides of the cleanup service.
        resolver: completes addresses, and knows which domains are ours.
        opener: opens virtual_alias_maps.
        log: of the service, ``postfix/cleanup``.
        spool: takes messages over 1 MiB whose headers had to be changed; None keeps them in memory.
    """

    def __init__(
        self,
        parameters: CleanupParameters,
        resolver: TrivialRewrite,
        opener: TableOpener,
        log: ServiceLog,
        spool: Spool | None = None,
    ) -> None:
        self._parameters = parameters
        self.resolver = resolver
        self._log = log
        self._spool = spool
        maps = Maps.open("virtual_alias_maps", parameters.virtual_alias_maps, opener)
        self._aliases = AliasExpander(maps, parameters, resolver.rewrite, resolver.is_own) if maps else None
        self._mynetworks = MatchList("mynetworks", parameters.mynetworks, opener, networks=True)
        tables = [word for word in parameters.local_header_rewrite_clients if ":" in word]
        self._local_clients = MatchList("local_header_rewrite_clients", tables, opener, networks=True)
        self._dropped = tuple(name.lower().encode() for name in parameters.message_drop_headers)

    async def process(
        self, queue_id: str, envelope: Envelope, content: Content, *, hold: bool = False, full_name: str = ""
    ) -> NewMessage:
        """Finish a message.

        Args:
            queue_id: of the message.
            envelope: as received.
            content: as received.
            hold: put it into the hold queue.
            full_name: the sender's, for a From header that is missing.

        Raises:
            MailError: the message is refused, with the reply for the peer.
        """
        header = HeaderBlock.read(content)
        local = await self._is_local_client(envelope.origin)
        missing = b""
        if local or self._parameters.always_add_missing_headers:
            missing = self._missing(queue_id, envelope, header, full_name)
        self._log_message_id(queue_id, header, missing)
        if header.count(b"received") + 1 >= self._parameters.hopcount_limit:
            reply = Reply.of(554, "5.4.0", "Error: too many hops")
            raise self._refused(queue_id, MailError(reply, "message rejected: hopcount exceeded"))
        try:
            recipients = await self.final_recipients(envelope)
        except MailError as error:
            raise self._refused(queue_id, error) from error
        finished = replace(envelope, sender=self.resolver.rewrite(envelope.sender), recipients=recipients)
        prefix = received(queue_id, envelope, self._parameters)
        edits = address_edits(header, self.resolver.rewrite) if local else []
        stored = self._content(header, content, edits, missing)
        if stored is not content:
            stored = await self._stored(stored)
        return NewMessage(queue_id, finished, prefix, stored, hold)

    # The envelope

    async def final_recipients(self, envelope: Envelope) -> tuple[Recipient, ...]:
        """The recipients with their aliases expanded and without duplicates. Raises MailError."""
        rewrite = self.resolver.rewrite
        if self._aliases is None and len(envelope.recipients) == 1:
            only = envelope.recipients[0]
            address = rewrite(only.address)
            return envelope.recipients if address == only.address else (replace(only, address=address),)
        result: list[Recipient] = []
        seen: set[tuple[str, str]] = set()
        limit = self._parameters.duplicate_filter_limit
        for recipient in envelope.recipients:
            address = rewrite(recipient.address)
            addresses = [address] if self._aliases is None else await self._aliases.expand(address)
            for each in addresses:
                key = (each.lower(), recipient.original.lower())
                if key in seen:
                    continue
                if not limit or len(seen) < limit:
                    seen.add(key)
                result.append(recipient if each == recipient.address else replace(recipient, address=each))
        return tuple(result)

    # The content

    def _content(self, header: HeaderBlock, content: Content, edits: list[Edit], missing: bytes) -> Content:
        """The content with headers dropped, completed and added; itself when there is nothing to do."""
        for name in self._dropped:
            if name in header.folded:
                edits += [(start, stop, b"") for start, stop in self._spans(header, name)]
        end = len(header.raw)
        gap = b"" if header.closed or content.size == end else b"\r\n"
        if not edits and not missing and not gap and not header.mailbox_line:
            return content
        pieces: list[bytes | Slice] = [b"X-Mailbox-Line: "] if header.mailbox_line else []
        position = 0
        for start, stop, instead in sorted(edits):
            if start >= position:  # what is dropped is not completed
                pieces += [Slice(content, position, start), instead]
                position = stop
        pieces.append(Slice(content, position, end))
        if missing and end and not header.raw.endswith(b"\n"):
            pieces.append(b"\r\n")
        pieces += [missing, gap, Slice(content, end, content.size)]
        return SplicedContent(pieces)

    async def _stored(self, content: Content) -> Content:
        """Spliced content over the spool's bound goes to a file of its own: nobody shall have to hold it in memory."""
        if self._spool is None or content.size <= SPOOL_BOUND or not isinstance(content, SplicedContent):
            return content
        file = self._spool.create()

        def copy() -> None:
            for chunk in content.chunks():
                file.write(chunk)

        try:
            await asyncio.to_thread(copy)
        except BaseException:
            file.abandon()
            raise
        return file.finish()

    @staticmethod
    def _spans(header: HeaderBlock, name: bytes) -> list[tuple[int, int]]:
        spans = []
        at = header.find(name)
        while at >= 0:
            spans.append(header.span(at))
            at = header.find(name, at + 1)
        return spans

    def _missing(self, queue_id: str, envelope: Envelope, header: HeaderBlock, full_name: str) -> bytes:
        """The headers that a message of a local client must have and has not (RFC 6409 section 8)."""
        parameters = self._parameters
        resent = b"resent-" if b"\nresent-" in header.folded else b""
        label = "Resent-" if resent else ""
        lines: list[str] = []
        if not header.has(resent + b"message-id"):
            lines.append(f"{label}Message-Id: {message_id(queue_id, parameters.myhostname, envelope.arrival)}")
        if not header.has(resent + b"date"):
            lines.append(f"{label}Date: {mail_date(int(envelope.arrival))}")
        if not header.has(resent + b"from"):
            lines.append(f"{label}From: {self._from(envelope.sender, full_name)}")
        undisclosed = parameters.undisclosed_recipients_header
        if undisclosed and not any(header.has(resent + name) for name in (b"to", b"cc", b"bcc")):
            lines.append(undisclosed)
        return "".join(line + "\r\n" for line in lines).encode("utf-8", "surrogateescape")

    def _from(self, sender: str, full_name: str) -> str:
        if not sender:
            return "MAILER-DAEMON"
        address = quote_local(self.resolver.rewrite(sender))
        return f"{_phrase(full_name)} <{address}>" if full_name else address

    async def _is_local_client(self, origin: Origin) -> bool:
        """local_header_rewrite_clients; local submission and our own reports always are."""
        if not origin.client_address:
            return True
        checks: dict[str, Callable[[], bool]] = {
            "permit_inet_interfaces": lambda: origin.client_address in self._parameters.own_addresses,
            "permit_sasl_authenticated": lambda: bool(origin.sasl_username),
        }
        for word in self._parameters.local_header_rewrite_clients:
            if word in checks:
                if checks[word]():
                    return True
            elif word == "permit_mynetworks":
                match = await self._mynetworks.match_client(origin.client_name, origin.client_address)
                if isinstance(match, Found):
                    return True
        return bool(self._local_clients) and isinstance(
            await self._local_clients.match_client(origin.client_name, origin.client_address), Found
        )

    # The log

    def _log_message_id(self, queue_id: str, header: HeaderBlock, missing: bytes) -> None:
        if header.folded.find(b"\nresent-") >= 0 or missing.startswith(b"Resent-"):
            resent = header.value(b"resent-message-id") or _added(missing, b"Resent-Message-Id: ")
            if resent:
                self._log.info(f"{queue_id}: resent-message-id={resent}", queue_id=queue_id)
        text = header.value(b"message-id") or _added(missing, b"Message-Id: ")
        self._log.info(f"{queue_id}: message-id={text or '<>'}", queue_id=queue_id, message_id=text)

    def _refused(self, queue_id: str, error: MailError) -> MailError:
        if error.cause:
            self._log.warning(f"{queue_id}: {error.cause}", queue_id=queue_id)
        return error


def _added(missing: bytes, name: bytes) -> str:
    """The value of the header that ``missing`` starts with, if it is this one."""
    return missing[len(name) : missing.index(b"\r\n")].decode("ascii") if missing.startswith(name) else ""


_PHRASE = frozenset("!#$%&'*+-/=?^_`{|}~ ")


def _phrase(name: str) -> str:
    """A display name, quoted when RFC 5322 section 3.2.5 wants it."""
    name = name.replace("\r", " ").replace("\n", " ").strip()
    if all(char.isalnum() or char in _PHRASE for char in name):
        return name
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
