"""quota-status: whether a mailbox has room for a message, told to other servers (SMTPD_POLICY_README).

A line of master.cf, unix or inet; the requests are those of Postfix's SMTP server, the answers actions of access(5):

============================ ===================================================================================
the mailbox has room         quota_status_success; also without a recipient (END-OF-MESSAGE of several)
it has not                   quota_status_overquota
the message is too large     quota_status_toolarge: for any mailbox of that account
no such mailbox here         quota_status_nouser
nobody can tell now          DEFER_IF_PERMIT
============================ ===================================================================================

Of the attributes only ``recipient`` and ``size`` count, so it may be asked at RCPT (when the size is what the client
declared, or 0) and at the end of a message with one recipient. The answer is made as our own RCPT makes it.

Owns its connections. A client that is silent for ``IDLE`` is hung up on, as one is that says what is no request.
Bounds: ``CLIENTS`` connections, one request at a time each.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from angarium.config.config import Config
from angarium.model.lookup import TemporaryError
from angarium.model.quota import Excess
from angarium.policy.room import Room
from angarium.protocols.policy.attributes import AttributeReader, render
from angarium.runtime.closing import close_stream
from angarium.runtime.log import ServiceLog

IDLE = 1000.0
"""Seconds that a client may be silent; Postfix's closes after 300."""

CLIENTS = 1000
"""Connections at once; the next one is hung up on."""

LINGER = 10.0
"""Seconds that a client has to take the last answers, when the connection is over."""

_PIECE = 65536
_LARGEST = 2**62
_LATER = "DEFER_IF_PERMIT 4.3.0 Mailbox quota cannot be looked up now"


@dataclass(frozen=True, slots=True)
class QuotaStatusParameters:
    """Attributes are the parameters of main.cf, without ``quota_status_``: actions of access(5)."""

    success: str = "DUNNO"
    nouser: str = "DUNNO"
    overquota: str = "552 5.2.2 Mailbox is full"
    toolarge: str = "552 5.2.3 Message is too large for the mailbox"

    @classmethod
    def from_config(cls, conf: Config) -> QuotaStatusParameters:
        """Read them."""
        return cls(
            conf.text("quota_status_success"),
            conf.text("quota_status_nouser"),
            conf.text("quota_status_overquota"),
            conf.text("quota_status_toolarge"),
        )


class QuotaStatusService:
    """``runtime.service.Service``.

    Args:
        parameters: of main.cf, with master.cf's overrides.
        ask: tells of a recipient and a size in bytes, 0 for an unknown one.
        log: ``postfix/quota-status``.
    """

    def __init__(
        self, parameters: QuotaStatusParameters, ask: Callable[[str, int], Awaitable[Room]], log: ServiceLog
    ) -> None:
        self._parameters = parameters
        self._ask = ask
        self._log = log
        self._draining = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def name(self) -> str:
        """For the log."""
        return self._log.tag

    @property
    def clients(self) -> int:
        """Connections that there are."""
        return len(self._tasks)

    def drain(self) -> None:
        """Accept nothing more, hang up on all; they connect again."""
        self._draining.set()

    async def run(self, sockets: Sequence[socket.socket]) -> None:
        """Serve until drained."""
        servers = [
            await (asyncio.start_unix_server if each.family == socket.AF_UNIX else asyncio.start_server)(
                self._accept, sock=each
            )
            for each in sockets
        ]
        try:
            await self._draining.wait()
        finally:
            for server in servers:
                server.close()
            for task in tuple(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._tasks) >= CLIENTS:
            self._log.warning(f"more than {CLIENTS} clients at once")
            writer.close()
            return
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        requests = AttributeReader()
        try:
            while True:
                async with asyncio.timeout(IDLE):
                    data = await reader.read(_PIECE)
                    if not data:
                        return
                    for request in requests.receive_data(data):
                        writer.write(render({"action": await self.answer(request)}))
                    await writer.drain()
        except ValueError as error:
            self._log.warning(f"a client does not speak the policy protocol: {error}")
        except (TimeoutError, ConnectionError):
            return
        finally:
            await close_stream(writer, LINGER)

    async def answer(self, request: Mapping[str, str]) -> str:
        """The action for a request."""
        recipient = request.get("recipient", "")
        if not recipient:
            return self._parameters.success
        size = request.get("size", "")
        room = await self._ask(recipient, min(int(size), _LARGEST) if size.isascii() and size.isdigit() else 0)
        if not room.known:
            return self._parameters.nouser
        match room.excess:
            case None:
                return self._parameters.success
            case TemporaryError() as error:
                self._log.warning(f"{recipient}: {error.cause}")
                return _LATER
            case Excess.MAIL:
                action = self._parameters.toolarge
            case _:
                action = self._parameters.overquota
        self._log.info(f"to=<{recipient}>, {room.account}: {room.excess.value}: {action}")
        return action
