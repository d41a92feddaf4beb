"""imapd(8) as a service: accepts connections on listening sockets and gives each its session."""

from __future__ import annotations

import asyncio
import secrets
import socket
import ssl
import time
from collections.abc import Sequence

from angarium.auth.interface import Authenticator
from angarium.auth.penalty import LoginPenalty, Networks
from angarium.auth.sessions import UserSessions
from angarium.auth.strangers import Strangers
from angarium.daemons.imapd.connection import ImapConnection
from angarium.daemons.imapd.hub import Hubs
from angarium.daemons.imapd.log import ImapLog
from angarium.daemons.imapd.parameters import ImapdParameters
from angarium.mailstore.interface import MailStore, MailstoreError
from angarium.protocols.imap.states import State
from angarium.runtime.admission import Admission
from angarium.runtime.handshakes import Handshakes
from angarium.runtime.log import ServiceLog
from angarium.runtime.spool import Spool

__all__ = ["ImapdParameters", "ImapdService"]

_BACKLOG = 500
_ROUND = 1.0
"""Seconds between looks at all connections' clocks."""


class ImapdService:
    """One imapd service of master.cf (``runtime.service.Service``).

    Args:
        parameters: see ``ImapdParameters.from_config``.
        mailstore: the accounts; its ``subscribe`` brings the changes that idling clients are told.
        authenticator: checks passwords.
        log: any log of this process; the tags are set here (``dovecot: imap-login`` …).
        spool: takes messages of APPEND over 1 MiB.
        tls: to negotiate with; None: no TLS, whatever the parameters say.
        user_connections: the process's counter for imapd_max_userip_connections, when several services share it.
        penalty: the process's memory of wrong passwords, likewise.
        most: sessions at once, the others wait to be accepted (master.cf's maxproc); None: any number.
    """

    def __init__(
        self,
        parameters: ImapdParameters,
        *,
        mailstore: MailStore,
        authenticator: Authenticator,
        log: ServiceLog,
        spool: Spool,
        tls: ssl.SSLContext | None = None,
        user_connections: UserSessions | None = None,
        penalty: LoginPenalty | None = None,
        most: int | None = None,
    ) -> None:
        self.parameters = parameters
        self.mailstore = mailstore
        self.authenticator = authenticator
        self.spool = spool
        self.log = ImapLog(log)
        self.tls_context = tls if parameters.tls_security_level != "none" or parameters.tls_wrappermode else None
        exceptions = Networks(parameters.auth_penalty_exceptions)
        encrypt = parameters.tls_security_level == "encrypt"
        self.secure_networks = Networks(() if encrypt else parameters.secure_networks)
        self.penalty = penalty or LoginPenalty(exceptions)
        self.penalty_exempt = exceptions
        self.user_connections = user_connections or UserSessions("imap", parameters.max_userip_connections)
        self.hubs = Hubs(mailstore, self._look_failed)
        self._service_log = log
        self._connections: set[ImapConnection] = set()
        self._strangers = Strangers(parameters.login_connection_limit)
        self._handshakes: Handshakes | None = None
        self._acceptors: list[asyncio.Task[None]] = []
        self._servers: list[asyncio.Server] = []
        self._admission = None if most is None else Admission(most, self._admit, log.warning)
        self._starting: set[asyncio.Task[None]] = set()
        self._drained: asyncio.Event | None = None
        self._draining = False
        self._empty = asyncio.Event()
        self._next_keepalive = 0.0
        self._zone: tuple[int, int] = (-1, 0)

    @property
    def name(self) -> str:
        """For the log."""
        return "dovecot: imap-login"

    def statistics(self) -> dict[str, int]:
        """Connections, and what the hubs hold."""
        idling = sum(1 for connection in self._connections if connection.idle_tag is not None)
        return {"connections": len(self._connections), "idling": idling, **self.hubs.statistics()}

    async def run(self, sockets: Sequence[socket.socket]) -> None:
        """Serve until drained; on cancellation close all and re-raise.

        Raises:
            ValueError: imapd_tls_wrappermode without a certificate.
        """
        loop = asyncio.get_running_loop()
        self._drained = asyncio.Event()
        implicit = self.parameters.tls_wrappermode
        if implicit and self.tls_context is None:
            msg = "imapd_tls_wrappermode needs imapd_tls_cert_file"
            raise ValueError(msg)
        if implicit and self.tls_context is not None:
            self._handshakes = Handshakes(
                self.tls_context,
                self.parameters.starttls_timeout,
                lambda: ImapConnection(self, tls=True),
                self._handshake_failed,
                self.parameters.login_connection_limit,
            )
        watch = loop.create_task(self._watch())
        try:
            if self._admission is not None:
                self._admission.open(sockets)
            for listener in sockets if self._admission is None else ():
                if self._handshakes is not None:
                    self._acceptors.append(loop.create_task(self._handshakes.accept(listener)))
                    continue
                server = await loop.create_server(
                    lambda: ImapConnection(self, tls=False), sock=listener, backlog=_BACKLOG
                )
                self._servers.append(server)
            await self._drained.wait()
            while self._connections:
                self._empty.clear()
                await self._empty.wait()
        finally:
            watch.cancel()
            self._stop_listening()
            for task in tuple(self._starting):
                task.cancel()
            if self._handshakes is not None:
                self._handshakes.close()
            for connection in tuple(self._connections):
                connection.abort("Server shutting down.")
            self.hubs.close()

    def drain(self) -> None:
        """Stop accepting; say BYE to whoever waits, and to the others when their command is done."""
        self._draining = True
        self._stop_listening()
        for connection in tuple(self._connections):
            if not connection.busy:
                connection.bye("Server shutting down.")
        if self._drained is not None:
            self._drained.set()

    def _admit(self, accepted: socket.socket, _peer: object) -> None:
        """A connection was accepted within the limit."""
        if self._handshakes is not None:
            self._handshakes.begin(accepted)
            return
        task = asyncio.get_running_loop().create_task(self._begin(accepted))
        self._starting.add(task)
        task.add_done_callback(self._starting.discard)

    async def _begin(self, accepted: socket.socket) -> None:
        await asyncio.get_running_loop().connect_accepted_socket(lambda: ImapConnection(self, tls=False), accepted)

    def _handshake_failed(self, client: socket.socket, error: Exception) -> None:
        """There is no session that would end."""
        if self._admission is not None:
            self._admission.leave()
        self.log.no_handshake(client, error, self.new_session_id())

    def _stop_listening(self) -> None:
        if self._admission is not None:
            self._admission.close()
        for server in self._servers:
            server.close()
        for acceptor in self._acceptors:
            acceptor.cancel()
        self._servers.clear()
        self._acceptors.clear()

    # --- what the connections call ---

    @staticmethod
    def now() -> float:
        """The event loop's clock, in seconds."""
        return time.monotonic()

    @staticmethod
    def new_session_id() -> str:
        """A name for the log: 16 characters that nobody can guess."""
        return secrets.token_urlsafe(12)

    def zone(self, moment: float) -> int:
        """The server's offset from UTC in minutes at a time; asked of the system once an hour."""
        hour = int(moment // 3600)
        if self._zone[0] != hour:
            self._zone = (hour, time.localtime(moment).tm_gmtoff // 60)
        return self._zone[1]

    def opened(self, connection: ImapConnection) -> None:
        """A client has come."""
        self._connections.add(connection)
        self._strangers.enter(connection)

    def closed(self, connection: ImapConnection, reason: str) -> None:
        """A client has gone."""
        self._connections.discard(connection)
        self._strangers.leave(connection)
        if self._admission is not None:
            self._admission.leave()
        if connection.account:
            self.user_connections.leave(connection.account, connection.peer)
        self.log.closed(connection, reason, self.now() - connection.statistics.connected)
        if not self._connections:
            self._empty.set()

    def fault(self, error: BaseException, connection: ImapConnection) -> None:
        """A fault of ours: to the log, with where it was."""
        self.log.fault(connection, error)
        at = error.__traceback__
        while at is not None and at.tb_next is not None:
            at = at.tb_next
        if at is not None:
            self._service_log.warning(f"imapd fault at {at.tb_frame.f_code.co_filename}:{at.tb_lineno}")

    def _look_failed(self, error: BaseException) -> None:
        self._service_log.warning(f"imapd cannot look for changes: {error}")

    # --- the slow round ---

    async def _watch(self) -> None:
        """Once a second look at all clocks; at the keep-alive's interval heal what a lost wake-up has hidden."""
        interval = self.parameters.idle_keepalive_interval
        self._next_keepalive = self.now() + interval
        while True:
            await asyncio.sleep(_ROUND)
            now = self.now()
            self._check_clocks(now)
            if interval and now >= self._next_keepalive:
                self._next_keepalive = now + interval
                await self._keep_alive()

    def _check_clocks(self, now: float) -> None:
        parameters = self.parameters
        for connection in tuple(self._connections):
            known = connection.session.state is not State.NOT_AUTHENTICATED
            silent = now - (connection.last_activity if known else connection.statistics.connected)
            if silent < (parameters.timeout if known else parameters.login_timeout):
                if self._draining and not connection.busy:
                    connection.bye("Server shutting down.")
                continue
            if connection.behind:
                connection.abort("Connection closed: the client does not read")
            elif not connection.busy:
                connection.bye("Disconnected for inactivity.", "Inactivity")

    async def _keep_alive(self) -> None:
        for hub in self.hubs.in_use():
            try:
                await hub.refresh()
            except MailstoreError as error:
                self._look_failed(error)
        for connection in tuple(self._connections):
            if connection.idle_tag is not None and not connection.behind:
                connection.untagged(b"OK Still here")
                connection.flush()
