"""One delivery request, from its nexthop to one result for each recipient.

The order of things is smtp(8)'s: an idle connection to the nexthop first, then each destination of the nexthop, then
smtp_fallback_relay; of each the hosts by preference. A recipient that one host defers is offered to the next one, as
far as smtp_mx_session_limit goes; the last answer stands. A permanent error ends the matter for the recipients that it
concerns. The connection that dies before it has answered anything in a transaction was stale: it is not held against
the host, and a new one is made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import chain

from angarium.agents.smtp.connection import Connection
from angarium.agents.smtp.connector import Connector
from angarium.agents.smtp.destination import Destination, destinations
from angarium.agents.smtp.hosts import LOOP, HostFinder
from angarium.agents.smtp.outgoing import Outgoing, Rules
from angarium.agents.smtp.parameters import SmtpParameters
from angarium.agents.smtp.pool import ConnectionPool
from angarium.agents.smtp.trouble import LostError, NotConnectedError, TroubleError, said
from angarium.cleanup.downgrade import NestingError, downgraded, has_eight_bit_headers
from angarium.model.delivery import DeliveryRequest, DeliveryResult, QueuedRecipient, Status
from angarium.model.dsn import Dsn
from angarium.model.envelope import BodyType
from angarium.model.error import MailError
from angarium.protocols.smtp.client import needs_smtputf8
from angarium.protocols.smtp.client_reply import ClientReply
from angarium.protocols.smtp.client_states import Step
from angarium.protocols.smtp.dialect import LMTP
from angarium.runtime.log import ServiceLog

_NO_RULES = Rules()
_FIRST_STEPS = (Step.RSET, Step.XFORWARD_NAME, Step.XFORWARD_PROTO, Step.MAIL)


@dataclass(frozen=True, slots=True)
class Tools:
    """What all deliveries of a service share."""

    parameters: SmtpParameters
    service_log: ServiceLog
    finder: HostFinder
    connector: Connector
    pool: ConnectionPool
    clock: Callable[[], float]
    rules: Rules = _NO_RULES


class Delivery:
    """See the module. ``run`` is called once."""

    def __init__(self, tools: Tools, request: DeliveryRequest) -> None:
        self._tools = tools
        parameters = tools.parameters
        self._until = parameters.verify_target if request.verify else Step.DOT
        self._request = request
        self._may_be_final = parameters.assume_final or "X" in tools.rules.flags
        self._remaining: Sequence[QueuedRecipient] = request.recipients
        self._results: dict[int, DeliveryResult] = {}
        self._message = Outgoing.of(request)
        self._ready = tools.clock()
        self._connected = 0.0
        self._sessions = 0
        self._first: Destination | None = None
        self._answered: frozenset[int] = frozenset()
        self._seven_bit: Outgoing | None = None
        self._eight_bit_headers: bool | None = None
        self._asked: tuple[str, int] | None = None

    async def run(self) -> Sequence[DeliveryResult]:
        """Attempt the delivery; one result for each recipient."""
        parameters = self._tools.parameters
        # The path of a unix socket minds its case.
        key = self._request.nexthop if parameters.dialect is LMTP else self._request.nexthop.lower()
        if parameters.authentication.by_sender and parameters.authentication.enabled:
            key = f"{key}\0{self._request.envelope.sender}"
        try:
            places = destinations(self._request.nexthop, parameters.tcp_port, parameters.dialect)
        except ValueError as error:
            self._tools.service_log.warning(f"{self._request.queue_id}: {error}")
            self._settle_all(TroubleError("4.3.5", f"Mail system configuration error: {error}"), None)
            return self._ordered()
        if self._tools.rules:
            if trouble := self._check_flags(self._tools.rules):
                self._settle_all(trouble, None, relay=self._request.transport)
                return self._ordered()
            try:
                self._message = await self._tools.rules.apply(self._request)
            except MailError as error:
                self._tools.service_log.warning(f"{self._request.queue_id}: {error.cause}")
                self._settle_all(TroubleError("4.3.0", "address mapping lookup failure", broken=False), None)
                return self._ordered()
        self._first = places[0]
        connection = self._tools.pool.take(key)
        if connection is not None:
            await self._reuse(connection, places[0], key)
        if self._remaining:
            await self._try_places(self._with_fallback(places), key)
        return self._ordered()

    def _check_flags(self, rules: Rules) -> TroubleError | None:
        """What forbids headers about the recipient."""
        request = self._request
        for flag in "DO":
            if flag in rules.flags and len(request.recipients) > 1:
                limit = f"{request.transport}_destination_recipient_limit"
                self._tools.service_log.warning(f"flag `{flag}' requires {limit} = 1")
                return TroubleError("4.3.5", "mail system configuration error", broken=False)
        looping = rules.loop(request)
        return TroubleError("5.4.6", f"mail forwarding loop for {looping}", broken=False) if looping else None

    def _with_fallback(self, places: Sequence[Destination]) -> Iterable[Destination]:
        parameters = self._tools.parameters
        if not parameters.fallback_relay:
            return places
        return chain(places, destinations(" ".join(parameters.fallback_relay), parameters.tcp_port, parameters.dialect))

    def _ordered(self) -> list[DeliveryResult]:
        results = self._results
        return [results[queued.number] for queued in self._request.recipients]

    async def _reuse(self, connection: Connection, place: Destination, key: str) -> None:
        """Send over an idle connection; what it leaves undone remains."""
        self._sessions = 1
        self._asked = (connection.target.address, connection.target.port)
        try:
            await self._send(connection, place, key)
        except LostError as lost:
            self._sessions = 0
            if lost.step in _FIRST_STEPS and not lost.timed_out:
                self._asked = None
                return  # stale: nothing was said to us about this message
            self._settle_all(lost, connection)
        except TroubleError as trouble:
            self._settle_all(trouble, connection)

    async def _try_places(self, places: Iterable[Destination], key: str) -> None:
        for place in places:
            try:
                targets = await self._tools.finder.find(place)
                policy = await self._tools.connector.policy(place)
            except TroubleError as trouble:
                # Another place would only send the loop round once more.
                loop = trouble.dsn == LOOP
                self._settle_all(trouble, None, final=loop)
                if loop:
                    return
                continue
            limit = self._tools.parameters.mx_session_limit
            for target in targets:
                if not self._remaining or (limit and self._sessions >= limit):
                    break
                if self._asked == (target.address, target.port):
                    continue  # over the connection that was open
                connection: Connection | None = None
                try:
                    self._sessions += 1
                    connection = await self._tools.connector.connect(target, place, self._request, policy)
                    await self._send(connection, place, key)
                except NotConnectedError as trouble:
                    self._sessions -= 1
                    self._settle_all(trouble, None)
                except TroubleError as trouble:
                    self._settle_all(trouble, connection, relay=target.relay)
                    if self._remaining:
                        self._tools.service_log.info(f"{self._request.queue_id}: {trouble.text}")
            if not self._remaining:
                return
            self._sessions = 0

    async def _send(self, connection: Connection, place: Destination, key: str) -> None:
        """One transaction for the remaining recipients.

        Raises:
            TroubleError: for what concerns all that are undecided then.
        """
        tools = self._tools
        self._connected = tools.clock()
        recipients = self._remaining
        addresses = self._message.named([queued.number for queued in recipients])
        try:
            smtputf8 = self._check_size(connection) and await self._check_smtputf8(connection)
            message: Outgoing = self._message
            size: int | None = message.size
            if not connection.session.offers("8BITMIME") and self._may_be_converted:
                message, size = await self._converted(), None
        except TroubleError:
            self._keep(key, connection, place)  # nothing was said: it is as good as before
            raise
        try:
            await connection.transact(
                message.envelope,
                addresses,
                size,
                _chunks(message),
                smtputf8=smtputf8,
                until=self._until,
                forward=forwarded(self._request, tools.parameters.own_addresses)
                if tools.parameters.send_xforward_command
                else None,
            )
        except TroubleError:
            # Some recipients may have had their answer before the trouble: it stands, also when it is only for now.
            self._settle(connection, recipients)
            replies = zip(recipients, connection.session.replies, strict=True)
            self._answered = frozenset(queued.number for queued, decided in replies if decided is not None)
            connection.quit()
            raise
        except BaseException:
            connection.abort()
            raise
        self._settle(connection, recipients)
        self._keep(key, connection, place)

    def _keep(self, key: str, connection: Connection, place: Destination) -> None:
        """For the next message to this nexthop; one to another place than its first would keep mail from that."""
        if place == self._first:
            self._tools.pool.give(key, connection, place)
        else:
            connection.quit()

    def _check_size(self, connection: Connection) -> bool:
        """Ask the server's announced limit; True when it may have to know SMTPUTF8, too. Raises TroubleError."""
        limit = connection.session.size_limit
        if limit and self._message.size > limit:
            peer = connection.target.peer
            text = f"message size {self._message.size} exceeds size limit {limit} of server {peer}"
            raise TroubleError("5.3.4", text, broken=False)
        return self._message.envelope.smtputf8

    async def _check_smtputf8(self, connection: Connection) -> bool:
        """True when SMTPUTF8 is to be asked for. Raises TroubleError."""
        message = self._message
        people = message.named([queued.number for queued in self._remaining])
        if not needs_smtputf8(message.envelope, people, b"") and not await self._has_eight_bit_headers():
            return False
        if not connection.session.offers("SMTPUTF8"):
            text = f"SMTPUTF8 is required, but was not offered by host {connection.target.peer}"
            raise TroubleError("5.6.7", text, broken=False)
        return True

    async def _has_eight_bit_headers(self) -> bool:
        if self._eight_bit_headers is None:
            limits = self._tools.parameters.walk_limits
            self._eight_bit_headers = await has_eight_bit_headers(self._message.whole, limits)
        return self._eight_bit_headers

    @property
    def _may_be_converted(self) -> bool:
        body = self._message.envelope.body
        return self._tools.parameters.mime_output_conversion and body is not BodyType.SEVENBIT

    async def _converted(self) -> Outgoing:
        """The message for a server that takes seven bits. Raises TroubleError."""
        if self._seven_bit is None:
            message = self._message
            try:
                content = await downgraded(message.whole, self._tools.parameters.walk_limits)
            except NestingError as error:
                raise TroubleError("5.6.0", str(error), broken=False) from None
            self._seven_bit = replace(message, prefix=b"", content=content)
        return self._seven_bit

    def _settle(self, connection: Connection, recipients: Sequence[QueuedRecipient]) -> None:
        """Turn the replies into results; keep as remaining those whom another host may still take."""
        if connection.remarks:
            for remark in connection.remarks:
                self._tools.service_log.warning(remark)
            connection.remarks.clear()
        remaining: list[QueuedRecipient] = []
        finished = self._tools.clock()
        replies = connection.session.replies
        for queued, decided in zip(recipients, replies, strict=True):
            if decided is None:
                remaining.append(queued)
                continue
            step, reply = decided
            result = self._result(connection, queued, step, reply, finished)
            self._results[queued.number] = result
            if result.status is Status.DEFERRED and not self._is_permanent(reply):
                remaining.append(queued)
        self._remaining = remaining

    @staticmethod
    def _is_permanent(reply: ClientReply) -> bool:
        return reply.code >= 500

    def _result(
        self, connection: Connection, queued: QueuedRecipient, step: Step, reply: ClientReply, finished: float
    ) -> DeliveryResult:
        target = connection.target
        sent = step is self._until and reply.code // 100 == (3 if step is Step.DATA else 2)
        dsn = reply.dsn
        if sent:
            status, text = Status.SENT, reply.text
        else:
            text = said(target.peer, reply, step)
            status = Status.BOUNCED if reply.code >= 500 else Status.DEFERRED
            if dsn.klass == 2:
                # A success where it makes no sense (250 to DATA): nothing is known to be delivered.
                dsn = Dsn(4, 5, 0)
            if status is Status.BOUNCED and self._tools.parameters.soft_bounce:
                status, dsn = Status.DEFERRED, dsn.with_class(4)
        return DeliveryResult(
            recipient=queued,
            status=status,
            dsn=dsn,
            relay=target.relay,
            text=text,
            remote_reply=reply.text,
            remote_mta=target.host,
            agent_ready=self._ready,
            connected=self._connected,
            finished=finished,
            relayed_dsn=sent and connection.session.offers("DSN"),
            final=sent and self._may_be_final and self._is_final(connection),
            conn_use=connection.uses,
        )

    def _is_final(self, connection: Connection) -> bool:
        parameters = self._tools.parameters
        assumed = parameters.assume_final and not connection.session.offers("DSN")
        return assumed or "X" in self._tools.rules.flags

    def _settle_all(
        self, trouble: TroubleError, connection: Connection | None, *, relay: str = "", final: bool = True
    ) -> None:
        """Give all remaining recipients the trouble as their result; after a permanent one nobody remains."""
        finished = self._tools.clock()
        target = connection.target if connection is not None else None
        bounced = trouble.dsn.klass == 5 and not self._tools.parameters.soft_bounce
        dsn = trouble.dsn if bounced else trouble.dsn.with_class(4)
        answered, self._answered = self._answered, frozenset()
        for queued in self._remaining:
            if queued.number in answered:
                continue
            self._results[queued.number] = DeliveryResult(
                recipient=queued,
                status=Status.BOUNCED if bounced else Status.DEFERRED,
                dsn=dsn,
                relay=relay or (target.relay if target is not None else "none"),
                text=trouble.text,
                remote_reply=trouble.reply,
                remote_mta=target.host if target is not None and trouble.reply else "",
                agent_ready=self._ready,
                connected=self._connected or finished,
                finished=finished,
                destination_broken=trouble.broken and trouble.dsn.klass == 4,
                conn_use=connection.uses if connection is not None else 1,
            )
        if trouble.dsn.klass == 5 and final:
            self._remaining = ()


def _chunks(message: Outgoing) -> Iterable[bytes]:
    if message.content.size < 65536:
        return (message.prefix + message.content.read(),)
    return chain((message.prefix,), message.content.chunks())


def forwarded(request: DeliveryRequest, own_addresses: frozenset[str]) -> dict[str, str]:
    """What XFORWARD tells of the client from whom a message came; what is not known is left out."""
    client = request.envelope.origin.logged
    local = client.local if client.local is not None else not client.address or client.address in own_addresses
    return {
        "NAME": client.name if client.name != "unknown" else "",
        "ADDR": f"IPV6:{client.address}" if ":" in client.address else client.address,
        "PORT": str(client.port) if client.port else "",
        "PROTO": "ESMTP" if client.protocol.startswith("ESMTP") else client.protocol if client.address else "",
        "HELO": client.helo,
        "IDENT": client.ident or request.queue_id,
        "SOURCE": "LOCAL" if local else "REMOTE",
    }
