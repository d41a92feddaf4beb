"""``Pop3Connection``: the socket of one session, and the only place that touches it.

Commands that are answered from memory run inside ``data_received``, without a task; their replies go out in one write
a batch. A command that has to wait gets a task, and what the client sends meanwhile waits too, in bounded memory.

Guarantees: replies in the order of commands; no reading from a client that does not read, nor from one that has sent
more than 64 KiB ahead; a failure of ours is logged and answered with ``-ERR [SYS/TEMP]``, and ends no other session.
Losing the connection stops a command in progress, but never QUIT's update.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable, Coroutine
from typing import Any, cast

from angarium.daemons.pop3d.commands import HANDLERS
from angarium.daemons.pop3d.commands.login import release, response
from angarium.daemons.pop3d.conversation import Collaborators, Conversation
from angarium.daemons.pop3d.lines import Peer, handshake_failure
from angarium.protocols.pop3.render import err, ok
from angarium.protocols.pop3.types import BadCommand, Command, Event, State

_HELD_LIMIT = 64 * 1024
_BATCH = 256 * 1024
_SLICE = 0.01
"""Seconds for which one client's commands are run before others have their turn."""
_LOOK_SECONDS = 30.0
LINGER = 10.0
"""Seconds that a client has to take what is left when the connection is closed."""


class Pop3Connection(asyncio.Protocol):
    """One session's socket.

    Args:
        shared: what all sessions share.
        tls: to accept TLS with; None when there is none.
        opened: called when the client is there (after the handshake, when TLS comes first).
        closed: called at the end.
    """

    def __init__(
        self,
        shared: Collaborators,
        tls: ssl.SSLContext | None,
        opened: Callable[[Pop3Connection], None],
        closed: Callable[[Pop3Connection], None],
    ) -> None:
        self._shared = shared
        self._tls = tls
        self._opened = opened
        self._closed = closed
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._conversation: Conversation | None = None
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._last = self._loop.time()
        self._writable = asyncio.Event()
        self._writable.set()
        self._reading = True
        self._put_off = False
        self._end = "Connection closed"
        self._lost = False

    # What the transport calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client came."""
        self._transport = cast("asyncio.Transport", transport)
        parameters = self._shared.parameters
        self._conversation = Conversation(
            self._shared, _peer(self._transport), tls_possible=self._tls is not None, send=self._send
        )
        self._opened(self)
        self._conversation.tls = transport.get_extra_info("sslcontext") is not None
        self._timer = self._loop.call_later(min(parameters.login_timeout, _LOOK_SECONDS), self._check_idle)
        self._write([ok(parameters.banner)])

    def data_received(self, data: bytes) -> None:
        """The client sent something."""
        conversation = self._conversation
        assert conversation is not None
        self._last = self._loop.time()
        conversation.session.receive_data(data)
        if self._task is None:
            self._advance()
        elif self._reading and conversation.session.held > _HELD_LIMIT:
            self._reading = False
            self._must_transport().pause_reading()

    def pause_writing(self) -> None:
        """The client does not read what we sent."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """It does again."""
        self._last = self._loop.time()
        self._writable.set()
        if self._task is None:
            self._advance()

    def eof_received(self) -> bool:
        """The client will send no more: the transport closes."""
        return False

    def connection_lost(self, _error: Exception | None) -> None:
        """The connection is over, whoever ended it."""
        self._lost = True
        self._writable.set()
        if self._timer is not None:
            self._timer.cancel()
        if self._task is not None and self._conversation is not None and self._conversation.updating:
            return  # the update ends the session
        if self._task is not None:
            self._task.cancel()
            self._task = None
        self._finish()

    # Commands

    def _advance(self) -> None:
        """Run commands until the input is used up, the client does not read, or one has to wait."""
        self._put_off = False
        conversation = self._conversation
        if conversation is None or self._lost or self._task is not None:
            return  # it was put off, and something came before it
        next_event = conversation.session.next_event
        replies: list[bytes] = []
        size = 0
        until = time.monotonic() + _SLICE
        while self._writable.is_set() and not conversation.closing:
            event = next_event()
            if event is None:
                break
            answer = self._answer(conversation, event)
            if isinstance(answer, bytes):
                replies.append(answer)
                size += len(answer)
                if conversation.tls_wanted:
                    self._write(replies)
                    # No more is read until the handshake has the socket: what comes in before the task below runs
                    # would count as if it had come over TLS.
                    self._must_transport().pause_reading()
                    conversation.session.tls_begins()
                    self._task = self._loop.create_task(self._start_tls())
                    return
                if size > _BATCH:
                    self._write(replies)
                    replies, size = [], 0
                if time.monotonic() > until:
                    self._put_off = True
                    self._loop.call_soon(self._advance)
                    break
            else:
                self._write(replies)
                self._task = self._loop.create_task(self._wait(answer))
                return
        self._write(replies)
        if conversation.closing:
            self._end_transport()
            return
        self._throttle(conversation)

    def _answer(self, conversation: Conversation, event: Event) -> bytes | Coroutine[Any, Any, bytes]:
        if isinstance(event, Command):
            return HANDLERS[event.verb](conversation, event)
        if isinstance(event, BadCommand):
            if conversation.session.bad_commands >= conversation.parameters.hard_error_limit:
                conversation.closing = "Too many bad commands"
                return err(event.reply) + err("Too many invalid bad commands.")
            return err(event.reply)
        return response(conversation, event.line)

    async def _wait(self, answer: Coroutine[Any, Any, bytes]) -> None:
        """Wait for one command's answer, then go on with those after it."""
        conversation = self._conversation
        assert conversation is not None
        try:
            reply = await answer
        except Exception as error:  # noqa: BLE001 - whatever it is, this session answers and the others go on
            conversation.updating = False
            conversation.log_error(f"{type(error).__name__}: {error}")
            reply = err("Internal error, try again later.", "SYS/TEMP")
        self._task = None
        self._last = self._loop.time()
        if self._lost:
            self._finish()
            return
        self._write([reply])
        self._advance()

    def _throttle(self, conversation: Conversation) -> None:
        """Read from the client, or not, by what it sent ahead."""
        crowded = conversation.session.held > _HELD_LIMIT
        if crowded == self._reading:
            self._reading = not crowded
            transport = self._must_transport()
            (transport.pause_reading if crowded else transport.resume_reading)()

    # The socket

    def _write(self, replies: list[bytes]) -> None:
        if replies and not self._lost:
            self._must_transport().write(replies[0] if len(replies) == 1 else b"".join(replies))

    async def _send(self, data: bytes) -> None:
        """Write a part of a reply; wait while the client is slow."""
        if data and not self._lost:
            self._must_transport().write(data)
            await self._writable.wait()

    async def _start_tls(self) -> None:
        conversation = self._conversation
        assert conversation is not None
        assert self._tls is not None
        conversation.tls_wanted = False
        try:
            transport = await self._loop.start_tls(
                self._must_transport(),
                self,
                self._tls,
                server_side=True,
                ssl_handshake_timeout=self._shared.parameters.starttls_timeout,
            )
        except (OSError, ssl.SSLError) as error:
            self._task = None
            conversation.closing = handshake_failure(error)
            self._must_transport().abort()
            return
        self._task = None
        if transport is None or self._lost:
            return
        self._transport = transport
        self._reading = True
        conversation.tls = True
        self._advance()

    def _check_idle(self) -> None:
        """The timer: it looks twice a minute, so that a command need not arm it."""
        conversation = self._conversation
        assert conversation is not None
        parameters = self._shared.parameters
        if conversation.session.state is State.TRANSACTION:
            idle = self._loop.time() - self._last
            left = parameters.timeout - idle
            if idle > _LOOK_SECONDS:
                conversation.drop.forget()
        else:
            left = conversation.started + parameters.login_timeout - self._shared.clock()
        if left > 0 or conversation.updating:
            self._timer = self._loop.call_later(min(max(left, 1.0), _LOOK_SECONDS), self._check_idle)
            return
        transport = self._must_transport()
        if conversation.closing or not self._writable.is_set():
            transport.abort()  # it does not even read
            return
        self._end = "Inactivity"
        conversation.closing = "Inactivity"
        self._write([err("Disconnected for inactivity.")])
        transport.close()
        self._timer = self._loop.call_later(parameters.starttls_timeout, transport.abort)

    def close(self) -> None:
        """The server goes: end the session."""
        if self._conversation is not None and self._transport is not None and not self._lost:
            self._conversation.closing = self._conversation.closing or "Server shutting down"
            self._write([err("Server shutting down.", "SYS/TEMP")])
            self._end_transport()

    @property
    def known(self) -> bool:
        """The client has logged in."""
        return self._conversation is None or bool(self._conversation.account)

    def give_way(self) -> None:
        """Too many have not logged in, and this is the oldest of them."""
        if self._conversation is not None and self._transport is not None and not self._lost:
            self._conversation.closing = self._conversation.closing or "Connection queue full"
            self._write([err("Connection queue full")])
            self._end_transport()

    def _end_transport(self) -> None:
        """Close when all is sent; a client that does not read it has an end, too."""
        transport = self._must_transport()
        transport.close()
        if transport.get_write_buffer_size():
            self._loop.call_later(LINGER, transport.abort)

    def _finish(self) -> None:
        conversation = self._conversation
        if conversation is not None:
            conversation.log_end(self._end)
            release(conversation)
            self._conversation = None
        self._closed(self)

    def _must_transport(self) -> asyncio.Transport:
        assert self._transport is not None
        return self._transport


def _peer(transport: asyncio.Transport) -> Peer:
    return Peer.between(transport.get_extra_info("peername"), transport.get_extra_info("sockname"))
