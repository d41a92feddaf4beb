"""The socket of a session: the only place in smtpd that touches it.

One task a session: it waits for input, lets the conversation act on what a read brought, and writes all the replies
at once (RFC 2920). While it works, at most 64 KiB more are taken from the socket; then reading pauses until it is
through. Writing waits when the client does not read.

Time limits are those of postconf(5) ``smtpd_timeout``: for each read and write, or, with
``smtpd_per_request_deadline``, for a whole request. One timer a connection serves them all.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from msgspec.structs import replace

from angarium.daemons.smtpd.client import UNKNOWN, Client, ClientResolver
from angarium.daemons.smtpd.collaborators import Collaborators
from angarium.daemons.smtpd.conversation import Conversation, Handlers
from angarium.daemons.smtpd.debugpeer import DebugPeerConversation
from angarium.daemons.smtpd.judgement import ask
from angarium.daemons.smtpd.lookups import choose_keywords
from angarium.daemons.smtpd.parameters import SmtpdParameters
from angarium.daemons.smtpd.rates import refuses_tls
from angarium.daemons.smtpd.tlssession import accepted
from angarium.daemons.smtpd.upstream import client_behind
from angarium.daemons.smtpd.wording import describe_fault
from angarium.model.reply import Reply
from angarium.protocols.smtp.render import render_reply
from angarium.protocols.smtp.states import Input
from angarium.tables.debugpeers import DebugPeers

READ_AHEAD = 64 * 1024
_PIECE = 8 * 1024
"""Octets of commands that are acted on at once."""
_LINGER = 10.0
"""Seconds that a client has to take the last reply: until then nobody counts it, so there may be many."""
DRAIN_QUIET = 10.0
"""Seconds for which a client may say nothing between transactions when a new process has taken over: who is in the
middle of something notices nothing of a reload, and the old processes end."""
_SLICE = 0.01
"""Seconds for which one client's commands are acted on before others have their turn."""


class LostConnectionError(Exception):
    """The client went away."""


class ClientTimeoutError(Exception):
    """The client took too long."""


@dataclass(frozen=True, slots=True)
class ConnectionSetting:
    """What all connections of a service share.

    Attributes:
        tls: to accept TLS with; None when there is no certificate.
        debug: the clients whose sessions are logged line by line; None: nobody's.
    """

    parameters: SmtpdParameters
    collaborators: Collaborators
    handlers: Handlers
    resolver: ClientResolver | None
    tls: ssl.SSLContext | None
    debug: DebugPeers | None = None


class SmtpdConnection(asyncio.Protocol):
    """One connection.

    Args:
        setting: of the service.
        ended: called once, when the connection is done with.
    """

    def __init__(self, setting: ConnectionSetting, ended: Callable[[SmtpdConnection], None]) -> None:
        self._setting = setting
        self._ended = ended
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._accepted: socket.socket | None = None
        self._input: list[bytes] = []
        self._input_size = 0
        self._paused = False
        self._eof = False
        self._writable: asyncio.Future[None] | None = None
        self._wake: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._deadline = 0.0
        self._request_deadline = 0.0
        self._expired = False
        self._draining = False
        self._talk: Conversation | None = None
        self.task: asyncio.Task[None] | None = None

    # -- called by the event loop ----------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is there: begin the session."""
        self._transport = cast("asyncio.Transport", transport)
        if self.task is None:
            address, port = _peer(self._transport.get_extra_info("peername"))
            server = _peer(self._transport.get_extra_info("sockname"))
            self.task = self._loop.create_task(self._run(Client("unknown", address, port, server=server)))

    def begin_with_tls(self, accepted: socket.socket, peer: object) -> None:
        """Begin the session of a service with smtpd_tls_wrappermode on a socket that was just accepted from ``peer``.

        The socket gets its transport when the client is known and TLS can begin: a transport would read ahead octets
        that belong to the handshake.
        """
        self._accepted = accepted
        address, port = _peer(peer)
        server = _peer(accepted.getsockname())
        self.task = self._loop.create_task(self._run(Client("unknown", address, port, server=server)))

    def data_received(self, data: bytes) -> None:
        """Octets have come in."""
        self._input.append(data)
        self._input_size += len(data)
        if self._input_size > READ_AHEAD and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()
        wake = self._wake
        if wake is not None:
            self._wake = None
            if not wake.done():
                wake.set_result(None)

    def eof_received(self) -> bool | None:
        """The client will send no more; what it sent is still answered."""
        self._end_input()
        # asyncio's TLS transport cannot stay half open; a plain one is closed when the session has answered.
        return self._transport is not None and self._transport.get_extra_info("sslcontext") is None

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """The socket is gone."""
        self._end_input()
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)

    def pause_writing(self) -> None:
        """The client does not read: hold the next reply back."""
        if self._writable is None:
            self._writable = self._loop.create_future()

    def resume_writing(self) -> None:
        """The client reads again."""
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)
        self._writable = None

    def _end_input(self) -> None:
        self._eof = True
        wake, self._wake = self._wake, None
        if wake is not None and not wake.done():
            wake.set_result(None)

    def drain(self) -> None:
        """Another process takes new clients: the session ends when it is quiet between transactions."""
        self._draining = True
        talk = self._talk
        if talk is not None and talk.transaction is None and self._wake is not None and not self._wake.done():
            self._arm(min(self._deadline, self._loop.time() + DRAIN_QUIET))

    # -- the session -----------------------------------------------------------------------------------------------

    async def _run(self, client: Client) -> None:
        try:
            if self._setting.parameters.upstream_proxy_protocol:
                found = await self._behind_proxy(client)
                if found is None:
                    return
                client = found
            client = await self._identify(client)
            await self._session(client)
        except (LostConnectionError, ClientTimeoutError):
            pass  # said in the log where it happened
        except Exception as error:  # noqa: BLE001 - the session ends here, the worker goes on
            self._setting.collaborators.journal.warning(
                f"{client.shown}: session ended by a fault: {describe_fault(error)}"
            )
        finally:
            if self._timer is not None:
                self._timer.cancel()
            try:
                self._close()
            finally:
                self._ended(self)

    def _close(self) -> None:
        """Close; a client that does not take the last reply is cut off after a while."""
        transport = self._transport
        if self._accepted is not None:
            self._accepted.close()
        if transport is None or transport.is_closing():
            return
        unsent = transport.get_write_buffer_size() > 0
        transport.close()
        if unsent:
            self._loop.call_later(min(self._setting.parameters.timeout, _LINGER), transport.abort)

    async def _behind_proxy(self, client: Client) -> Client | None:
        """The client of whom a load balancer speaks; None: the session is over."""
        parameters, journal = self._setting.parameters, self._setting.collaborators.journal
        found = await client_behind(client, parameters, journal, self._more_of_header, self._say)
        if found is None:
            return None
        client, rest = found
        self._input[:] = [rest] if rest else []
        self._input_size = len(rest)
        return client

    def _say(self, data: bytes) -> None:
        """Write, unless the connection is gone, or is TLS's."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    async def _more_of_header(self, read: int) -> bytes:
        """What has come in behind the first ``read`` octets, at least one; empty at the end."""
        if self._accepted is not None:  # what follows the header belongs to TLS: it must stay in the socket
            return await self._loop.sock_recv(self._accepted, 1)
        while self._input_size <= read and not self._eof:
            self._wake = self._loop.create_future()
            await self._wake
        return b"".join(self._input)[read:]

    async def _identify(self, client: Client) -> Client:
        setting = self._setting
        found = UNKNOWN
        if setting.resolver is not None and setting.parameters.peername_lookup and client.address:
            found = await setting.resolver.client_name(client.address)
            if found.warning:
                setting.collaborators.journal.warning(found.warning)
        return replace(
            client,
            name=found.name,
            reverse_name=found.reverse_name,
            name_failed=found.name_failed,
            reverse_failed=found.reverse_failed,
        ).labelled(port=setting.parameters.client_port_logging)

    async def _session(self, client: Client) -> None:
        setting = self._setting
        parameters = setting.parameters
        ask = setting.collaborators
        exempt = await ask.exemptions(client)
        make = Conversation
        if setting.debug is not None and await setting.debug.has(client.name, client.address):
            make = DebugPeerConversation
        talk = self._talk = make(parameters, ask, client, setting.handlers, exempt)
        talk.journal.info(f"connect from {client.shown}")
        if ask.tables.ehlo_keywords:
            await choose_keywords(talk)
        uncounted = exempt.limits or exempt.xclient
        open_now, made = (0, 0) if uncounted else ask.limits.connect(parameters.service_name, client.address)
        try:
            refusal = self._over_limit(talk, open_now, made)
            if self._accepted is not None:
                if refuses_tls(talk, "TLS service request"):
                    return
                await self._start_tls(talk)
            if not talk.closing and await self._greet(talk, refusal):
                await self._converse(talk)
        except LostConnectionError:
            self._log_abnormal_end(talk, "lost connection")
        except ClientTimeoutError:
            await self._say_timeout(talk)
            self._log_abnormal_end(talk, "timeout")
        finally:
            talk.reset()
            if not uncounted:
                ask.limits.disconnect(parameters.service_name, client.address)
            talk.journal.info(f"disconnect from {talk.client.shown} {talk.counts.statistics()}")

    async def _greet(self, talk: Conversation, refusal: Reply | None) -> bool:
        """Send the banner; False when the session ends here instead."""
        parameters = self._setting.parameters
        if refusal is not None:
            talk.send(refusal)
            await self._flush(talk)
            return False
        denial = await ask(talk, talk.ask.policy.connect, "CONNECT")
        if denial is not None:
            talk.denied = True
            talk.send(denial)
        elif not self._input or talk.tolerates_early_talk(b"".join(self._input)):
            talk.send(Reply(220, None, (parameters.banner,)))
        await self._flush(talk)
        return not talk.closing

    def _over_limit(self, talk: Conversation, open_now: int, made: int) -> Reply | None:
        """The refusal of a client that has too many connections, or makes them too fast."""
        parameters = self._setting.parameters
        shown = talk.client.shown
        for number, limit, words in (
            (open_now, parameters.client_connection_count_limit, "Connection concurrency"),
            (made, parameters.client_connection_rate_limit, "Connection rate"),
        ):
            if 0 < limit < number:
                service = parameters.service_name
                talk.journal.warning(f"{words} limit exceeded: {number} from {shown} for service {service}")
                address = talk.client.address
                text = f"{parameters.myhostname} Error: too many connections from {address}"
                return Reply.of(421, "4.7.0", text)
        return None

    async def _converse(self, talk: Conversation) -> None:
        protocol = talk.protocol
        until = time.monotonic() + _SLICE
        while not talk.closing:
            if self._input and time.monotonic() > until:
                await asyncio.sleep(0)
                until = time.monotonic() + _SLICE
            data = await self._read(talk)
            events = protocol.receive_data(data)
            self._progressed(talk, len(data), bool(events))
            await talk.receive(events)
            if talk.tls_requested:
                self._drop_input()
            await self._flush(talk)
            if talk.tls_requested:
                await self._start_tls(talk)

    def _drop_input(self) -> None:
        """Throw away what came in before TLS (RFC 3207 section 4.2), and read no more of it: what follows is TLS's."""
        if self._transport is not None:
            self._transport.pause_reading()
        self._input.clear()
        self._input_size = 0

    async def _read(self, talk: Conversation) -> bytes:
        """What has come in. Raises LostConnectionError, ClientTimeoutError."""
        while not self._input:
            if self._eof:
                raise LostConnectionError
            deadline = self._read_deadline(talk)
            if self._draining and talk.transaction is None:
                deadline = min(deadline, self._loop.time() + DRAIN_QUIET)
            self._wake = self._loop.create_future()
            self._arm(deadline)
            await self._wake
            if self._expired:
                if not self._draining or talk.transaction is not None:
                    raise ClientTimeoutError
                talk.send(Reply.of(421, "4.3.2", f"{talk.parameters.myhostname} Service shutting down"))
                talk.closing = True
                return b""
        pieces = self._input
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        self._input_size = 0
        most = READ_AHEAD if talk.protocol.state is Input.DATA else _PIECE
        if len(data) > most:
            pieces.append(data[most:])
            self._input_size = len(pieces[0])
            return data[:most]
        if self._paused and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()
        return data

    def _read_deadline(self, talk: Conversation) -> float:
        """When the wait for input that begins now is over."""
        if self._request_deadline:
            return self._request_deadline
        deadline = self._loop.time() + talk.parameters.timeout
        if talk.parameters.per_request_deadline:
            self._request_deadline = deadline
        return deadline

    def _progressed(self, talk: Conversation, size: int, complete: bool) -> None:
        """Move the deadline of a request: a complete one ends it, octets of a message earn time."""
        if not self._request_deadline:
            return
        if talk.protocol.state in (Input.DATA, Input.CHUNK):
            earned = self._request_deadline + size / talk.parameters.min_data_rate
            self._request_deadline = min(earned, self._loop.time() + talk.parameters.timeout)
        elif complete:
            self._request_deadline = 0.0

    def _arm(self, deadline: float) -> None:
        """Set the deadline of the wait that begins now. The timer is moved only when it has to: waits are many."""
        self._deadline = deadline
        if self._timer is not None and self._timer.when() > deadline:
            self._timer.cancel()
            self._timer = None
        if self._timer is None:
            self._timer = self._loop.call_at(self._deadline, self._timer_fired)

    def _timer_fired(self) -> None:
        self._timer = None
        now = self._loop.time()
        if now < self._deadline:
            self._timer = self._loop.call_at(self._deadline, self._timer_fired)
            return
        waiting = self._wake or self._writable
        if waiting is not None and not waiting.done():
            self._expired = True
            self._wake = None
            waiting.set_result(None)

    async def _flush(self, talk: Conversation) -> None:
        """Write the replies of this batch, after the pause that a client with many errors has earned."""
        if talk.pending_footers:
            await talk.add_footers()
        data = talk.take_output()
        if not data:
            return
        if talk.delay:
            talk.delay = False
            if talk.parameters.error_sleep_time > 0:
                await asyncio.sleep(talk.parameters.error_sleep_time)
        transport = self._transport
        if transport is None or transport.is_closing():
            raise LostConnectionError
        transport.write(data)
        if self._writable is not None:
            self._arm(self._loop.time() + talk.parameters.timeout)
            await self._writable
            if self._expired:
                raise ClientTimeoutError

    async def _start_tls(self, talk: Conversation) -> None:
        """Begin TLS. Reading is paused: the client's first octet belongs to the handshake."""
        setting = self._setting
        context = setting.tls
        if context is None:
            raise LostConnectionError
        try:
            secured = await self._handshake(context)
        except (OSError, ssl.SSLError) as error:
            self._log_tls_failure(talk, error)
            raise LostConnectionError from error
        if secured is None:
            raise LostConnectionError
        self._transport = secured
        self._paused = False
        tls = secured.get_extra_info("ssl_object")
        talk.start_session_over_tls(accepted(tls, talk.client, setting.parameters, talk.journal))
        if talk.closing:
            await self._flush(talk)
            return
        await talk.receive(talk.protocol.resume_commands())

    async def _handshake(self, context: ssl.SSLContext) -> asyncio.Transport | None:
        limit = self._setting.parameters.starttls_timeout
        if self._accepted is not None:
            accepted, self._accepted = self._accepted, None  # it belongs to the transport from here on
            transport, _ = await self._loop.connect_accepted_socket(
                lambda: self, accepted, ssl=context, ssl_handshake_timeout=limit
            )
            return transport
        if self._transport is None:
            return None
        return await self._loop.start_tls(self._transport, self, context, server_side=True, ssl_handshake_timeout=limit)

    @staticmethod
    def _log_tls_failure(talk: Conversation, error: Exception) -> None:
        shown = f"SSL_accept error from {talk.client.shown}"
        if isinstance(error, ssl.SSLError) and error.reason and not isinstance(error, ssl.SSLEOFError):
            talk.journal.info(f"{shown}: -1")
            reason = error.reason.lower().replace("_", " ")
            talk.journal.warning(f"TLS library problem: error:{error.library or 'SSL'} routines::{reason}:")
        elif isinstance(error, TimeoutError | ConnectionAbortedError):  # asyncio's word for a handshake over its limit
            talk.journal.info(f"{shown}: Connection timed out")
        else:
            talk.journal.info(f"{shown}: lost connection")

    async def _say_timeout(self, talk: Conversation) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        name = talk.parameters.myhostname
        with contextlib.suppress(OSError):
            self._transport.write(render_reply(Reply.of(421, "4.4.2", f"{name} Error: timeout exceeded")))

    def _log_abnormal_end(self, talk: Conversation, reason: str) -> None:
        where = talk.where
        if talk.message is not None and where in ("DATA", "BDAT"):
            size = talk.bytes_received + talk.protocol.pending
            where = f"{where} ({size} bytes)"
        elif where == "END-OF-MESSAGE" and reason == "lost connection":
            return  # clients that hang up after their message are no news
        talk.journal.info(f"{reason} after {where} from {talk.client.shown}")


def _peer(name: object) -> tuple[str, int]:
    """The address and port of a socket's peer; an IPv4 client of an IPv6 socket is shown as IPv4."""
    if not isinstance(name, tuple) or len(name) < 2:
        return "", 0
    address = str(name[0]).partition("%")[0]
    return address.removeprefix("::ffff:") if "." in address else address, int(name[1])
