"""Who is built from what: a line of master.cf becomes a service.

The one place that knows every daemon and agent. Each constructor's arguments are spelled out here; there is no
container and nothing is looked up by name, but the command of master.cf in the tables below.

Fails with ConfigError (file and line) or TlsError (the file's name).
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from angarium.agents.bounce.main import BounceService
from angarium.agents.bounce.parameters import BounceParameters
from angarium.agents.discard.main import DiscardAgent
from angarium.agents.error.main import ErrorAgent
from angarium.agents.local.main import LocalAgent, LocalParameters, RemoteDeliverer, local_deliverer
from angarium.agents.local.main import local_service as make_local_service
from angarium.agents.smtp.main import SmtpAgent, SmtpParameters
from angarium.agents.smtp.outgoing import Rules, make_checks
from angarium.agents.virtual.lookup import find_account
from angarium.agents.virtual.main import virtual_agent
from angarium.agents.virtual.parameters import VirtualParameters
from angarium.auth.penalty import LoginPenalty, Networks
from angarium.auth.sessions import UserSessions
from angarium.cleanup.generic import make_generic
from angarium.cleanup.main import make_cleanup
from angarium.cleanup.parameters import CleanupParameters
from angarium.cleanup.process import CleanupService
from angarium.cleanup.received import received
from angarium.config.config import Config
from angarium.config.error import ConfigError
from angarium.config.master_cf import MasterService
from angarium.daemons.imapd.main import ImapdParameters, ImapdService
from angarium.daemons.pickup.main import make_pickup
from angarium.daemons.pop3d.main import Pop3dParameters, Pop3dService
from angarium.daemons.qmgr.attempt import Transport
from angarium.daemons.qmgr.main import QueueManager
from angarium.daemons.qmgr.parameters import QmgrParameters, transport_limits
from angarium.daemons.qmgr.requeue import Requeuer
from angarium.daemons.qmgr.showq import ShowqService
from angarium.daemons.smtpd.client import Client, DnsClientResolver
from angarium.daemons.smtpd.collaborators import Exemptions
from angarium.daemons.smtpd.direct import DirectDelivery, DirectTransport
from angarium.daemons.smtpd.limits import ClientLimits
from angarium.daemons.smtpd.main import SmtpdService
from angarium.daemons.smtpd.parameters import SmtpdParameters
from angarium.daemons.smtpd.prober import Ask, Prober
from angarium.mailqueue.interface import Intake
from angarium.master.node import Node
from angarium.model.content import MemoryContent
from angarium.model.delivery import DeliveryAgent, DeliveryRequest, DeliveryResult, QueuedRecipient, Status
from angarium.model.dsn import Dsn
from angarium.model.envelope import Envelope
from angarium.model.lookup import Found, Lookup, TemporaryError
from angarium.policy.main import make_policy
from angarium.policy.verification import AddressVerifier, Finding, VerifyParameters
from angarium.runtime.admission import share
from angarium.runtime.counts import Column
from angarium.runtime.log import ServiceLog
from angarium.runtime.service import Service
from angarium.runtime.tls import ServerTls, server_context
from angarium.tables.maps import Maps
from angarium.tables.matchlist import MatchList

Contexts = Mapping[str, ssl.SSLContext | None]
"""TLS contexts by master.cf key (``2587/inet``); made by the parent, which may read the keys."""


def overlay(conf: Config, entry: MasterService) -> Config:
    """The configuration that one service sees: main.cf with the ``-o`` settings of its line."""
    return conf.for_service(entry)


def server_tls(conf: Config, entry: MasterService) -> ssl.SSLContext | None:
    """The TLS context of a network service, or None when it has no certificate.

    Raises:
        TlsError: a key or certificate cannot be used; it names the file.
        ConfigError: TLS from the start without a certificate.
    """
    seen = overlay(conf, entry)
    parameters = _SERVER_TLS[entry.command](seen)
    if parameters.configured:
        return server_context(parameters)
    wrapper = f"{entry.command}_tls_wrappermode"
    if seen.boolean(wrapper):
        text = f"service {entry.name}: {wrapper} needs {entry.command}_tls_cert_file or {entry.command}_tls_chain_files"
        raise ConfigError(text, entry.file, entry.line)
    return None


def _smtpd_tls(conf: Config) -> ServerTls:
    mandatory = conf.text("smtpd_tls_security_level") == "encrypt" or conf.boolean("smtpd_tls_wrappermode")
    kind = "mandatory_" if mandatory else ""
    return ServerTls(
        cert_file=_file(conf, "smtpd_tls_cert_file"),
        key_file=_file(conf, "smtpd_tls_key_file"),
        chain_files=tuple(conf.names("smtpd_tls_chain_files")),
        protocols=conf.text(f"smtpd_tls_{kind}protocols"),
        ciphers=conf.text(f"smtpd_tls_{kind}ciphers"),
        exclude_ciphers=(
            *conf.names("smtpd_tls_exclude_ciphers"),
            *(conf.names("smtpd_tls_mandatory_exclude_ciphers") if mandatory else ()),
        ),
        prefer_server_ciphers=conf.boolean("tls_preempt_cipherlist"),
    )


def _file(conf: Config, name: str) -> str:
    """A file name; ``none`` is how main.cf says that there is none."""
    value = conf.text(name)
    return "" if value == "none" else value


_SERVER_TLS: Mapping[str, Callable[[Config], ServerTls]] = {
    "smtpd": _smtpd_tls,
    "imapd": lambda conf: ImapdParameters.from_config(conf).tls,
    "pop3d": lambda conf: Pop3dParameters.from_config(conf).tls,
}


@dataclass(frozen=True)
class NetworkWiring:
    """Builds the network services of one worker. What services of a kind count together is shared here.

    Attributes:
        node: the process.
        contexts: TLS contexts by master.cf key.
        counts: what the other workers have counted; None when there are none.
        number: of this worker, from 0.
        workers: how many there are.
    """

    node: Node
    contexts: Contexts
    counts: Column | None = None
    number: int = 0
    workers: int = 1

    def service(self, entry: MasterService) -> Service:
        """The service of a master.cf line. Raises KeyError for a command that is not a network service's."""
        builders: Mapping[str, Callable[[Config, MasterService], Service]] = {
            "smtpd": self._smtpd,
            "imapd": self._imapd,
            "pop3d": self._pop3d,
        }
        return builders[entry.command](overlay(self.node.conf, entry), entry)

    def _most(self, entry: MasterService) -> int | None:
        """This worker's share of the sessions that master.cf allows; None: as many as come.

        Postfix's default of 100 is for sessions that are processes; here only a number in the maxproc column counts.
        """
        return share(entry.process_limit, self.number, self.workers) if entry.process_limit else None

    @cached_property
    def _client_limits(self) -> ClientLimits:
        conf = self.node.conf
        prefixes = conf.integer("smtpd_client_ipv4_prefix_length"), conf.integer("smtpd_client_ipv6_prefix_length")
        unit = conf.seconds("anvil_rate_time_unit")
        return ClientLimits(time.monotonic, unit, self.counts, prefixes, self.node.log("anvil"))

    @cached_property
    def _client_resolver(self) -> DnsClientResolver:
        return DnsClientResolver(self.node.dns)

    @cached_property
    def _imap_sessions(self) -> UserSessions:
        return UserSessions("imap", ImapdParameters.from_config(self.node.conf).max_userip_connections, self.counts)

    @cached_property
    def _penalty(self) -> LoginPenalty:
        return LoginPenalty(Networks(ImapdParameters.from_config(self.node.conf).auth_penalty_exceptions))

    @cached_property
    def _pop3_sessions(self) -> UserSessions:
        return UserSessions("pop3", Pop3dParameters.from_config(self.node.conf).connection_count_limit, self.counts)

    def _smtpd(self, conf: Config, entry: MasterService) -> Service:
        node = self.node
        parameters = SmtpdParameters.from_config(conf, entry.name)
        log = node.log("smtpd", conf)
        forbidden = MatchList("smtpd_forbidden_commands", conf.names("smtpd_forbidden_commands"), node.tables)
        return SmtpdService(
            parameters,
            log.tag,
            queue=self._intake(conf),
            cleanup=_cleanup(node, conf, entry),
            policy=make_policy(conf, node.rewrite, node.tables, log, node.is_full, node.dns, self._verifier),
            log=log,
            authenticator=node.authenticator if conf.boolean("smtpd_sasl_auth_enable") else None,
            penalty=self._penalty,
            tls=self.contexts.get(entry.key),
            resolver=self._client_resolver if conf.boolean("smtpd_peername_lookup") else None,
            spool=node.spool,
            limits=self._client_limits,
            exemptions=_exemptions(conf, node),
            forbidden_command=_matcher(forbidden),
            queue_directory=node.queue_directory,
            flush=self._flush(conf),
            most=self._most(entry),
        )

    @cached_property
    def _verifier(self) -> AddressVerifier:
        """What probes have found out about addresses. The prober is made when the first address is to be probed."""

        async def probe(address: str) -> Finding:
            return await self._prober.probe(address)

        return AddressVerifier(VerifyParameters.from_config(self.node.conf), probe)

    @cached_property
    def _prober(self) -> Prober:
        node = self.node
        entries = [entry for entry in node.conf.master.services if entry.type == "unix"]
        return Prober(
            node.cleanup,
            node.rewrite,
            {entry.name: _PROBES[entry.command](node, entry) for entry in entries if entry.command in _PROBES},
            {entry.name: entry.name == "retry" for entry in entries if entry.command == "error"},
            node.conf.text("address_verify_sender"),
            time.time,
        )

    def _intake(self, conf: Config) -> Intake:
        """The queue, with delivery in the session before it when smtpd_direct_delivery says so."""
        return self._direct if conf.boolean("smtpd_direct_delivery") else self.node.queue

    @cached_property
    def _direct(self) -> DirectDelivery:
        node = self.node
        deferred = frozenset(node.conf.names("defer_transports"))
        transports = {
            entry.name: DirectTransport(_virtual(node, overlay(node.conf, entry), entry, log), log)
            for entry in node.conf.master.services
            if entry.type == "unix" and entry.command == "virtual" and entry.name not in deferred
            for log in (node.log("virtual", overlay(node.conf, entry)),)
        }
        return DirectDelivery(node.queue, node.rewrite, transports, node.log("qmgr"), time.time)

    def _flush(self, conf: Config) -> Callable[[str], Awaitable[bool]]:
        """ETRN: asks the queue manager for a domain's mail, when fast_flush_domains has the domain."""
        eligible = MatchList("fast_flush_domains", conf.names("fast_flush_domains"), self.node.tables)

        async def flush(domain: str) -> bool:
            if not isinstance(await eligible.match_domain(domain), Found):
                return False
            self.node.bus.publish("flush", domain)
            return True

        return flush

    def _imapd(self, conf: Config, entry: MasterService) -> Service:
        node = self.node
        return ImapdService(
            ImapdParameters.from_config(conf),
            mailstore=node.mailstore,
            authenticator=node.authenticator,
            log=ServiceLog(node.sink, "dovecot: imap-login"),
            spool=node.spool,
            tls=self.contexts.get(entry.key),
            user_connections=self._imap_sessions,
            penalty=self._penalty,
            most=self._most(entry),
        )

    def _pop3d(self, conf: Config, entry: MasterService) -> Service:
        node = self.node
        return Pop3dService(
            Pop3dParameters.from_config(conf),
            store=node.mailstore,
            authenticator=node.authenticator,
            log=ServiceLog(node.sink, "dovecot: pop3-login"),
            tls=self.contexts.get(entry.key),
            sessions=self._pop3_sessions,
            penalty=self._penalty,
            most=self._most(entry),
        )


def socket_path(entry: MasterService, queue_directory: Path) -> Path:
    """Where the unix socket of a master.cf line is: ``public/pickup``."""
    return queue_directory / ("private" if entry.private else "public") / entry.name


def _matcher(patterns: MatchList) -> Callable[[str], Awaitable[bool]]:
    async def matches(word: str) -> bool:
        return isinstance(await patterns.match_string(word), Found)

    return matches


def _exemptions(conf: Config, node: Node) -> Callable[[Client], Awaitable[Exemptions]]:
    """What a client is free of, by the lists of clients in main.cf."""
    limits, bare_newline, sasl = (
        MatchList(name, conf.names(name), node.tables, networks=True)
        for name in (
            "smtpd_client_event_limit_exceptions",
            "smtpd_forbid_bare_newline_exclusions",
            "smtpd_sasl_exceptions_networks",
        )
    )

    async def exemptions(client: Client) -> Exemptions:
        async def listed(patterns: MatchList) -> bool:
            if not patterns:
                return False
            return isinstance(await patterns.match_client(client.name, client.address), Found)

        return Exemptions(await listed(limits), await listed(bare_newline), await listed(sasl))

    return exemptions


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
    node.agents.update((name, transport.agent) for name, transport in transports.items())
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


def local_service(node: Node, entry: MasterService) -> Service:
    """The service of a unix socket of master.cf; it lives where the queue manager does."""
    return _LOCAL[entry.command](node, overlay(node.conf, entry), entry)


def _pickup(node: Node, conf: Config, entry: MasterService) -> Service:
    cleanup = _cleanup(node, conf, entry)
    return make_pickup(conf, node.queue, cleanup, node.tables, node.log("pickup", conf), node.spool)


def _showq(node: Node, conf: Config, entry: MasterService) -> Service:
    return ShowqService(node.queue, socket_path(entry, node.queue_directory), node.log("showq", conf))


_LOCAL: Mapping[str, Callable[[Node, Config, MasterService], Service]] = {"pickup": _pickup, "showq": _showq}


def _cleanup(node: Node, conf: Config, entry: MasterService) -> CleanupService:
    """The cleanup behind a service that may have parameters of its own, and name a cleanup of its own."""
    if not entry.overrides and conf.text("cleanup_service_name") == "cleanup":
        return node.cleanup
    seen = node.cleanup_conf(conf.text("cleanup_service_name"))
    return make_cleanup(seen, node.rewrite, node.tables, node.log("cleanup", seen), node.spool, conf)


def _transport(node: Node, entry: MasterService) -> Transport:
    conf = overlay(node.conf, entry)
    name = entry.command if entry.name == entry.command or entry.command != "smtp" else f"{entry.name}/{entry.command}"
    log = node.log(name, conf)
    limit = entry.process_limit
    return Transport(
        agent=_AGENTS[entry.command](node, conf, entry, log),
        log=log,
        limits=transport_limits(
            node.conf, entry.name, conf.integer("default_process_limit") if limit is None else limit
        ),
    )


def _smtp(node: Node, conf: Config, _entry: MasterService, log: ServiceLog) -> DeliveryAgent:
    return _smtp_agent(node, conf, log)


def _smtp_agent(node: Node, conf: Config, log: ServiceLog) -> SmtpAgent:
    generic = make_generic(
        "smtp_generic_maps",
        conf.names("smtp_generic_maps"),
        node.tables,
        node.rewrite.rewrite,
        node.rewrite.is_own,
        delimiters=conf.text("recipient_delimiter"),
        propagate="generic" in conf.names("propagate_unmatched_extensions"),
        token_limit=conf.integer("header_address_token_limit"),
    )
    return SmtpAgent(
        SmtpParameters.from_config(conf),
        log,
        node.dns,
        _finder(node, conf, "smtp_sasl_password_maps"),
        _finder(node, conf, "smtp_tls_policy_maps"),
        Rules(generic, make_checks(conf, node.tables, log)),
    )


def _finder(node: Node, conf: Config, parameter: str) -> Callable[[str], Awaitable[Lookup]] | None:
    """A look-up by whole keys in the tables of a parameter; None when it is empty."""
    maps = Maps.open(parameter, conf.names(parameter), node.tables)

    async def find(key: str) -> Lookup:
        return await maps.find(key)

    return find if maps else None


def _virtual(node: Node, conf: Config, _entry: MasterService, log: ServiceLog) -> DeliveryAgent:
    maps = Maps.open("virtual_mailbox_maps", conf.names("virtual_mailbox_maps"), node.tables)

    async def locate(key: str) -> Lookup:
        return await maps.find(key)

    return virtual_agent(VirtualParameters.from_config(conf), node.mailstore, locate, log)


def _local(node: Node, conf: Config, entry: MasterService, log: ServiceLog) -> DeliveryAgent:
    """System users: by the process of root's, or with the rights of our own user when there is none."""
    address = node.privileged.get(entry.key)
    parameters = LocalParameters.from_config(conf, entry.name)
    headers = CleanupParameters.from_config(node.conf)
    return LocalAgent(
        RemoteDeliverer(address, log)
        if address
        else local_deliverer(
            parameters, _asks(node, conf, "alias_maps"), node.rewrite, log, tables=_tables(node, conf)
        ),
        node.queue,
        node.cleanup,
        lambda queue_id, envelope: received(queue_id, envelope, headers),
        log,
        others=node.agents.get,
        prepends="forward" in parameters.prepend_delivered_header,
        decimals=conf.integer("delay_logging_resolution_limit"),
    )


def privileged_service(node: Node, entry: MasterService, owner: int) -> Service:
    """The service of a line of master.cf in the process of root's; ``owner`` is the user who may ask it."""
    conf = overlay(node.conf, entry)
    parameters = LocalParameters.from_config(conf, entry.name)
    aliases = _asks(node, conf, "alias_maps")
    log = node.log("local", conf)
    return make_local_service(parameters, aliases, node.rewrite, log, frozenset({owner}), _tables(node, conf))


def _asks(node: Node, conf: Config, parameter: str) -> Callable[[str], Awaitable[Lookup]]:
    maps = Maps.open(parameter, conf.names(parameter), node.tables)

    async def find(key: str) -> Lookup:
        return await maps.find(key)

    return find


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
    "virtual": _virtual,
    "local": _local,
    "error": _error,
    "discard": _discard,
}


def _probe_smtp(node: Node, entry: MasterService) -> Ask:
    """Asks a server, up to RCPT."""
    conf = overlay(node.conf, entry)
    agent = _smtp_agent(node, conf, node.log("smtp", conf))

    async def ask(transport: str, nexthop: str, envelope: Envelope) -> DeliveryResult:
        people = (QueuedRecipient(1, envelope.recipients[0]),)
        now = envelope.arrival
        request = DeliveryRequest("probe", transport, nexthop, envelope, people, b"", MemoryContent(b""), now, now)
        (result,) = await agent.verify(request)
        return result

    return ask


def _probe_virtual(node: Node, entry: MasterService) -> Ask:
    """Looks for the account."""
    conf = overlay(node.conf, entry)
    maps = Maps.open("virtual_mailbox_maps", conf.names("virtual_mailbox_maps"), node.tables)
    delimiters = conf.text("recipient_delimiter")

    async def ask(_transport: str, _nexthop: str, envelope: Envelope) -> DeliveryResult:
        person = QueuedRecipient(1, envelope.recipients[0])
        account = await find_account(maps.find, person.recipient.address, delimiters)
        if isinstance(account, TemporaryError):
            return DeliveryResult(person, Status.DEFERRED, Dsn(4, 3, 0), "virtual", account.cause)
        if isinstance(account, Found):
            return DeliveryResult(person, Status.SENT, Dsn(2, 1, 5), "virtual", "deliverable")
        return DeliveryResult(person, Status.BOUNCED, Dsn(5, 1, 1), "virtual", "unknown user")

    return ask


_PROBES: Mapping[str, Callable[[Node, MasterService], Ask]] = {"smtp": _probe_smtp, "virtual": _probe_virtual}

AGENT_COMMANDS = frozenset(_AGENTS)
"""The commands of master.cf that deliver mail here; mail for others waits."""
