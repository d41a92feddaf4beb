"""The queue manager and its transports: a line of master.cf becomes a delivery agent.

Each constructor's arguments are spelled out here; nothing is looked up by name, but the command of master.cf in the
table of agents. A line for ``local`` has two halves: the agent in the queue manager, and the service in the process
of root's that the agent asks.

Fails with ConfigError (file and line).
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

from angarium.agents.bounce.main import BounceService
from angarium.agents.bounce.parameters import BounceParameters
from angarium.agents.discard.main import DiscardAgent
from angarium.agents.error.main import ErrorAgent
from angarium.agents.local.main import (
    AliasTables,
    AskAlias,
    LocalAgent,
    LocalParameters,
    Part,
    RemoteDeliverer,
    local_deliverer,
)
from angarium.agents.local.main import local_service as make_local_service
from angarium.agents.local.main import local_trial as make_local_trial
from angarium.agents.pipe.main import PipeParameters, pipe_agent, pipe_service
from angarium.agents.smtp.bestmx import BestMxAgent
from angarium.agents.smtp.main import SmtpAgent, SmtpParameters, Tables
from angarium.agents.smtp.outgoing import Rules, make_checks, read_flags
from angarium.agents.smtp.parameters import own_name
from angarium.agents.statusfilter import FilteredAgent, StatusFilter
from angarium.agents.virtual.files import FileMaps, FilesDeliverer, FilesParameters
from angarium.agents.virtual.main import virtual_agent
from angarium.agents.virtual.parameters import VirtualParameters
from angarium.cleanup.generic import make_generic
from angarium.cleanup.parameters import CleanupParameters
from angarium.cleanup.received import received
from angarium.config.config import Config
from angarium.config.master_cf import MasterService
from angarium.daemons.qmgr.attempt import Transport
from angarium.daemons.qmgr.main import QueueManager
from angarium.daemons.qmgr.parameters import QmgrParameters, transport_limits
from angarium.daemons.qmgr.requeue import Requeuer
from angarium.daemons.spawn.main import SpawnService
from angarium.daemons.spawn.parameters import SpawnParameters
from angarium.delivery.actor import NOBODY, Reserved
from angarium.delivery.attributes import SPAWN, read_attributes
from angarium.delivery.filerights import FileRights
from angarium.delivery.outcomes import OutcomeAgent, OutcomeService
from angarium.delivery.outcomes import RemoteDeliverer as RemoteOutcomes
from angarium.delivery.rights import OwnRights, Rights
from angarium.master import programs
from angarium.master.node import Node
from angarium.model.content import MemoryContent
from angarium.model.delivery import DeliveryAgent, DeliveryRequest, QueuedRecipient
from angarium.model.envelope import Envelope, Origin, Recipient
from angarium.model.lookup import Lookup
from angarium.protocols.smtp.dialect import DIALECTS, SMTP, Dialect
from angarium.runtime.dns import Resolver
from angarium.runtime.log import ServiceLog
from angarium.runtime.service import Service
from angarium.tables.debugpeers import DebugPeers
from angarium.tables.dnsfilter import FilteredResolver
from angarium.tables.main import make_opener
from angarium.tables.maps import Maps


def queue_manager(node: Node, entries: Sequence[MasterService]) -> QueueManager:
    """The queue manager with the transports of master.cf. It tidies up first: what dead processes left in the spool."""
    conf = node.conf
    node.spool.clean()
    log = node.log("bounce")
    parameters = BounceParameters.from_config(conf, log.warning)
    reporter = BounceService(parameters, node.cleanup, node.queue.allocate_id, log)
    headers = CleanupParameters.from_config(conf)
    requeuer = Requeuer(
        node.queue,
        node.cleanup,
        lambda queue_id, envelope: received(queue_id, envelope, headers),
        node.log("pickup"),
        time.time,
    )
    transports = {
        entry.name: _transport(node, entry) for entry in entries if entry.type == "unix" and entry.command in _AGENTS
    }
    return QueueManager(
        QmgrParameters.from_config(conf),
        node.queue,
        node.rewrite,
        transports,
        reporter,
        requeuer,
        node.log("qmgr"),
        node.bus,
    )


def _transport(node: Node, entry: MasterService) -> Transport:
    conf = node.conf.for_service(entry)
    log = node.log(entry.command, conf)
    limit = entry.process_limit
    agent = node.agents[entry.name] = _AGENTS[entry.command](node, conf, entry, log)
    return Transport(
        agent=filtered(node, conf, entry, agent, log),
        log=log,
        limits=transport_limits(
            node.conf, entry.name, conf.integer("default_process_limit") if limit is None else limit
        ),
    )


def filtered(node: Node, conf: Config, entry: MasterService, agent: DeliveryAgent, log: ServiceLog) -> DeliveryAgent:
    """An agent with its delivery status filter around it, if there is one. Raises ConfigError."""
    status = _status_filter(node, conf, entry.command, log) if entry.command in _FILTERED else None
    return agent if status is None else FilteredAgent(agent, status)


def _status_filter(node: Node, conf: Config, command: str, log: ServiceLog) -> StatusFilter | None:
    name = f"{command}_delivery_status_filter"
    return StatusFilter(name, _asks(node, conf, name), log) if conf.names(name) else None


def _smtp(node: Node, conf: Config, entry: MasterService, log: ServiceLog) -> DeliveryAgent:
    agent = make_smtp_agent(node, conf, log, DIALECTS[entry.command], read_flags(entry, log))
    best = conf.text("best_mx_transport") if entry.command == "smtp" else ""
    return BestMxAgent(agent, best, node.agents.get, log) if best else agent


def make_smtp_agent(
    node: Node, conf: Config, log: ServiceLog, dialect: Dialect = SMTP, flags: frozenset[str] = frozenset()
) -> SmtpAgent:
    """The SMTP or LMTP client as one service sees it. Raises ConfigError."""

    def own(name: str) -> str:
        return own_name(dialect, name)

    generic = make_generic(
        own("smtp_generic_maps"),
        conf.names(own("smtp_generic_maps")),
        node.tables,
        node.rewrite.rewrite_listed,
        node.rewrite.is_own,
        delimiters=conf.delimiters(),
        propagate="generic" in conf.names("propagate_unmatched_extensions"),
        token_limit=conf.integer("header_address_token_limit"),
    )
    return SmtpAgent(
        SmtpParameters.from_config(conf, dialect),
        log,
        _resolver(node, conf, dialect, log),
        _finder(node, conf, own("smtp_sasl_password_maps")),
        _finder(node, conf, own("smtp_tls_policy_maps")),
        Rules(generic, make_checks(conf, node.tables, log, f"{dialect.name}_"), flags),
        debug=DebugPeers.from_config(conf, node.tables),
        sites=_finder(node, conf, own("smtp_tls_per_site")),
        tables=Tables(
            discarded_keywords=_finder(node, conf, own("smtp_discard_ehlo_keyword_address_maps")),
            pix=_finder(node, conf, own("smtp_pix_workaround_maps")),
            replies=_finder(node, conf, own("smtp_reply_filter")),
        ),
    )


def _resolver(node: Node, conf: Config, dialect: Dialect, log: ServiceLog) -> Resolver:
    """The DNS as a client sees it: with DNSSEC, and without what the filter leaves out, if main.cf says so."""
    resolver = node.dnssec if conf.text(own_name(dialect, "smtp_dns_support_level")).lower() == "dnssec" else node.dns
    parameter = own_name(dialect, "smtp_dns_reply_filter")
    maps = Maps.open(parameter, conf.names(parameter), node.tables)
    return FilteredResolver(resolver, maps, log.warning) if maps else resolver


def _finder(node: Node, conf: Config, parameter: str) -> Callable[[str], Awaitable[Lookup]] | None:
    """A look-up by whole keys in the tables of a parameter; None when it is empty."""
    maps = Maps.open(parameter, conf.names(parameter), node.tables)
    return maps.find if maps else None


def virtual_transport(node: Node, conf: Config, _entry: MasterService, log: ServiceLog) -> DeliveryAgent:
    """Delivery into the mailstore, for the queue manager and for sessions that deliver at once. Raises ConfigError."""
    locate = _asks(node, conf, "virtual_mailbox_maps")
    return virtual_agent(VirtualParameters.from_config(conf), node.mailstore, locate, log)


def _virtual(node: Node, conf: Config, entry: MasterService, log: ServiceLog) -> DeliveryAgent:
    """The mailstore, or files of users: by the process of root's, or with the rights of our own user without one."""
    if not programs.delivers_to_files(entry, node.conf):
        return virtual_transport(node, conf, entry, log)
    address = node.privileged.get(entry.key)
    return OutcomeAgent(RemoteOutcomes(address, log) if address else files_deliverer(node, conf, log, OwnRights()))


def files_deliverer(node: Node, conf: Config, log: ServiceLog, rights: Rights) -> FilesDeliverer:
    """Delivery to Maildirs and mailbox files. Its tables may not put together names of files from addresses."""
    opener = make_opener(node.conf, None, node.log("virtual", conf), substitutes=False)
    mailboxes, users, groups = (
        Maps.open(name, conf.names(name), opener)
        for name in ("virtual_mailbox_maps", "virtual_uid_maps", "virtual_gid_maps")
    )
    return FilesDeliverer(FilesParameters.from_config(conf), FileMaps(mailboxes, users, groups), rights, log)


def _virtual_service(node: Node, conf: Config, _entry: MasterService, owner: int) -> Service:
    log = node.log("virtual", conf)
    return OutcomeService(files_deliverer(node, conf, log, FileRights()), frozenset({owner}), log)


def local_agent(
    node: Node,
    conf: Config,
    entry: MasterService,
    log: ServiceLog,
    others: Callable[[str], DeliveryAgent | None] | None = None,
) -> LocalAgent:
    """System users: by the process of root's, or with the rights of our own user when there is none.

    ``others`` are the agents that mail may be handed on to; None: those of the queue manager.
    """
    address = node.privileged.get(entry.key)
    parameters = LocalParameters.from_config(conf, entry.name)
    status = _status_filter(node, conf, entry.command, log)
    return LocalAgent(
        RemoteDeliverer(address, log)
        if address
        else local_deliverer(parameters, _aliases(node, conf), node.rewrite, log, node.launcher, _tables(node, conf)),
        node.queue,
        node.cleanup,
        log,
        others=others or node.agents.get,
        prepends="forward" in parameters.prepend_delivered_header,
        status=None if status is None else status.apply,
        soft_bounce=conf.boolean("soft_bounce"),
    )


def _pipe(node: Node, conf: Config, entry: MasterService, log: ServiceLog) -> DeliveryAgent:
    """Commands: by the process of root's, or with the rights of our own user when there is none."""
    parameters = PipeParameters.from_config(conf, entry.name)
    return pipe_agent(entry, parameters, log, node.privileged.get(entry.key), node.launcher)


def privileged_service(node: Node, entry: MasterService, owner: int) -> Service:
    """The service of a line of master.cf in the process of root's; ``owner`` is the user who may ask it."""
    return _PRIVILEGED[entry.command](node, node.conf.for_service(entry), entry, owner)


def _pipe_service(node: Node, conf: Config, entry: MasterService, owner: int) -> Service:
    parameters = PipeParameters.from_config(conf, entry.name)
    log = node.log("pipe", conf)
    return pipe_service(entry, parameters, log, frozenset({owner}), _reserved(node), node.launcher)


def spawn_service(node: Node, conf: Config, entry: MasterService, owner: int | None = None) -> Service:
    """Commands for connections; ``owner`` is None when this process is not root's."""
    parameters = SpawnParameters.from_config(conf, entry.name, entry.process_limit)
    attributes = read_attributes(entry, SPAWN)
    reserved = NOBODY if owner is None else _reserved(node)
    return SpawnService(attributes, parameters, node.log("spawn", conf), node.launcher, reserved)


def _reserved(node: Node) -> Reserved:
    """Who may run no commands."""
    return Reserved.of(node.conf.text("mail_owner"), node.conf.text("setgid_group"))


def _local_service(node: Node, conf: Config, entry: MasterService, owner: int) -> Service:
    parameters = LocalParameters.from_config(conf, entry.name)
    aliases = _aliases(node, conf)
    log = node.log("local", conf)
    tables = _tables(node, conf)
    return make_local_service(parameters, aliases, node.rewrite, log, frozenset({owner}), node.launcher, tables)


async def local_trial(
    node: Node, conf: Config, entry: MasterService, sender: str, recipient: str
) -> tuple[Sequence[Part], Sequence[str]]:
    """What local would do with mail for a recipient, and what it has read to know. Nothing is delivered."""
    person = QueuedRecipient(1, Recipient(recipient, recipient))
    envelope = Envelope(sender, (person.recipient,), time.time(), Origin("local"))
    request = DeliveryRequest("EXPLAINED", entry.name, "", envelope, (person,), b"", MemoryContent(b""), 0.0, 0.0)
    parameters = LocalParameters.from_config(conf, entry.name)
    log, aliases = node.log("local", conf), _aliases(node, conf)
    return await make_local_trial(parameters, aliases, node.rewrite, log, request, _tables(node, conf))


def _aliases(node: Node, conf: Config) -> AskAlias:
    """A look-up in alias_maps that tells the owner of the table. What senders choose is filled into no command."""
    names = conf.names("alias_maps")
    fills_in = any(kind in name for name in names for kind in ("regexp:", "pcre:"))
    opener = make_opener(node.conf, None, node.log("local", conf), substitutes=False) if fills_in else node.tables
    maps = Maps.open("alias_maps", names, opener)
    return AliasTables(maps, Path(conf.text("queue_directory"))).find


def _asks(node: Node, conf: Config, parameter: str) -> Callable[[str], Awaitable[Lookup]]:
    return Maps.open(parameter, conf.names(parameter), node.tables).find


def _tables(node: Node, conf: Config) -> dict[str, Callable[[str], Awaitable[Lookup]]]:
    """The tables beside alias_maps that local delivery asks, if they are set."""
    names = ("mailbox_transport_maps", "mailbox_command_maps", "fallback_transport_maps")
    return {name: _asks(node, conf, name) for name in names if conf.names(name)}


def _error(_node: Node, _conf: Config, entry: MasterService, _log: ServiceLog) -> DeliveryAgent:
    return ErrorAgent(temporary=entry.name == "retry")


def _discard(_node: Node, _conf: Config, _entry: MasterService, _log: ServiceLog) -> DeliveryAgent:
    return DiscardAgent()


_AGENTS: Mapping[str, Callable[[Node, Config, MasterService, ServiceLog], DeliveryAgent]] = {
    "smtp": _smtp,
    "lmtp": _smtp,
    "virtual": _virtual,
    "local": local_agent,
    "pipe": _pipe,
    "error": _error,
    "discard": _discard,
}


_PRIVILEGED: Mapping[str, Callable[[Node, Config, MasterService, int], Service]] = {
    "local": _local_service,
    "pipe": _pipe_service,
    "virtual": _virtual_service,
    "spawn": spawn_service,
}
"""What runs in the process of root's."""

_FILTERED = frozenset({"smtp", "lmtp", "virtual", "pipe"})
"""The agents with a delivery status filter of their own around them; local asks its own within."""

AGENT_COMMANDS = frozenset(_AGENTS)
"""The commands of master.cf that deliver mail here; mail for others waits."""
