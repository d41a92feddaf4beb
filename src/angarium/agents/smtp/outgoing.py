"""What a message becomes when it leaves: smtp_header_checks and their like, then smtp_generic_maps.

Checks may change, add and take out lines of headers and body (DUNNO, IGNORE, INFO, PREPEND, REPLACE, STRIP, WARN); the
generic map changes the addresses of the envelope and of the headers. The log and reports go on speaking of the
addresses inside; the server hears those of the outside. The flags of master.cf (smtp(8), COMMAND ATTRIBUTE SYNTAX) put
Delivered-To (``D``), X-Original-To (``O``) and Return-Path (``R``) above it all; ``X`` says that the delivery is final.
Without any of these a message leaves as it is, at no cost.

Failures: a table that cannot be asked is a ``MailError``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from angarium.cleanup.checks import ContentChecks
from angarium.cleanup.generic import GenericMap
from angarium.cleanup.headers import HeaderBlock
from angarium.cleanup.parameters import CleanupParameters
from angarium.cleanup.splice import SplicedContent, spliced
from angarium.config.config import Config
from angarium.config.error import ConfigError
from angarium.config.master_cf import MasterService
from angarium.delivery.loops import delivered_to
from angarium.model.content import Content, MemoryContent
from angarium.model.delivery import DeliveryRequest
from angarium.model.envelope import Envelope, Recipient
from angarium.protocols.smtp.path import quote_address
from angarium.runtime.log import ServiceLog
from angarium.tables.opener import TableOpener

_ALLOWED = frozenset({"DUNNO", "IGNORE", "INFO", "OK", "PREPEND", "REPLACE", "STRIP", "WARN"})


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
    def whole(self) -> Content:
        """Headers of ours and what was sent, as one."""
        return SplicedContent([self.prefix, *spliced(self.content, [])]) if self.prefix else self.content

    @property
    def size(self) -> int:
        """Octets, headers of ours included."""
        return len(self.prefix) + self.content.size


@dataclass(frozen=True, slots=True)
class Rules:
    """What is done to all mail that leaves through one service."""

    generic: GenericMap | None = None
    checks: ContentChecks | None = None
    flags: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return self.generic is not None or self.checks is not None or bool(self.flags)

    async def apply(self, request: DeliveryRequest) -> Outgoing:
        """The message as it leaves. Raises MailError."""
        message = await self._rewritten(request)
        headers = self._headers(request)
        return replace(message, prefix=headers + message.prefix) if headers else message

    def loop(self, request: DeliveryRequest) -> str:
        """The recipient who has had the message already, by its Delivered-To headers (flag ``D``); empty: nobody."""
        if "D" not in self.flags:
            return ""
        seen = delivered_to(request)
        addresses = (queued.recipient.address for queued in request.recipients)
        return next((address for address in addresses if address.lower() in seen), "")

    def _headers(self, request: DeliveryRequest) -> bytes:
        recipient = request.recipients[0].recipient
        values = {
            "R": f"Return-Path: <{quote_address(request.envelope.sender)}>",
            "O": f"X-Original-To: {quote_address(recipient.original)}",
            "D": f"Delivered-To: {quote_address(recipient.address)}",
        }
        text = "".join(f"{header}\r\n" for flag, header in values.items() if flag in self.flags)
        return text.encode("utf-8", "surrogateescape")

    async def _rewritten(self, request: DeliveryRequest) -> Outgoing:
        message = Outgoing.of(request)
        if self.checks is not None:
            checked = await _checked(message.whole, self.checks, request.queue_id)
            message = replace(message, prefix=b"", content=checked)
        if self.generic is None:
            return message
        generic = self.generic
        people = {
            number: replace(recipient, address=await generic.address(recipient.address))
            for number, recipient in message.recipients.items()
        }
        sender = await generic.address(request.envelope.sender)
        content = await generic.content(message.prefix, message.content)
        return Outgoing(replace(request.envelope, sender=sender), people, b"", content)


_FLAGS = frozenset("DORX")


def read_flags(entry: MasterService, log: ServiceLog) -> frozenset[str]:
    """The flags of a line of master.cf. Raises ConfigError."""
    flags: set[str] = set()
    for operand in entry.operands:
        name, _, value = operand.partition("=")
        if name != "flags":
            text = f"service {entry.name}: unknown attribute name: {name}"
            raise ConfigError(text, entry.file, entry.line)
        flags.update(value)
    for flag in sorted(flags - _FLAGS):
        log.warning(f"service {entry.name}: unknown flag: {flag} ignored")
    return frozenset(flags & _FLAGS)


def make_checks(conf: Config, opener: TableOpener, log: ServiceLog, prefix: str = "smtp_") -> ContentChecks | None:
    """The checks that ``smtp_header_checks`` and its three companions configure; None: there are none."""
    parameters = replace(
        CleanupParameters.from_config(conf),
        header_checks=tuple(conf.names(f"{prefix}header_checks")),
        mime_header_checks=tuple(conf.names(f"{prefix}mime_header_checks")),
        nested_header_checks=tuple(conf.names(f"{prefix}nested_header_checks")),
        body_checks=tuple(conf.names(f"{prefix}body_checks")),
        strict_7bit_headers=False,
        strict_8bitmime=False,
        strict_8bitmime_body=False,
        strict_mime_encoding_domain=False,
    )
    return ContentChecks(parameters, opener, log, prefix, _ALLOWED) if _asked_for(parameters) else None


def _asked_for(parameters: CleanupParameters) -> bool:
    return bool(
        parameters.header_checks
        or parameters.mime_header_checks
        or parameters.nested_header_checks
        or parameters.body_checks
    )


async def _checked(content: Content, checks: ContentChecks, queue_id: str) -> Content:
    """The message with what the checks change. Raises MailError."""
    header = HeaderBlock.read(content)
    end = len(header.raw)
    run = checks.examination(queue_id, "", "", "")
    run.tail = ""  # it comes from nowhere but our queue
    run.follow(end)
    edits = await run.block(header.raw, None)
    raw = SplicedContent(spliced(MemoryContent(header.raw), edits)).read()
    raw = SplicedContent(spliced(MemoryContent(raw), run.findings.prepended)).read()
    await run.body(content, end)
    body = run.findings.body
    if raw == header.raw and not body:
        return content
    return SplicedContent([raw, *spliced(content, body, start=end)])
