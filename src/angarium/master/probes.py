"""Address verification: how each kind of transport is asked whether it would take a recipient.

Nothing is delivered: a server is asked up to RCPT, a store whether the account is there (verify(8)).

Fails with ConfigError (file and line).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace

from angarium.agents.local.main import LocalAgent
from angarium.agents.pipe.main import PipeParameters, pipe_agent
from angarium.agents.virtual.lookup import find_account
from angarium.config.master_cf import MasterService
from angarium.daemons.smtpd.prober import Ask
from angarium.delivery.outcomes import OutcomeAgent
from angarium.delivery.rights import OwnRights
from angarium.master import programs
from angarium.master.node import Node
from angarium.master.transports import files_deliverer, local_agent, make_smtp_agent
from angarium.model.content import MemoryContent
from angarium.model.delivery import DeliveryAgent, DeliveryRequest, DeliveryResult, QueuedRecipient, Status
from angarium.model.dsn import Dsn
from angarium.model.envelope import Envelope
from angarium.model.lookup import Found, TemporaryError
from angarium.protocols.smtp.dialect import DIALECTS
from angarium.tables.maps import Maps


def _probe_smtp(node: Node, entry: MasterService) -> Ask:
    """Asks a server, up to RCPT."""
    conf = node.conf.for_service(entry)
    agent = make_smtp_agent(node, conf, node.log(entry.command, conf), DIALECTS[entry.command])

    async def ask(transport: str, nexthop: str, envelope: Envelope) -> DeliveryResult:
        people = (QueuedRecipient(1, envelope.recipients[0]),)
        now = envelope.arrival
        request = DeliveryRequest("probe", transport, nexthop, envelope, people, b"", MemoryContent(b""), now, now)
        (result,) = await agent.verify(request)
        return result

    return ask


def _asking(agent: DeliveryAgent) -> Ask:
    """Asks an agent that answers questions."""

    async def ask(transport: str, nexthop: str, envelope: Envelope) -> DeliveryResult:
        (result,) = await agent.deliver(_question(transport, nexthop, envelope))
        return result

    return ask


def _probe_virtual(node: Node, entry: MasterService) -> Ask:
    """Looks for the account."""
    if programs.delivers_to_files(entry, node.conf):
        conf = node.conf.for_service(entry)
        return _asking(OutcomeAgent(files_deliverer(node, conf, node.log("virtual", conf), OwnRights())))
    conf = node.conf.for_service(entry)
    maps = Maps.open("virtual_mailbox_maps", conf.names("virtual_mailbox_maps"), node.tables)
    delimiters = conf.delimiters()

    async def ask(_transport: str, _nexthop: str, envelope: Envelope) -> DeliveryResult:
        person = QueuedRecipient(1, envelope.recipients[0])
        account = await find_account(maps.find, person.recipient.address, delimiters)
        if isinstance(account, TemporaryError):
            return DeliveryResult(person, Status.DEFERRED, Dsn(4, 3, 0), "virtual", account.cause)
        if isinstance(account, Found):
            return DeliveryResult(person, Status.SENT, Dsn(2, 1, 5), "virtual", "deliverable")
        return DeliveryResult(person, Status.BOUNCED, Dsn(5, 1, 1), "virtual", "unknown user")

    return ask


def _probe_pipe(node: Node, entry: MasterService) -> Ask:
    """A command takes everything."""
    conf = node.conf.for_service(entry)
    return _asking(
        pipe_agent(entry, PipeParameters.from_config(conf, entry.name), node.log("pipe", conf), None, node.launcher)
    )


def _probe_local(node: Node, entry: MasterService) -> Ask:
    """What an address stands for: deliverable, if any of it is."""
    conf = node.conf.for_service(entry)
    agent = local_agent(node, conf, entry, node.log("local", conf), _others(node))

    async def ask(transport: str, nexthop: str, envelope: Envelope) -> DeliveryResult:
        (result,) = await agent.deliver(_question(transport, nexthop, envelope))
        return next((each for each in result.each() if each.status is Status.SENT), result)

    return ask


class _Asked:
    """A transport that is asked in place of being handed mail: what local sees behind mailbox_transport."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    async def deliver(self, request: DeliveryRequest) -> Sequence[DeliveryResult]:
        (queued,) = request.recipients
        envelope = replace(request.envelope, recipients=(queued.recipient,))
        return [replace(await self._ask(request.transport, request.nexthop, envelope), recipient=queued)]


def _others(node: Node) -> Callable[[str], DeliveryAgent | None]:
    """The transports of master.cf that can be asked, but local."""
    known: dict[str, DeliveryAgent | None] = {}

    def find(name: str) -> DeliveryAgent | None:
        if name not in known:
            entry = node.conf.master.find(name, "unix")
            probe = PROBES.get(entry.command) if entry is not None and entry.command != "local" else None
            known[name] = _Asked(probe(node, entry)) if entry is not None and probe is not None else None
        return known[name]

    return find


def would_become(node: Node) -> Callable[[str, Envelope], Awaitable[Sequence[DeliveryResult]]]:
    """Asks local, pipe and virtual with files what would become of mail to somebody; others have nothing to say."""

    async def ask(transport: str, envelope: Envelope) -> Sequence[DeliveryResult]:
        agent = node.agents.get(transport)
        if not isinstance(agent, LocalAgent | OutcomeAgent):
            return ()
        (result,) = await agent.deliver(_question(transport, "", envelope))
        return list(result.each())

    return ask


def _question(transport: str, nexthop: str, envelope: Envelope) -> DeliveryRequest:
    people = (QueuedRecipient(1, envelope.recipients[0]),)
    now = envelope.arrival
    nothing = MemoryContent(b"")
    return DeliveryRequest("probe", transport, nexthop, envelope, people, b"", nothing, now, now, verify=True)


PROBES: Mapping[str, Callable[[Node, MasterService], Ask]] = {
    "smtp": _probe_smtp,
    "lmtp": _probe_smtp,
    "virtual": _probe_virtual,
    "local": _probe_local,
    "pipe": _probe_pipe,
}
