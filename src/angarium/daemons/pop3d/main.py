"""pop3d as a service: accepts connections on listening sockets and gives each its session."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import Callable, Sequence

from angarium.auth.interface import Authenticator
from angarium.auth.penalty import LoginPenalty, Networks
from angarium.auth.sessions import UserSessions
from angarium.auth.strangers import Strangers
from angarium.daemons.pop3d import lines
from angarium.daemons.pop3d.connection import Pop3Connection
from angarium.daemons.pop3d.conversation import Collaborators
from angarium.daemons.pop3d.parameters import Pop3dParameters
from angarium.mailstore.interface import MailStore
from angarium.runtime.admission import Admission
from angarium.runtime.handshakes import Handshakes
from angarium.runtime.log import ServiceLog

__all__ = ["Pop3dParameters", "Pop3dService"]

_BACKLOG = 100


class Pop3dService:
    """One pop3d service of master.cf (``runtime.service.Service``).

    Args:
        parameters: see ``Pop3dParameters.from_config``.
        store: where the mail is.
        authenticator: checks passwords.
        log: the sink; lines get Dovecot's tags, not this log's own.
        tls: made of ``parameters.tls`` by ``runtime.tls.server_context``; None: no TLS. With ``wrappermode`` it is
            needed.
        sessions: sessions by account and address; services of one process share it, so that they count together.
        penalty: what wrong passwords cost an address; services of one process share it, imapd's too.
        clock: seconds, growing; the penalty's clock.
        most: sessions at once, the others wait to be accepted (master.cf's maxproc); None: any number.

    Raises:
        ValueError: ``wrappermode`` without ``tls``, or networks that are none.
    """

    def __init__(
        self,
        parameters: Pop3dParameters,
        *,
        store: MailStore,
        authenticator: Authenticator,
        log: ServiceLog,
        tls: ssl.SSLContext | None = None,
        sessions: UserSessions | None = None,
        penalty: LoginPenalty | None = None,
        clock: Callable[[], float] = time.monotonic,
        most: int | None = None,
    ) -> None:
        if parameters.wrappermode and tls is None:
            msg = "pop3d_tls_wrappermode needs a certificate"
            raise ValueError(msg)
        exempt = Networks(parameters.auth_penalty_exceptions)
        self._shared = Collaborators(
            parameters,
            store,
            authenticator,
            log,
            clock,
            sessions or UserSessions("pop3", parameters.connection_count_limit),
            penalty or LoginPenalty(exempt),
            exempt,
            Networks(parameters.secure_networks),
        )
        self._tls = tls
        self._connections: set[Pop3Connection] = set()
        self._strangers = Strangers(parameters.login_connection_limit)
        self._handshakes = (
            Handshakes(
                tls,
                parameters.starttls_timeout,
                self._accept,
                self._handshake_failed,
                parameters.login_connection_limit,
            )
            if parameters.wrappermode and tls is not None
            else None
        )
        self._servers: list[asyncio.Server] = []
        self._admission = None if most is None else Admission(most, self._admit, log.warning)
        self._starting: set[asyncio.Task[None]] = set()
        self._acceptors: list[asyncio.Task[None]] = []
        self._draining: asyncio.Event | None = None
        self._empty: asyncio.Event | None = None

    @property
    def name(self) -> str:
        """For the log."""
        return lines.LOGIN_TAG

    def statistics(self) -> dict[str, int]:
        """How many connections there are now."""
        return {"connections": len(self._connections)}

    async def run(self, sockets: Sequence[socket.socket]) -> None:
        """Serve until drained; on cancellation close all and re-raise."""
        loop = asyncio.get_running_loop()
        self._draining, self._empty = asyncio.Event(), asyncio.Event()
        try:
            if self._admission is not None:
                self._admission.open(sockets)
            for listener in sockets if self._admission is None else ():
                if self._handshakes is not None:
                    self._acceptors.append(loop.create_task(self._handshakes.accept(listener)))
                else:
                    self._servers.append(await loop.create_server(self._accept, sock=listener, backlog=_BACKLOG))
            await self._draining.wait()
            if self._connections:
                self._empty.clear()
                await self._empty.wait()
        finally:
            self._close_listeners()
            for task in tuple(self._starting):
                task.cancel()
            if self._handshakes is not None:
                self._handshakes.close()
            for connection in tuple(self._connections):
                connection.close()

    def drain(self) -> None:
        """Stop accepting; sessions run to their end, then ``run`` returns."""
        self._close_listeners()
        if self._draining is not None:
            self._draining.set()

    def _accept(self) -> Pop3Connection:
        return Pop3Connection(self._shared, self._tls, self._came, self._gone)

    def _admit(self, accepted: socket.socket, _peer: object) -> None:
        """A connection was accepted within the limit."""
        if self._handshakes is not None:
            self._handshakes.begin(accepted)
            return
        task = asyncio.get_running_loop().create_task(self._begin(accepted))
        self._starting.add(task)
        task.add_done_callback(self._starting.discard)

    async def _begin(self, accepted: socket.socket) -> None:
        await asyncio.get_running_loop().connect_accepted_socket(self._accept, accepted)

    def _came(self, connection: Pop3Connection) -> None:
        self._connections.add(connection)
        self._strangers.enter(connection)

    def _gone(self, connection: Pop3Connection) -> None:
        self._connections.discard(connection)
        self._strangers.leave(connection)
        if self._admission is not None:
            self._admission.leave()
        if not self._connections and self._empty is not None:
            self._empty.set()

    def _handshake_failed(self, client: socket.socket, error: Exception) -> None:
        if self._admission is not None:
            self._admission.leave()
        reason = lines.handshake_failure(error)
        try:
            peer = lines.Peer.between(client.getpeername(), client.getsockname())
        except OSError:  # it has gone, and its name with it
            peer = lines.Peer.between(None, None)
        text = lines.no_login(reason, lines.HANDSHAKE_DETAIL, "", "", peer, "")
        self._shared.log.child(lines.LOGIN_TAG).info(text, client_address=peer.remote)

    def _close_listeners(self) -> None:
        if self._admission is not None:
            self._admission.close()
        for server in self._servers:
            server.close()
        for acceptor in self._acceptors:
            acceptor.cancel()
        self._servers.clear()
        self._acceptors.clear()
