"""smtpd(8) as a service: accepts connections on listening sockets and gives each its session."""

from __future__ import annotations

import asyncio
import os
import resource
import socket
import ssl
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import cast

from angarium.auth.interface import Authenticator
from angarium.auth.penalty import LoginPenalty
from angarium.cleanup.interface import Cleanup
from angarium.daemons.smtpd.client import Client, ClientResolver
from angarium.daemons.smtpd.collaborators import Collaborators, Exemptions, nobody_exempt
from angarium.daemons.smtpd.commands import HANDLERS
from angarium.daemons.smtpd.connection import ConnectionSetting, SmtpdConnection
from angarium.daemons.smtpd.limits import ClientLimits
from angarium.daemons.smtpd.parameters import SmtpdParameters
from angarium.daemons.smtpd.tables import NO_TABLES, SessionTables
from angarium.mailqueue.interface import Intake
from angarium.model.reply import Reply
from angarium.policy.interface import Policy
from angarium.protocols.smtp.render import render_reply
from angarium.runtime.admission import Admission
from angarium.runtime.log import ServiceLog
from angarium.runtime.spool import Spool
from angarium.tables.debugpeers import DebugPeers

_BACKLOG = 100
_ACCEPT_PAUSE = 1.0


async def forbids_by_default(word: str) -> bool:
    """smtpd_forbidden_commands as Postfix ships it."""
    return word.upper() in ("CONNECT", "GET", "POST") or not ("A" <= word[:1].upper() <= "Z")


class SmtpdService:
    """One smtpd service of master.cf (``runtime.service.Service``).

    Args:
        parameters: see ``SmtpdParameters.from_config``.
        tag: the syslog name: ``postfix/smtpd``, ``postfix/submission/smtpd``.
        queue: stores messages.
        cleanup: finishes them.
        policy: decides.
        log: the service's log; its tag is ``tag``.
        authenticator: checks passwords; None: AUTH is refused.
        penalty: the process's memory of wrong passwords, which imapd and pop3d share.
        tls: to accept TLS with; None: STARTTLS is not offered.
        resolver: finds client names; None: all are ``unknown``.
        spool: takes messages over 1 MiB; None keeps them in memory.
        limits: the process's counters; shared by its services.
        exemptions: what a client is free of (match lists of clients).
        forbidden_command: smtpd_forbidden_commands.
        queue_directory: whose free space queue_minfree is about.
        flush: ETRN's effect, see ``Collaborators.flush``.
        clock: seconds since the epoch.
        debug: the clients whose sessions are logged line by line (debug_peer_list).
        tables: what sessions themselves look up.
        most: sessions at once, the others wait to be accepted (master.cf's maxproc); None: any number.
    """

    def __init__(
        self,
        parameters: SmtpdParameters,
        tag: str,
        *,
        queue: Intake,
        cleanup: Cleanup,
        policy: Policy,
        log: ServiceLog,
        authenticator: Authenticator | None = None,
        penalty: LoginPenalty | None = None,
        tls: ssl.SSLContext | None = None,
        resolver: ClientResolver | None = None,
        spool: Spool | None = None,
        limits: ClientLimits | None = None,
        exemptions: Callable[[Client], Awaitable[Exemptions]] = nobody_exempt,
        forbidden_command: Callable[[str], Awaitable[bool]] = forbids_by_default,
        queue_directory: Path = Path("/"),
        flush: Callable[[str], Awaitable[bool]] | None = None,
        clock: Callable[[], float] = time.time,
        most: int | None = None,
        debug: DebugPeers | None = None,
        tables: SessionTables = NO_TABLES,
    ) -> None:
        self._tag = tag
        collaborators = Collaborators(
            queue=queue,
            cleanup=cleanup,
            policy=policy,
            authenticator=authenticator,
            spool=spool,
            journal=log if log.tag == tag else log.child(tag),
            limits=limits or ClientLimits(time.monotonic, parameters.anvil_rate_time_unit),
            clock=clock,
            forbidden_command=forbidden_command,
            free_space=_FreeSpace(queue_directory, time.monotonic).octets,
            tls_available=tls is not None,
            penalty=penalty,
            flush=flush,
            exemptions=exemptions,
            tables=tables,
        )
        self._setting = ConnectionSetting(parameters, collaborators, HANDLERS, resolver, tls, debug)
        self._connections: set[SmtpdConnection] = set()
        self._admission = None if most is None else Admission(most, self._admit, collaborators.journal.warning)
        self._starting: set[asyncio.Task[None]] = set()
        self._drained = asyncio.Event()
        self._report: asyncio.TimerHandle | None = None
        self._servers: list[asyncio.Server] = []
        self._acceptors: list[asyncio.Task[None]] = []
        self._ceiling = sys.maxsize
        self._told_full = False

    @property
    def name(self) -> str:
        """The tag."""
        return self._tag

    def statistics(self) -> dict[str, int]:
        """How many sessions there are now."""
        return {"sessions": len(self._connections)}

    async def run(self, sockets: Sequence[socket.socket]) -> None:
        """Serve until drained; on cancellation close all and re-raise."""
        loop = asyncio.get_running_loop()
        self._ceiling = _most_sessions()
        self._report_later()
        try:
            if self._admission is not None:
                self._admission.open(sockets)
            for listener in sockets if self._admission is None else ():
                if self._setting.parameters.tls_wrappermode:
                    self._acceptors.append(loop.create_task(self._accept_for_tls(listener)))
                else:
                    self._servers.append(await loop.create_server(self._accept_plain, sock=listener, backlog=_BACKLOG))
            await self._drained.wait()
            self._close_listeners()
            while self._connections:
                tasks = [connection.task for connection in self._connections if connection.task is not None]
                await (asyncio.wait(tasks) if tasks else asyncio.sleep(0))
        finally:
            self._close_listeners()
            tasks = [connection.task for connection in self._connections if connection.task is not None]
            tasks += [*self._acceptors, *self._starting]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            if self._report is not None:
                self._report.cancel()
            self._setting.collaborators.limits.report()
            self._setting.collaborators.policy.close()

    def _report_later(self) -> None:
        """Report the highest counts every anvil_status_update_time; services that share counters report once."""
        interval = self._setting.parameters.anvil_status_update_time
        if interval > 0:
            self._report = asyncio.get_running_loop().call_later(interval, self._report_now)

    def _report_now(self) -> None:
        self._setting.collaborators.limits.report()
        self._report_later()

    def drain(self) -> None:
        """Stop accepting; sessions go on until they end, or are quiet between transactions."""
        self._close_listeners()
        for connection in tuple(self._connections):
            connection.drain()
        self._drained.set()

    def _accept(self) -> SmtpdConnection:
        connection = SmtpdConnection(self._setting, self._ended)
        self._connections.add(connection)
        return connection

    def _accept_plain(self) -> asyncio.Protocol:
        """A session; one that says that there are too many when the process needs its file descriptors for others."""
        if self._full():
            return _Busy(self._setting.parameters.myhostname)
        return self._accept()

    def _full(self) -> bool:
        if len(self._connections) < self._ceiling:
            return False
        if not self._told_full:
            self._told_full = True
            text = f"all server ports are busy: {len(self._connections)} sessions, a quarter of all open files"
            self._setting.collaborators.journal.warning(text)
        return True

    def _ended(self, connection: SmtpdConnection) -> None:
        self._connections.discard(connection)
        self._told_full = False
        if self._admission is not None:
            self._admission.leave()

    def _admit(self, accepted: socket.socket, peer: object) -> None:
        """A connection was accepted within the limit."""
        if self._setting.parameters.tls_wrappermode:
            self._accept().begin_with_tls(accepted, peer)
            return
        task = asyncio.get_running_loop().create_task(self._begin(accepted))
        self._starting.add(task)
        task.add_done_callback(self._starting.discard)

    async def _begin(self, accepted: socket.socket) -> None:
        connection = self._accept()
        try:
            await asyncio.get_running_loop().connect_accepted_socket(lambda: connection, accepted)
        except OSError as error:
            accepted.close()
            self._setting.collaborators.journal.warning(f"begin session: {error.strerror or error}")
            self._ended(connection)

    async def _accept_for_tls(self, listener: socket.socket) -> None:
        """Accept connections that begin with TLS. Without file descriptors it waits, as asyncio's own servers do."""
        loop = asyncio.get_running_loop()
        try:
            while True:
                try:
                    accepted, peer = await loop.sock_accept(listener)
                    if self._full():
                        accepted.close()
                        continue
                    accepted.setblocking(False)
                    self._accept().begin_with_tls(accepted, peer)
                except OSError as error:
                    self._setting.collaborators.journal.warning(f"accept connection: {error.strerror or error}")
                    await asyncio.sleep(_ACCEPT_PAUSE)
        finally:
            listener.close()

    def _close_listeners(self) -> None:
        if self._admission is not None:
            self._admission.close()
        for acceptor in self._acceptors:
            acceptor.cancel()
        for server in self._servers:
            server.close()
        self._servers.clear()


class _Busy(asyncio.Protocol):
    """Refuses a client (RFC 5321 section 3.8: 421 at any time)."""

    def __init__(self, hostname: str) -> None:
        self._hostname = hostname

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say so and close."""
        reply = Reply.of(421, "4.3.2", f"{self._hostname} Error: all server ports are busy")
        cast("asyncio.Transport", transport).write(render_reply(reply))
        transport.close()


def _most_sessions() -> int:
    """A quarter of the files that a process may open, so that SMTP clients leave some for mailboxes and the queue."""
    soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if soft == resource.RLIM_INFINITY else soft // 4


class _FreeSpace:
    """How many octets an ordinary user may still write to a directory's file system, asked once a second."""

    def __init__(self, directory: Path, clock: Callable[[], float]) -> None:
        self._directory = directory
        self._clock = clock
        self._until = 0.0
        self._octets = 0

    def octets(self) -> int:
        """The number. Raises OSError."""
        now = self._clock()
        if now >= self._until:
            status = os.statvfs(self._directory)
            self._octets = status.f_bavail * status.f_frsize
            self._until = now + 1.0
        return self._octets
