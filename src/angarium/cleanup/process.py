"""cleanup(8): a received transaction becomes what the queue stores.

What it does to an envelope is said in ``recipients``, to addresses in headers in ``addresses``, by header and body
checks in ``checks``. Beside that: a Received header goes before the message, ``message_drop_headers`` are taken out,
and local clients' messages get the headers that are missing. The body is passed on by reference, byte for byte, but for
lines that body_checks change.

receive_override_options turns the mapping of addresses and the checks off; for the messages that this server makes
itself (reports) checks are off and no copies are made, unless internal_mail_filter_classes says otherwise.

Guarantees: constant memory beyond the header block; no wait but that of a table; nothing is done for what is not
configured. Refuses with ``MailError``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from msgspec import structs

from angarium.cleanup.actions import Findings
from angarium.cleanup.addresses import Edit, address_edits, mapped_edits
from angarium.cleanup.beyond import rewritten
from angarium.cleanup.checks import ContentChecks, Examination
from angarium.cleanup.cleaning import ContentCleaner, kept
from angarium.cleanup.headers import HeaderBlock, oversized
from angarium.cleanup.missing import MissingHeaders
from angarium.cleanup.parameters import CleanupParameters
from angarium.cleanup.received import quote_local, received
from angarium.cleanup.recipients import AddressRules, EnvelopeRules, FinalEnvelope, Leave
from angarium.cleanup.splice import Slice, SplicedContent, spliced
from angarium.mailqueue.interface import NewMessage
from angarium.model.content import Content, MemoryContent
from angarium.model.envelope import BodyType, Envelope, Origin, Recipient
from angarium.model.error import MailError
from angarium.model.lookup import Found
from angarium.model.reply import Reply
from angarium.rewrite.address import complete_listed, remote
from angarium.rewrite.addresslist import ListedAddress
from angarium.rewrite.parameters import RewriteParameters
from angarium.rewrite.resolve import TrivialRewrite
from angarium.runtime.log import ServiceLog
from angarium.runtime.spool import SPOOL_BOUND, Spool
from angarium.tables.matchlist import MatchList
from angarium.tables.opener import TableOpener


@dataclass(slots=True)
class _Block:
    """The header block as the checks have left it. Not frozen: there is one a message, and that would cost more.

    Attributes:
        header: it.
        after: where, in what was received, the rest begins.
        changed: whether the checks have changed it.
    """

    header: HeaderBlock
    after: int
    changed: bool = False


class CleanupService:
    """``Cleanup`` of one configuration.

    Args:
        parameters: main.cf, with the overrides of the cleanup service.
        resolver: completes addresses, and knows which domains are ours.
        opener: opens the tables.
        log: of the service, ``postfix/cleanup``.
        spool: takes messages over 1 MiB that had to be changed; None keeps them in memory.
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
        self._rules = AddressRules(parameters, resolver, opener, log)
        self._envelopes = EnvelopeRules(parameters, resolver, opener, self._rules, log)
        self._checks = ContentChecks(parameters, opener, log)
        self._mynetworks = MatchList("mynetworks", parameters.mynetworks, opener, networks=True)
        tables = [word for word in parameters.local_header_rewrite_clients if ":" in word]
        self._local_clients = MatchList("local_header_rewrite_clients", tables, opener, networks=True)
        self._dropped = tuple(name.lower().rstrip(":").encode() for name in parameters.message_drop_headers)
        self._complete_local = _completion(resolver.parameters)
        self._complete_remote: Callable[[ListedAddress], str] | None = None
        if parameters.remote_header_rewrite_domain:
            self._complete_remote = _completion(remote(resolver.parameters, parameters.remote_header_rewrite_domain))
        options = parameters.receive_override_options
        mapping = "no_address_mappings" not in options
        self._leave = Leave(mapping=mapping, copies=mapping)
        self._detected = (
            frozenset(parameters.smtputf8_autodetect_classes) if parameters.smtputf8_enable else frozenset()
        )
        self._checking = bool(self._checks) and "no_header_body_checks" not in options
        self._missing = MissingHeaders(parameters)
        self._no_stray = parameters.cleanup_replace_stray_cr_lf
        self._cleaner = ContentCleaner(parameters, self._checks.limits, log, spool)
        of_reports = {"bounce", "notify"} & set(parameters.internal_mail_filter_classes)
        self._reports_checked = bool(self._checks and of_reports)

    async def process(
        self,
        queue_id: str,
        envelope: Envelope,
        content: Content,
        *,
        hold: bool = False,
        full_name: str = "",
        prepend: bytes = b"",
        copies: Sequence[str] = (),
        gateway: bool = False,
    ) -> NewMessage:
        """Finish a message: see ``Cleanup``.

        Args:
            queue_id: of the message.
            envelope: as received.
            content: as received.
            hold: put it into the hold queue.
            full_name: the sender's, for a From header that is missing.
            prepend: header lines for before our own.
            copies: more recipients, whom the Received header does not count.
            gateway: its headers are a stranger's, wherever it comes from (``sendmail -G``).

        Raises:
            MailError: the message is refused, with the reply for the peer.
        """
        try:
            prefix = prepend + received(queue_id, envelope, self._parameters)
            if copies:
                envelope = replace(
                    envelope, recipients=(*envelope.recipients, *(Recipient(each, each) for each in copies))
                )
            return await self._process(queue_id, envelope, content, hold, full_name, prefix, gateway)
        except MailError as error:
            if error.cause:
                self._log.warning(f"{queue_id}: {error.cause}", queue_id=queue_id)
            raise MailError(error.reply) from error

    async def final_recipients(self, envelope: Envelope) -> tuple[Recipient, ...]:
        """The recipients with their aliases expanded and without duplicates. Raises MailError."""
        return await self._envelopes.expanded(envelope.recipients)

    async def _process(
        self,
        queue_id: str,
        envelope: Envelope,
        content: Content,
        hold: bool,
        full_name: str,
        prefix: bytes,
        gateway: bool,
    ) -> NewMessage:
        ours = not envelope.origin.client_address and envelope.origin.uid is None
        leave = Leave(copies=False) if ours else self._leave
        final = self._envelopes.simple(envelope) or await self._envelopes.finish(queue_id, envelope, leave)
        if not ours and (self._cleaner.always or (self._no_stray and not envelope.origin.client_address)):
            tail = partial(self._tail, queue_id, envelope, final)
            content = await self._cleaner.clean(queue_id, content, tail, local=not envelope.origin.client_address)
        local = not gateway and await self._is_local_client(envelope.origin)
        completion = self._complete_local if local else self._complete_remote
        content, header = await self._read(queue_id, content, leave, completion)
        hops = header.count(b"received")
        run: Examination | None = None
        block = _Block(header, len(header.raw))
        if self._reports_checked if ours else self._checking:
            run = self._checks.examination(queue_id, _origin(envelope), _people(final), _protocol(envelope))
            prefix, block = await self._check_headers(run, prefix, header)
            header = block.header
        missing = b""
        if local or self._parameters.always_add_missing_headers or self._complete_remote is not None:
            missing = self._missing.lines(queue_id, final.sender, envelope.arrival, header, full_name)
        if run is None:
            self._log_message_id(queue_id, header, missing)
        elif not run.stopped:
            self._log_absent(queue_id, header, missing)
            await run.body(content, block.after)
        if hops + 1 >= self._parameters.hopcount_limit:
            reply = Reply.of(554, "5.4.0", "Error: too many hops")
            raise MailError(reply, "message rejected: hopcount exceeded")
        if run is not None and (refusal := run.refusal) is not None:
            raise MailError(refusal)
        edits = [] if completion is None else await self._address_edits(queue_id, header, leave, completion)
        findings = run.findings if run is not None else None
        stored = self._content(block, content, edits, missing, findings)
        if stored is not content:
            stored = await self._stored(stored)
        bcc = findings.bcc if findings is not None else []
        if bcc or self._parameters.always_bcc:
            await self._envelopes.add_copies(queue_id, final, bcc, leave)
        if b"content-transfer-encoding" in header.folded and envelope.body in _SEVEN_BIT:
            envelope = self._with_body_type(envelope, header)
        if not envelope.smtputf8 and self._detected and self._detects(envelope, final, header):
            envelope = replace(envelope, smtputf8=True)
        return self._message(queue_id, envelope, final, prefix, stored, hold, findings, ours=ours)

    def _tail(self, queue_id: str, envelope: Envelope, final: FinalEnvelope) -> str:
        return self._checks.examination(queue_id, _origin(envelope), _people(final), _protocol(envelope)).tail

    def _with_body_type(self, envelope: Envelope, header: HeaderBlock) -> Envelope:
        """The envelope of a message that says itself that it has 8 bits (detect_8bit_encoding_header)."""
        encoding = (header.value(b"content-transfer-encoding") or "").lower()
        if encoding not in ("8bit", "binary") or not self._parameters.detect_8bit_encoding_header:
            return envelope
        return replace(envelope, body=BodyType.EIGHTBITMIME)

    def _detects(self, envelope: Envelope, final: FinalEnvelope, header: HeaderBlock) -> bool:
        """Whether a message that did not ask for SMTPUTF8 needs it (smtputf8_autodetect_classes)."""
        origin = envelope.origin
        taker = "smtpd" if origin.client_address else "bounce" if origin.uid is None else "sendmail"
        if taker not in self._detected and "all" not in self._detected:
            return False
        if not header.raw.isascii() or not final.sender.isascii():
            return True
        return not all(each.address.isascii() for each in final.recipients)

    async def _read(
        self, queue_id: str, content: Content, leave: Leave, completion: Callable[[ListedAddress], str] | None
    ) -> tuple[Content, HeaderBlock]:
        """The header block; the content is another one when headers over header_size_limit had to be cut."""
        header = HeaderBlock.read(content)
        limit = self._parameters.header_size_limit
        if len(header.raw) > limit or not header.whole:
            # on a thread: a header block may be as long as the message, and looking at each line of it takes a while
            cuts = await asyncio.to_thread(oversized, content, limit)
            if cuts:
                content = SplicedContent(spliced(content, cuts))
                header = HeaderBlock.read(content)
        if not header.whole:
            return await self._read_beyond(queue_id, content, header, leave, completion)
        return content, header

    async def _read_beyond(
        self,
        queue_id: str,
        content: Content,
        header: HeaderBlock,
        leave: Leave,
        completion: Callable[[ListedAddress], str] | None,
    ) -> tuple[Content, HeaderBlock]:
        """What is done to headers, done to those that ``header`` has not. Raises MailError."""

        async def edits(block: HeaderBlock) -> list[Edit]:
            found = [] if completion is None else await self._address_edits(queue_id, block, leave, completion)
            return found + self._drops(block)

        content, counts = await rewritten(content, len(header.raw), edits, self._spool)
        return content, structs.replace(header, beyond=counts)

    def _message(
        self,
        queue_id: str,
        envelope: Envelope,
        final: FinalEnvelope,
        prefix: bytes,
        stored: Content,
        hold: bool,
        findings: Findings | None,
        *,
        ours: bool,
    ) -> NewMessage:
        same = final.same and len(final.recipients) == 1
        recipients = envelope.recipients if same else tuple(final.recipients)
        content_filter = envelope.content_filter or ("" if ours else self._parameters.content_filter)
        redirect = envelope.redirect
        discard = False
        if findings is not None:
            content_filter = findings.content_filter or content_filter
            redirect = findings.redirect or redirect
            discard = findings.discard
            hold = hold or findings.hold
        if redirect:  # as Postfix has it: no alias is expanded, and it goes out as the first recipient in its order
            first = min(recipients, key=_place)
            recipients = (replace(first, address=self.resolver.rewrite(redirect)),)
            content_filter = ""
        if not same or redirect or content_filter != envelope.content_filter:
            envelope = replace(
                envelope,
                sender=final.sender,
                recipients=recipients,
                content_filter=content_filter,
                redirect="",
                expanded=final.expanded,
            )
        return NewMessage(queue_id, envelope, prefix, stored, hold, discard)

    # The checks

    async def _check_headers(self, run: Examination, prefix: bytes, header: HeaderBlock) -> tuple[bytes, _Block]:
        """What the checks make of our own header lines and of the message's."""
        findings = run.findings
        edits = await run.block(prefix, None)
        prefix = _edited(prefix, [*edits, *findings.prepended])
        findings.prepended.clear()
        run.follow(len(header.raw))

        def seen(text: bytes) -> None:
            self._log_header(run.queue_id, text)

        edits = await run.block(header.raw, seen)
        raw = _edited(header.raw, edits)
        return prefix, _Block(HeaderBlock.of(raw, header), len(header.raw), changed=bool(edits))

    # The content

    async def _address_edits(
        self, queue_id: str, header: HeaderBlock, leave: Leave, completion: Callable[[ListedAddress], str]
    ) -> list[Edit]:
        """What becomes of the addresses in headers. Raises MailError."""
        limit = self._parameters.header_address_token_limit
        rules = self._rules
        if not leave.mapping or (rules.header_sender is None and rules.header_recipient is None):
            if len(header.raw) > _LONG_BLOCK:
                return await asyncio.to_thread(address_edits, header, completion, limit)
            return address_edits(header, completion, limit)
        return await mapped_edits(queue_id, header, completion, rules.header_sender, rules.header_recipient, limit)

    def _content(
        self, block: _Block, content: Content, edits: list[Edit], missing: bytes, findings: Findings | None
    ) -> Content:
        """The content with headers dropped, changed and added; itself when there is nothing to do."""
        header = block.header
        edits += self._drops(header)
        if findings is not None:
            edits += findings.prepended
        after = block.after
        gap = b"" if header.closed or not header.whole or content.size == after else b"\r\n"
        body = findings.body if findings is not None else []
        if not (edits or missing or gap or header.mailbox_line or block.changed or body):
            return content
        pieces: list[bytes | Slice] = [b"X-Mailbox-Line: "] if header.mailbox_line else []
        raw = header.raw
        if block.changed:
            pieces.append(_edited(raw, edits))
        else:
            pieces += spliced(content, edits, stop=after)
        if missing and raw and not raw.endswith(b"\n"):
            pieces.append(b"\r\n")
        pieces += [missing, gap, *spliced(content, body, start=after)]
        return SplicedContent(pieces)

    def _drops(self, header: HeaderBlock) -> list[Edit]:
        """What takes message_drop_headers out."""
        names = [name for name in self._dropped if name in header.folded]
        return [(start, stop, b"") for name in names for start, stop in self._spans(header, name)]

    async def _stored(self, content: Content) -> Content:
        """Spliced content over the spool's bound goes to a file of its own: nobody shall have to hold it in memory."""
        if self._spool is None or content.size <= SPOOL_BOUND or not isinstance(content, SplicedContent):
            return content
        return await kept(self._spool, content.size, content.chunks())

    @staticmethod
    def _spans(header: HeaderBlock, name: bytes) -> list[tuple[int, int]]:
        spans = []
        at = header.find(name)
        while at >= 0:
            spans.append(header.span(at))
            at = header.find(name, at + 1)
        return spans

    async def is_local_client(self, origin: Origin) -> bool:
        """See the interface."""
        return await self._is_local_client(origin)

    def received_header(self, envelope: Envelope) -> bytes:
        """See the interface."""
        return received("", envelope, self._parameters)

    async def _is_local_client(self, origin: Origin) -> bool:
        """local_header_rewrite_clients; local submission and our own reports always are."""
        if origin.forwarded is not None and origin.forwarded.local is not None:
            return origin.forwarded.local
        if not origin.client_address:
            return True
        for word in self._parameters.local_header_rewrite_clients:
            if word == "permit_inet_interfaces":
                if origin.client_address in self._parameters.own_addresses:
                    return True
            elif word == "permit_sasl_authenticated":
                if origin.sasl_username:
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
        for name in _LOGGED:
            text = header.value(name) if name in header.folded else None
            if text is not None:
                self._log_id(queue_id, name, text)
        self._log_absent(queue_id, header, missing)

    def _log_header(self, queue_id: str, text: bytes) -> None:
        """Log a header that is one of those that are logged."""
        name, _, value = text.partition(b":")
        if (name := name.lower()) in _LOGGED:
            self._log_id(queue_id, name, value.strip(b" \t\n").decode("utf-8", "backslashreplace"))

    def _log_absent(self, queue_id: str, header: HeaderBlock, missing: bytes) -> None:
        """Log the message id that we have made, and that there is none."""
        made = _added(missing, b"Message-Id: ")
        resent = _added(missing, b"Resent-Message-Id: ")
        if resent:
            self._log_id(queue_id, b"resent-message-id", resent)
        if made or not header.has(b"message-id"):
            self._log_id(queue_id, b"message-id", made or "<>")

    def _log_id(self, queue_id: str, name: bytes, text: str) -> None:
        if name == b"message-id":
            self._log.info(f"{queue_id}: message-id={text}", queue_id=queue_id, message_id=text)
        else:
            self._log.info(f"{queue_id}: {name.decode()}={text}", queue_id=queue_id)


_SEVEN_BIT = (BodyType.UNSAID, BodyType.SEVENBIT)
_LONG_BLOCK = 64 * 1024
"""A header block over this is gone through on a thread: there may be a thousand addresses in it."""
_LOGGED = (b"resent-message-id", b"message-id")


def _place(recipient: Recipient) -> tuple[str, str]:
    """By domain, then by address: the order in which Postfix's queue manager has recipients."""
    address = recipient.address.lower()
    return address.rpartition("@")[2], address


def _completion(parameters: RewriteParameters) -> Callable[[ListedAddress], str]:
    """What completes an address of a header."""

    def whole(address: ListedAddress) -> str:
        return complete_listed(address, parameters)

    return whole


def _edited(raw: bytes, edits: list[Edit]) -> bytes:
    return SplicedContent(spliced(MemoryContent(raw), edits)).read() if edits else raw


def _origin(envelope: Envelope) -> str:
    origin = envelope.origin
    if not origin.client_address:
        return "local"
    return origin.client if origin.forwarded is None else origin.logged.shown


def _people(final: FinalEnvelope) -> str:
    return f"from=<{quote_local(final.sender)}> to=<{quote_local(final.last)}>"


def _protocol(envelope: Envelope) -> str:
    """How a message came in, as the log lines of the checks have it."""
    origin = envelope.origin
    if not origin.client_address:
        return ""
    shown = origin.logged
    protocol = "ESMTP" if shown.protocol.startswith("ESMTP") else shown.protocol
    return f" proto={protocol or 'unknown'}" + (f" helo=<{shown.helo}>" if shown.helo else "")


def _added(missing: bytes, name: bytes) -> str:
    """The value of the header that ``missing`` starts with, if it is this one."""
    return missing[len(name) : missing.index(b"\r\n")].decode("ascii") if missing.startswith(name) else ""
