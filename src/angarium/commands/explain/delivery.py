"""Where a resolved recipient's mail goes then: the account of a mailbox, the hosts of an smtp transport, a refusal.

The agents' own functions are asked: which account (virtual), which hosts in which order, which TLS and which password
(smtp). Nothing is connected to and nothing stored.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from angarium.agents.smtp.connector import sender_keys
from angarium.agents.smtp.destination import Destination, destinations
from angarium.agents.smtp.hosts import HostFinder, Target
from angarium.agents.smtp.parameters import SmtpParameters, own_name
from angarium.agents.smtp.tlspolicy import TlsPolicies, TlsPolicy
from angarium.agents.smtp.trouble import TroubleError
from angarium.agents.virtual.lookup import find_account
from angarium.config.config import Config
from angarium.config.error import ConfigError
from angarium.config.master_cf import MasterService
from angarium.delivery.attributes import PIPE, read_attributes
from angarium.delivery.rights import OwnRights
from angarium.delivery.troubles import DeliveryError
from angarium.master import programs
from angarium.master.node import Node
from angarium.master.transports import AGENT_COMMANDS, files_deliverer, local_trial
from angarium.model.delivery import Status
from angarium.model.dsn import Dsn
from angarium.model.lookup import NOT_FOUND, Found, Lookup, NotFound, TemporaryError
from angarium.protocols.smtp.dialect import DIALECTS
from angarium.rewrite.interface import Resolution
from angarium.tables.maps import Maps


@dataclass(frozen=True, slots=True)
class Ending:
    """What the transport makes of a recipient: lines for people, and the facts for programs."""

    lines: tuple[str, ...]
    facts: dict[str, object] = field(default_factory=dict)


class DeliveryTrial:
    """The transports of one configuration, in a dry run."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._entries = {entry.name: entry for entry in node.conf.master.services if entry.type == "unix"}

    async def ending(self, way: Resolution, sender: str) -> Ending:
        """What happens to a recipient that goes this way."""
        if way.transport in self._node.conf.names("defer_transports"):
            return Ending(("deferred: the transport is in defer_transports",), {"outcome": "deferred"})
        entry = self._entries.get(way.transport)
        if entry is None:
            text = f"deferred: master.cf has no transport {way.transport}"
            return Ending((text,), {"outcome": "deferred"})
        conf = self._node.conf.for_service(entry)
        if entry.command in ("smtp", "lmtp"):
            return await self._smtp(conf, entry, way, sender)
        if entry.command == "virtual" and programs.delivers_to_files(entry, self._node.conf):
            return _softened(conf, await self._files(conf, way))
        if entry.command == "pipe":
            return _command(entry)
        if entry.command == "local":
            return await self._local(conf, entry, way, sender)
        if entry.command == "virtual":
            return _softened(conf, await self._virtual(conf, way))
        if entry.command == "error":
            return _softened(conf, _refusal(entry, way))
        if entry.command == "discard":
            return Ending(("thrown away",), {"outcome": "discarded"})
        if entry.command not in AGENT_COMMANDS:
            text = f"deferred: this server has no {entry.command} ({entry.file}:{entry.line})"
            return Ending((text,), {"outcome": "deferred", "command": entry.command})
        return Ending((f"handed to {entry.command} ({entry.file}:{entry.line})",), {"command": entry.command})

    async def _files(self, conf: Config, way: Resolution) -> Ending:
        """A Maildir or a mailbox file."""
        deliverer = files_deliverer(self._node, conf, self._node.log("virtual", conf), OwnRights())
        try:
            place = await deliverer.place(way.recipient)
        except DeliveryError as error:
            outcome = "deferred" if error.dsn.temporary else "bounced"
            return Ending((f"{outcome}: {error.dsn} {error.text}",), {"outcome": outcome, "status": str(error.dsn)})
        lines = (f"{place.kind} {place.path}, written by uid {place.uid} gid {place.gid}",)
        facts: dict[str, object] = {"outcome": place.kind, "path": place.path, "uid": place.uid, "gid": place.gid}
        return Ending(lines, facts)

    async def _local(self, conf: Config, entry: MasterService, way: Resolution, sender: str) -> Ending:
        """Aliases, ``.forward`` files, and what each destination comes to."""
        parts, seen = await local_trial(self._node, conf, entry, sender, way.recipient)
        lines = list(seen)
        outcomes: list[dict[str, object]] = []
        for part in parts:
            rights = f", with the rights of {part.actor}" if part.actor else ""
            place = f" {part.place}" if part.place and part.place not in part.text else ""
            if part.status is Status.SENT:
                lines.append(f"<{part.address}> {part.text}{place}{rights}")
            else:
                lines.append(f"<{part.address}> {part.status.value}: {part.dsn} {part.text}")
            said: dict[str, object] = {"recipient": part.address, "status": str(part.dsn), "text": part.text}
            outcomes.append(said | {"rights": part.actor, "place": part.place, "outcome": part.status.value})
        return Ending(tuple(lines), {"outcome": "local", "destinations": outcomes, "expansion": list(seen)})

    async def _virtual(self, conf: Config, way: Resolution) -> Ending:
        maps = Maps.open("virtual_mailbox_maps", conf.names("virtual_mailbox_maps"), self._node.tables)

        async def locate(key: str) -> Lookup:
            return await maps.find(key)

        account = await find_account(locate, way.recipient, conf.delimiters())
        if isinstance(account, TemporaryError):
            return Ending((f"deferred: {account.source}: {account.cause}",), {"outcome": "deferred"})
        if isinstance(account, NotFound):
            return Ending(("bounced: no such account",), {"outcome": "bounced"})
        facts: dict[str, object] = {"outcome": "mailbox", "account": account.value, "folder": "INBOX"}
        lines = [f"account {account.value}, folder INBOX [{account.source}]"]
        plan = await self._node.quotas.of(account.value)
        if isinstance(plan, TemporaryError):
            return Ending((*lines, f"deferred: {plan.source}: {plan.cause}"), facts | {"outcome": "deferred"})
        for limit, whose, key in ((plan.limit, "quota", "quota"), (plan.domain, "domain quota", "domain_quota")):
            if limit:
                limits = [
                    f"{number} {unit}"
                    for number, unit in ((limit.bytes, "bytes"), (limit.messages, "messages"))
                    if number
                ]
                lines.append(f"{whose} {', '.join(limits)}")
                facts[key] = {"bytes": limit.bytes, "messages": limit.messages}
        if plan.mail:
            lines.append(f"largest message {plan.mail} bytes")
            facts["largest_message"] = plan.mail
        if not plan.counts:
            lines.append("no quota")
        return Ending(tuple(lines), facts)

    async def _smtp(self, conf: Config, entry: MasterService, way: Resolution, sender: str) -> Ending:
        """A server, by either dialect of the client."""
        parameters = SmtpParameters.from_config(conf, DIALECTS[entry.command])
        log = self._node.log(entry.command, conf)
        resolver = self._node.dnssec if parameters.dnssec else self._node.dns
        find = self._finder(conf, own_name(parameters.dialect, "smtp_tls_policy_maps"))
        policies = TlsPolicies(parameters.tls_defaults, log, find, resolver)
        finder = HostFinder(parameters, resolver)
        lines: list[str] = []
        hosts: list[dict[str, object]] = []
        try:
            places = destinations(way.nexthop, parameters.tcp_port, parameters.dialect)
            fallback = (
                destinations(" ".join(parameters.fallback_relay), parameters.tcp_port, parameters.dialect)
                if parameters.fallback_relay
                else ()
            )
        except ValueError as error:
            return Ending((f"deferred: {error}",), {"outcome": "deferred"})
        for place in (*places, *fallback):
            try:
                policy = await policies.of(place)
                targets = await finder.find(place)
            except TroubleError as trouble:
                lines.append(f"{place.text}: {trouble.dsn} {trouble.text}")
                hosts.append({"destination": place.text, "trouble": f"{trouble.dsn} {trouble.text}"})
                continue
            for target in targets:
                try:
                    level = await _level(policies, policy, target, place)
                except TroubleError as trouble:
                    lines.append(f"{target.relay}: {trouble.dsn} {trouble.text}")
                    hosts.append({"host": target.host, "address": target.address, "trouble": trouble.text})
                    continue
                log_in = await self._log_in(conf, parameters, target.host, place.text, sender)
                lines.append(f"{target.relay}, TLS {level}{log_in}")
                hosts.append({"host": target.host, "address": target.address, "port": target.port, "tls": level})
        generic = await self._generic(
            self._finder(conf, own_name(parameters.dialect, "smtp_generic_maps")), sender, way.recipient
        )
        return Ending((*lines, *generic), {"outcome": "relay", "hosts": hosts})

    async def _log_in(self, conf: Config, parameters: SmtpParameters, host: str, nexthop: str, sender: str) -> str:
        """Which entry of smtp_sasl_password_maps holds; never the password."""
        find = self._finder(conf, own_name(parameters.dialect, "smtp_sasl_password_maps"))
        if not parameters.authentication.enabled or find is None:
            return ""
        by_sender = parameters.authentication.by_sender and sender
        keys = sender_keys(sender, parameters.recipient_delimiter) if by_sender else []
        for key in (*keys, host, nexthop):
            match = await find(key)
            if isinstance(match, TemporaryError):
                return f", log-in cannot be looked up: {match.cause}"
            if isinstance(match, Found):
                return f", log-in as {match.value.partition(':')[0]} [{match.source}]"
        return ", no log-in"

    @staticmethod
    async def _generic(find: Callable[[str], Awaitable[Lookup]] | None, sender: str, recipient: str) -> list[str]:
        if find is None:
            return []
        lines = []
        for address in (sender, recipient):
            for key in (address, address[address.rfind("@") :]):
                match = await find(key) if key else NOT_FOUND
                if isinstance(match, Found):
                    lines.append(f"leaves as {match.value} instead of {address} [{match.source}]")
                    break
        return lines

    def _finder(self, conf: Config, parameter: str) -> Callable[[str], Awaitable[Lookup]] | None:
        maps = Maps.open(parameter, conf.names(parameter), self._node.tables)

        async def find(key: str) -> Lookup:
            return await maps.find(key)

        return find if maps else None


def _command(entry: MasterService) -> Ending:
    """The command of pipe, as master.cf has it: its macros are for real messages."""
    where = f"{entry.file}:{entry.line}"
    attributes = read_attributes(entry, PIPE)
    if isinstance(attributes, ConfigError):
        return Ending((f"deferred: {attributes.text} ({where})",), {"outcome": "deferred", "command": "pipe"})
    user = attributes.user + (f":{attributes.group}" if attributes.group else "")
    facts: dict[str, object] = {"outcome": "command", "command": "pipe", "argv": list(attributes.argv), "user": user}
    return Ending((f"command {' '.join(attributes.argv)}, run by {user} ({where})",), facts)


def _softened(conf: Config, ending: Ending) -> Ending:
    """With soft_bounce mail that would be returned waits."""
    if ending.facts.get("outcome") != "bounced" or not conf.boolean("soft_bounce"):
        return ending
    facts = dict(ending.facts, outcome="deferred")
    if "status" in facts:
        facts["status"] = f"4{str(facts['status'])[1:]}"
    lines = tuple(line.replace("bounced: ", "deferred, for soft_bounce is on: ", 1) for line in ending.lines)
    return Ending(lines, facts)


def _refusal(entry: MasterService, way: Resolution) -> Ending:
    dsn, text = Dsn.split(way.nexthop)
    temporary = entry.name == "retry"
    status = (dsn or Dsn(5, 0, 0)).with_class(4 if temporary else 5)
    outcome = "deferred" if temporary else "bounced"
    return Ending((f"{outcome}: {status} {text}",), {"outcome": outcome, "status": str(status), "text": text})


async def _level(policies: TlsPolicies, policy: TlsPolicy, target: Target, place: Destination) -> str:
    """How much TLS a host gets; with DANE its records decide. Raises TroubleError."""
    wanted = policy.level.value
    given = (await policies.at_host(policy, target, place)).level.value
    return given if given == wanted or wanted == "dane-only" else f"{given} ({wanted} was asked for)"
