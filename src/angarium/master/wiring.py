"""Who is built from what: a line of master.cf becomes a network service, or one of a unix socket.

With ``transports`` the one place that knows every daemon and agent. Each constructor's arguments are spelled out here;
there is no container and nothing is looked up by name, but the command of master.cf in the tables below.

Fails with ConfigError (file and line) or TlsError (the file's name).
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from angarium.auth.penalty import LoginPenalty, Networks
from angarium.auth.sessions import UserSessions
from angarium.cleanup.main import make_cleanup
from angarium.cleanup.process import CleanupService
from angarium.config.config import Config
from angarium.config.master_cf import MasterService
from angarium.daemons.imapd.main import ImapdParameters, ImapdService
from angarium.daemons.pickup.access import Access
from angarium.daemons.pickup.main import make_pickup
from angarium.daemons.pop3d.main import Pop3dParameters, Pop3dService
from angarium.daemons.qmgr.showq import ShowqService
from angarium.daemons.quotastatus.main import QuotaStatusParameters, QuotaStatusService
from angarium.daemons.smtpd.client import DnsClientResolver
from angarium.daemons.smtpd.direct import DirectDelivery, DirectTransport
from angarium.daemons.smtpd.exemptions import make_exemptions
from angarium.daemons.smtpd.limits import ClientLimits
from angarium.daemons.smtpd.main import SmtpdService
from angarium.daemons.smtpd.parameters import SmtpdParameters
from angarium.daemons.smtpd.prober import Prober
from angarium.daemons.smtpd.tables import make_session_tables
from angarium.mailqueue.interface import Intake
from angarium.master import programs
from angarium.master.node import Node
from angarium.master.probes import PROBES, would_become
from angarium.master.tls import Contexts
from angarium.master.transports import spawn_service, virtual_transport
from angarium.model.lookup import Found
from angarium.policy.findings import FindingStore, findings_path
from angarium.policy.main import make_policy, make_room
from angarium.policy.room import Room
from angarium.policy.verification import AddressVerifier, Finding, VerifyParameters
from angarium.rewrite.main import make_probe_resolver
from angarium.runtime.admission import share
from angarium.runtime.counts import Column
from angarium.runtime.log import ServiceLog
from angarium.runtime.service import Service
from angarium.tables.debugpeers import DebugPeers
from angarium.tables.matchlist import MatchList


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
        return builders[entry.command](self.node.conf.for_service(entry), entry)

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
            policy=make_policy(conf, node.rewrite, node.tables, log, node.room, node.dns, self._verifier),
            log=log,
            authenticator=node.authenticator if conf.boolean("smtpd_sasl_auth_enable") else None,
            penalty=self._penalty,
            tls=self.contexts.get(entry.key),
            resolver=self._client_resolver if conf.boolean("smtpd_peername_lookup") else None,
            spool=node.spool,
            limits=self._client_limits,
            exemptions=make_exemptions(conf, node.tables),
            debug=DebugPeers.from_config(conf, node.tables),
            forbidden_command=_matcher(forbidden),
            queue_directory=node.queue_directory,
            flush=self._flush(conf),
            most=self._most(entry),
            tables=make_session_tables(conf, node.tables),
        )

    @cached_property
    def _verifier(self) -> AddressVerifier:
        """What probes have found out about addresses. The prober is made when the first address is to be probed."""

        async def probe(address: str) -> Finding:
            return await self._prober.probe(address)

        conf = self.node.conf
        path = findings_path(conf.text("address_verify_map"))
        interval = conf.seconds("address_verify_cache_cleanup_interval")
        store = FindingStore(path, self.node.log("verify").warning, interval) if path is not None else None
        return AddressVerifier(VerifyParameters.from_config(conf), probe, store=store)

    @cached_property
    def _prober(self) -> Prober:
        node = self.node
        entries = [entry for entry in node.conf.master.services if entry.type == "unix"]
        return Prober(
            node.cleanup,
            make_probe_resolver(node.conf, node.tables, node.rewrite),
            {entry.name: PROBES[entry.command](node, entry) for entry in entries if entry.command in PROBES},
            {entry.name: entry.name == "retry" for entry in entries if entry.command == "error"},
            node.conf.text("address_verify_sender"),
            time.time,
            node.conf.seconds("address_verify_sender_ttl"),
        )

    def _intake(self, conf: Config) -> Intake:
        """The queue, with delivery in the session before it when smtpd_direct_delivery says so."""
        return self._direct if conf.boolean("smtpd_direct_delivery") else self.node.queue

    @cached_property
    def _direct(self) -> DirectDelivery:
        node = self.node
        deferred = frozenset(node.conf.names("defer_transports"))
        transports = {
            entry.name: DirectTransport(virtual_transport(node, node.conf.for_service(entry), entry, log), log)
            for entry in node.conf.master.services
            if entry.type == "unix" and entry.command == "virtual" and entry.name not in deferred
            if not programs.delivers_to_files(entry, node.conf)
            # a status filter is the queue manager's affair
            if not node.conf.for_service(entry).names("virtual_delivery_status_filter")
            for log in (node.log("virtual", node.conf.for_service(entry)),)
        }
        code = node.conf.integer("over_quota_reject_code")
        return DirectDelivery(node.queue, node.rewrite, transports, node.log("qmgr"), time.time, code)

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
            log=ServiceLog(node.plain_sink, "dovecot: imap-login"),
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
            log=ServiceLog(node.plain_sink, "dovecot: pop3-login"),
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


def local_service(node: Node, entry: MasterService) -> Service:
    """The service of a unix socket of master.cf; it lives where the queue manager does."""
    return _LOCAL[entry.command](node, node.conf.for_service(entry), entry)


def _pickup(node: Node, conf: Config, entry: MasterService) -> Service:
    cleanup = _cleanup(node, conf, entry)
    ask = would_become(node)
    return make_pickup(conf, node.queue, cleanup, node.tables, node.log("pickup", conf), node.spool, ask)


def _showq(node: Node, conf: Config, entry: MasterService) -> Service:
    permits = Access(conf, node.tables).permits_listing
    return ShowqService(node.queue, socket_path(entry, node.queue_directory), node.log("showq", conf), permits)


def _quota_status(node: Node, conf: Config, _entry: MasterService) -> Service:
    room = make_room(conf, node.rewrite, node.tables, node.room)

    async def ask(recipient: str, size: int) -> Room:
        return await room.of(recipient, size, lambda address: node.rewrite.resolve("", address))

    return QuotaStatusService(QuotaStatusParameters.from_config(conf), ask, node.log("quota-status", conf))


_LOCAL: Mapping[str, Callable[[Node, Config, MasterService], Service]] = {
    "pickup": _pickup,
    "showq": _showq,
    "quota-status": _quota_status,
    "spawn": spawn_service,
}


def _cleanup(node: Node, conf: Config, entry: MasterService) -> CleanupService:
    """The cleanup behind a service that may have parameters of its own, and name a cleanup of its own."""
    if not entry.overrides and conf.text("cleanup_service_name") == "cleanup":
        return node.cleanup
    seen = node.cleanup_conf(conf.text("cleanup_service_name"))
    return make_cleanup(seen, node.rewrite, node.tables, node.log("cleanup", seen), node.spool, conf)
