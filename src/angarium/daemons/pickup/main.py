"""pickup(8) as a service: takes local submissions over ``public/pickup`` and out of the maildrop directory.

The socket has mode 0666: who connects is known from the kernel, and has ``CONNECTIONS_PER_USER`` at most, so that no
user can take the descriptors that the queue manager needs. The service binds it itself unless it is given one.
The maildrop directory is looked at when the service starts and then, after two shorter pauses, once a minute, as
Postfix's wake-up timer does it.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from angarium.cleanup.process import CleanupService
from angarium.config.config import Config
from angarium.daemons.pickup.access import Access
from angarium.daemons.pickup.connection import PickupConnection, Receiver
from angarium.daemons.pickup.intake import Flush, Intake, Verify
from angarium.daemons.pickup.maildrop import Maildrop
from angarium.daemons.pickup.parameters import PickupParameters
from angarium.daemons.pickup.verify import Become, Verifier
from angarium.mailqueue.control import QueueControl
from angarium.mailqueue.interface import MailQueue
from angarium.policy.parameters import PolicyParameters
from angarium.protocols.pickup.session import Ask, Question
from angarium.runtime.log import ServiceLog
from angarium.runtime.spool import Spool
from angarium.tables.opener import TableOpener

_WAKE_UPS = (1.0, 5.0, 60.0)
"""Seconds between looks into maildrop, the last again and again. Who found nobody may write just after the start."""

_BACKLOG = 128

CONNECTIONS_PER_USER = 100
"""Connections that one user may have at once. The sendmail command connects when it has most of the message, and leaves
it in maildrop when there is no connection to be had."""

PRIVILEGED = frozenset({0})
"""User ids without that bound."""

PATIENCE = 3600.0
"""Seconds that a client may be silent, as ipc_timeout has it."""


class PickupService:
    """The service (``runtime.service.Service``).

    Args:
        parameters: main.cf.
        queue: stores messages.
        cleanup: of ``make_cleanup``.
        access: who may do what.
        log: tagged ``postfix/pickup``.
        spool: takes messages over 1 MiB; None keeps them in memory.
        verify: see ``Intake``.
        flush: see ``Intake``.
        collects: whether this process looks into the maildrop directory: one of them does.
    """

    def __init__(
        self,
        parameters: PickupParameters,
        queue: MailQueue,
        cleanup: CleanupService,
        access: Access,
        log: ServiceLog,
        spool: Spool | None = None,
        verify: Verify | None = None,
        flush: Flush | None = None,
        *,
        collects: bool = True,
    ) -> None:
        self._parameters = parameters
        self._log = log
        self._spool = spool
        self._intake = Intake(queue, cleanup, access, log, verify, flush, self._wake, verp=parameters.verp)
        self._maildrop = Maildrop(parameters.maildrop, self._intake, log, parameters.message_size_limit, spool)
        self._collects = collects
        self._connections: set[PickupConnection] = set()
        self._users: Counter[int] = Counter()
        self._servers: list[asyncio.Server] = []
        self._woken: asyncio.Event | None = None
        self._draining = False

    @property
    def name(self) -> str:
        """The tag."""
        return self._log.tag

    def statistics(self) -> dict[str, int]:
        """How many clients there are now, and sockets."""
        return {"connections": len(self._connections), "listeners": len(self._servers)}

    async def run(self, sockets: Sequence[socket.socket]) -> None:
        """Serve until drained; on cancellation close all and re-raise. Without sockets it binds its own.

        Raises:
            OSError: the socket cannot be bound.
        """
        loop = asyncio.get_running_loop()
        self._woken = asyncio.Event()
        try:
            for listener in sockets or (bind(self._parameters.socket),):
                self._servers.append(await loop.create_unix_server(self._accept, sock=listener))
            for pause in itertools.chain(_WAKE_UPS, itertools.repeat(_WAKE_UPS[-1])):
                self._woken.clear()
                if self._collects and not self._draining:
                    await self._collect()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._woken.wait(), pause)
                if self._draining:
                    break
            tasks = [each.task for each in self._connections if each.task is not None]
            await asyncio.gather(*tasks, return_exceptions=True)
        finally:
            self._close()

    async def _collect(self) -> None:
        try:
            self._maildrop.prepare()
            await self._maildrop.collect()
        except OSError as error:
            self._log.warning(f"maildrop: {error}")

    def drain(self) -> None:
        """Stop accepting; submissions that are whole are still queued."""
        self._close()
        self._draining = True
        self._wake()

    def _wake(self) -> None:
        if self._woken is not None:
            self._woken.set()

    def _accept(self) -> PickupConnection:
        receiver = Receiver(self._parameters.message_size_limit, self._spool)
        endings = self._parameters.sendmail_fix_line_endings
        connection = PickupConnection(self._intake, receiver, self._log, self._admitted, self._ended, PATIENCE, endings)
        self._connections.add(connection)
        return connection

    def _admitted(self, uid: int) -> bool:
        if uid not in PRIVILEGED and self._users[uid] >= CONNECTIONS_PER_USER:
            return False
        self._users[uid] += 1
        return True

    def _ended(self, connection: PickupConnection, uid: int | None) -> None:
        self._connections.discard(connection)
        if uid is None:
            return
        self._users[uid] -= 1
        if not self._users[uid]:
            del self._users[uid]

    def _close(self) -> None:
        for server in self._servers:
            server.close()
        self._servers.clear()
        for connection in tuple(self._connections):
            connection.close()


def bind(path: Path) -> socket.socket:
    """Listen on ``path`` in place of whoever was there before. Raises OSError."""
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    try:
        listener.bind(str(path))
        path.chmod(0o666)
        listener.listen(_BACKLOG)
        listener.setblocking(False)
    except BaseException:
        listener.close()
        raise
    return listener


def make_pickup(
    conf: Config,
    queue: MailQueue,
    cleanup: CleanupService,
    opener: TableOpener,
    log: ServiceLog,
    spool: Spool | None = None,
    ask: Become | None = None,
    *,
    collects: bool = True,
) -> PickupService:
    """The pickup service of a configuration (with the ``-o`` overrides of its line in master.cf).

    ``ask`` asks transports what would become of mail, for ``sendmail -bv``.
    """
    parameters = PickupParameters.from_config(conf)
    verifier = Verifier(PolicyParameters.from_config(conf), cleanup, opener, queue, log, ask=ask)
    flush = Flusher(Path(conf.text("queue_directory")))
    access = Access(conf, opener)
    return PickupService(parameters, queue, cleanup, access, log, spool, verifier.report, flush, collects=collects)


@dataclass(frozen=True, slots=True)
class Flusher:
    """Makes waiting mail due, in the database itself, as postqueue(1) does it for who has access."""

    queue_directory: Path

    def __call__(self, question: Question) -> None:
        """Do what is asked. Raises OSError."""
        with QueueControl(self.queue_directory) as queue:
            if question.about is Ask.FLUSH_SITE:
                queue.flush_site(question.name)
            else:
                queue.flush([question.name] if question.about is Ask.FLUSH_ONE else None)
            queue.wake("flush")
