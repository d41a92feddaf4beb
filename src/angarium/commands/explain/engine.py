"""The dry run: a session with smtpd, cleanup, resolving, and where each recipient ends.

Each part is made from the configuration as ``master.wiring`` makes it, with tables that remember what was found in
them. Nothing is queued, stored, sent or logged; policy servers and name servers are asked, as they would be.
"""

from __future__ import annotations

import difflib
import time
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from msgspec import structs

from angarium.cleanup.main import make_cleanup
from angarium.commands.explain.delivery import DeliveryTrial, Ending
from angarium.commands.explain.session import Alternatives, Answer, SessionTrial
from angarium.commands.explain.tracing import Hit, TracingOpener
from angarium.config.config import Config
from angarium.config.error import ConfigError
from angarium.config.master_cf import MasterService
from angarium.config.verp import verp_rules
from angarium.daemons.qmgr.routing import filter_way
from angarium.daemons.smtpd.client import Client, DnsClientResolver
from angarium.daemons.smtpd.exemptions import make_exemptions
from angarium.mailqueue.interface import NewMessage
from angarium.master.node import Node
from angarium.model.content import MemoryContent
from angarium.model.envelope import Envelope, Origin, Recipient
from angarium.model.error import MailError
from angarium.model.lookup import TemporaryError
from angarium.model.verdict import Effect
from angarium.model.verp import verp_sender
from angarium.policy.interface import Facts
from angarium.policy.parameters import PolicyParameters
from angarium.protocols.smtp.parser import parse_mail
from angarium.protocols.smtp.path import quote_address
from angarium.protocols.smtp.types import CommandError
from angarium.rewrite.interface import AddressClass, Resolution
from angarium.runtime.log import MemoryLog
from angarium.runtime.tlspeer import PeerCertificate

_QUEUE_ID = "EXPLAINED"
_SAMPLE = b"Subject: explained\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Question:
    """What is to be explained; addresses in internal form. ``verp``: XVERP's delimiters, empty for the usual ones."""

    sender: str
    recipient: str
    client: str
    helo: str = "client.example.com"
    sasl: str = ""
    tls: bool = False
    certificate: str = ""
    content: bytes = b""
    service: str = ""
    verp: str | None = None


@dataclass(frozen=True, slots=True)
class Way:
    """One final recipient, and where it ends. ``sender`` is its own sender, with VERP."""

    recipient: str
    resolution: Resolution | TemporaryError
    ending: Ending
    sender: str = ""


@dataclass(frozen=True, slots=True)
class Explanation:
    """The whole path.

    Attributes:
        question: what was asked.
        service: the smtpd service of master.cf.
        client_name: as smtpd would find it.
        answers: of the session, stage by stage.
        alternatives: what would turn the outcome round.
        asked: what the tables had during the session.
        rewriting: what they had while the message was finished.
        message: as it would be queued; None when it is refused.
        refusal: cleanup's, when it refuses the message, or that of XVERP.
        header: lines of the header that go (``-``) and come (``+``).
        ways: of the final recipients.
        warnings: what would be in the log.
    """

    question: Question
    service: MasterService
    client_name: str
    answers: tuple[Answer, ...]
    alternatives: Alternatives
    asked: tuple[Hit, ...]
    rewriting: tuple[Hit, ...] = ()
    message: NewMessage | None = None
    refusal: str = ""
    header: tuple[str, ...] = ()
    ways: tuple[Way, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def refused(self) -> bool:
        """The session ends with a refusal, or cleanup refuses."""
        return self.answers[-1].verdict.refused or bool(self.refusal)

    @property
    def reply(self) -> str:
        """What the client is told in the end."""
        return self.refusal or (str(self.answers[-1].verdict.reply) if self.refused else "250 2.0.0 Ok: queued")


class TracedNode(Node):
    """A node whose tables remember."""

    @cached_property
    def tables(self) -> TracingOpener:
        """Opens ``type:name``, and remembers."""
        return TracingOpener(super().tables)


def service_of(conf: Config, name: str) -> MasterService:
    """The smtpd service: the named one, or that of port 25, or the first. Raises ConfigError."""
    services = [entry for entry in conf.master.services if entry.command == "smtpd" and entry.type == "inet"]
    if name:
        services = [entry for entry in services if entry.name == name or entry.name.rpartition(":")[2] == name]
    else:
        services.sort(key=lambda entry: entry.name.rpartition(":")[2] not in ("smtp", "25"))
    if not services:
        msg = f"master.cf has no smtpd service {name}".rstrip()
        raise ConfigError(msg)
    return services[0]


async def explain(directory: Path, question: Question) -> Explanation:
    """Take the path. Raises ConfigError."""
    log = MemoryLog()
    node = TracedNode(Config.load(directory), log)
    entry = service_of(node.conf, question.service)
    conf = node.conf.for_service(entry)
    facts, client_name = await _facts(node, conf, question)
    trial = SessionTrial(
        PolicyParameters.from_config(conf), node.rewrite, node.tables, node.log("smtpd", conf), node.room, node.dns
    )
    answers = await trial.answers(facts)
    asked = node.tables.take()
    warnings = list(log.lines)
    alternatives = await trial.alternatives(facts, answers)
    node.tables.take()
    done = Explanation(question, entry, client_name, tuple(answers), alternatives, asked)
    delimiters = ""
    if not done.refused and question.verp is not None:
        try:
            delimiters = await _delimiters(node, conf, question, facts)
        except CommandError as error:
            done = replace(done, refusal=str(error.reply))
    if not done.refused:
        log.lines.clear()
        done = await _finish(node, conf, done, facts, delimiters)
        warnings += [line for line in log.lines if "warning" in line or "fatal" in line]
    return replace(done, warnings=tuple(dict.fromkeys(warnings)))


def _certificate(fingerprint: str) -> PeerCertificate | None:
    """A client's, known by its fingerprint, or its key's, alone."""
    if not fingerprint:
        return None
    return PeerCertificate("", "", fingerprint.upper(), fingerprint.upper(), "nobody was asked about it")


async def _facts(node: TracedNode, conf: Config, question: Question) -> tuple[Facts, str]:
    facts = Facts(
        "unknown",
        question.client,
        12345,
        helo=question.helo,
        protocol="ESMTP",
        tls=question.tls or bool(question.sasl or question.certificate),
        certificate=_certificate(question.certificate),
        sasl_username=question.sasl,
        sasl_method="PLAIN" if question.sasl else "",
        sender=question.sender,
        recipient=question.recipient,
        size=len(question.content),
    )
    if conf.boolean("smtpd_peername_lookup"):
        found = await DnsClientResolver(node.dns).client_name(question.client)
        facts = structs.replace(
            facts,
            client_name=found.name,
            reverse_client_name=found.reverse_name,
            name_failed=found.name_failed,
            reverse_failed=found.reverse_failed,
        )
    return facts, facts.client_name


async def _delimiters(node: TracedNode, conf: Config, question: Question, facts: Facts) -> str:
    """Those that XVERP asks for. Raises CommandError with smtpd's reply when it may not, or makes no sense."""
    exempt = await make_exemptions(conf, node.tables)(Client(facts.client_name, question.client))
    asked = f"MAIL FROM:<{quote_address(question.sender)}> XVERP{f'={question.verp}' if question.verp else ''}"
    return parse_mail(asked, verp=verp_rules(conf) if exempt.verp else None).verp


async def _finish(node: TracedNode, conf: Config, done: Explanation, facts: Facts, delimiters: str) -> Explanation:
    """Cleanup, then each recipient's way."""
    question = done.question
    content = MemoryContent(question.content or _SAMPLE)
    origin = Origin(
        "ESMTPSA" if question.sasl else "ESMTP",
        facts.client_name,
        question.client,
        facts.client_port,
        question.helo,
        f"{conf.text('syslog_name')}/smtpd",
        facts.sasl_method,
        facts.sasl_username,
    )
    people = (Recipient(question.recipient, question.recipient),)
    seen = node.cleanup_conf(conf.text("cleanup_service_name"))
    cleanup = make_cleanup(seen, node.rewrite, node.tables, node.log("cleanup"), service=conf)
    wishes = {request.effect: request for answer in done.answers for request in answer.verdict.requests}

    def wished(effect: Effect) -> str:
        return wishes[effect].argument if effect in wishes else ""

    envelope = Envelope(
        question.sender,
        people,
        time.time(),
        origin,
        content_filter=wished(Effect.FILTER),
        redirect=wished(Effect.REDIRECT),
        verp=delimiters,
    )
    copies = (wished(Effect.BCC),) if Effect.BCC in wishes else ()
    if Effect.DISCARD in wishes:
        return replace(done, message=NewMessage(_QUEUE_ID, envelope, b"", content, discard=True))
    if proxy := conf.text("smtpd_proxy_filter"):
        ways = [_before_queue(proxy, question.recipient)]
        return replace(done, message=NewMessage(_QUEUE_ID, envelope, b"", content), ways=tuple(ways))
    try:
        message = await cleanup.process(_QUEUE_ID, envelope, content, hold=Effect.HOLD in wishes, copies=copies)
    except MailError as error:
        return replace(done, refusal=str(error.reply), rewriting=node.tables.take())
    rewriting = node.tables.take()
    trial = DeliveryTrial(node)
    ways = []
    for recipient in message.envelope.recipients:
        resolution = await node.rewrite.resolve(message.envelope.sender, recipient.address)
        if message.envelope.content_filter:
            resolution = _filtered(node.conf, message.envelope.content_filter, recipient.address, resolution)
        if isinstance(resolution, TemporaryError):
            ending = Ending((f"deferred: {resolution.source}: {resolution.cause}",), {"outcome": "deferred"})
        else:
            ending = await trial.ending(resolution, message.envelope.sender)
        sender = message.envelope.sender
        own = verp_sender(delimiters, sender, recipient) if delimiters and sender else ""
        ways.append(Way(recipient.address, resolution, ending, own))
    header = _header_changes(content, message) if question.content else ()
    return replace(done, message=message, rewriting=rewriting, ways=tuple(ways), header=header)


def _before_queue(proxy: str, address: str) -> Way:
    """The way of a message that the before-queue filter gets in place of the queue."""
    said = f"handed to the before-queue content filter {proxy}, which accepts or refuses it"
    way = Resolution("smtpd", proxy, address, AddressClass.DEFAULT, "before the queue", "smtpd_proxy_filter")
    return Way(address, way, Ending((said,), {"outcome": "filtered", "filter": proxy}))


def _filtered(
    conf: Config, content_filter: str, address: str, resolution: Resolution | TemporaryError
) -> Resolution | TemporaryError:
    """The way to the content filter, which stands in for whatever the address resolves to."""
    transport, nexthop = filter_way(
        content_filter, address, conf.text("default_filter_nexthop"), conf.text("myhostname")
    )
    address_class = AddressClass.DEFAULT if isinstance(resolution, TemporaryError) else resolution.address_class
    source = "main.cf: content_filter" if content_filter == conf.text("content_filter") else "FILTER"
    return Resolution(transport, nexthop, address, address_class, f"content filter {content_filter}", source)


def _header_changes(content: MemoryContent, message: NewMessage) -> tuple[str, ...]:
    before = _header_lines(content.data)
    after = _header_lines(message.prefix + message.content.read())
    return tuple(line for line in difflib.ndiff(before, after) if line.startswith(("- ", "+ ")))


def _header_lines(data: bytes) -> list[str]:
    head = data.partition(b"\r\n\r\n")[0]
    return head.decode("utf-8", "replace").split("\r\n")
