"""One client's connection: the only place of imapd that touches the socket.

Bytes go to the session, its events to the commands, what they write is collected and written once when the client's
bytes are used up. While a command waits for the store, at most ``_READ_AHEAD`` bytes of what follows are read. A client
that reads slowly stops the command that writes (``drain``), not the server. When nothing is in progress a connection
has no task and no timer of its own: the service's slow round looks at all of them.

Fails by closing: an exception that no command expects is logged, the command is answered ``NO [SERVERBUG]``, and the
connection goes on, for one bad command costs one command.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING, cast

from angarium.daemons.imapd.append import AppendInProgress
from angarium.daemons.imapd.commands import HANDLERS
from angarium.daemons.imapd.commands.authenticate import Exchange
from angarium.daemons.imapd.commands.capability import capabilities
from angarium.daemons.imapd.commands.select import flags_lines
from angarium.daemons.imapd.errors import Bad, CommandError, No, refusal
from angarium.daemons.imapd.hub import MailboxHub
from angarium.daemons.imapd.statistics import SessionStatistics
from angarium.daemons.imapd.view import View
from angarium.mailstore.interface import AccountStore, Mailbox, MailstoreError
from angarium.protocols.imap.session import (
    AppendComplete,
    AppendLiteral,
    BadCommand,
    CommandReceived,
    Event,
    HangUp,
    IdleDone,
    ImapSession,
    LiteralWanted,
    MessageData,
    SaslResponse,
)
from angarium.protocols.imap.states import EXPUNGE_WITHHELD, State
from angarium.protocols.imap.types import Command

if TYPE_CHECKING:
    from angarium.daemons.imapd.main import ImapdService

TLS_SHUTDOWN = 5.0
"""Seconds that a client has to answer the end of a TLS session."""
_READ_AHEAD = 128 * 1024
_WRITE_PIECE = 64 * 1024
_MAX_UNKNOWN = 20
"""Commands in a row that are not IMAP at all: somebody else's protocol."""


class ImapConnection(asyncio.Protocol):
    """A client.

    Attributes that the commands use:
        service: what all connections share.
        session: the protocol's state.
        store: the account, once authenticated.
        mailbox, view, hub: the selected mailbox.
        read_only: EXAMINE.
        condstore: a CONDSTORE enabling command was given (RFC 7162 section 3.1).
        secure: TLS is on, or the client's network counts as secure.
    """

    __slots__ = (
        "__weakref__",
        "_can_write",
        "_close_reason",
        "_closing",
        "_out",
        "_out_bytes",
        "_paused_reading",
        "_task",
        "_unknown",
        "account",
        "answer_then_close",
        "append",
        "append_mailbox",
        "condstore",
        "exchange",
        "hub",
        "idle_tag",
        "known_keywords",
        "last_activity",
        "mailbox",
        "peer",
        "plaintext_refused",
        "read_only",
        "secure",
        "server_address",
        "service",
        "session",
        "session_id",
        "statistics",
        "store",
        "tls",
        "transport",
        "view",
    )

    def __init__(self, service: ImapdService, *, tls: bool) -> None:
        parameters = service.parameters
        self.service = service
        self.session = ImapSession(
            line_limit=parameters.line_length_limit,
            literal_limit=parameters.login_literal_limit,
            skip_limit=parameters.login_literal_limit,
        )
        self.transport: asyncio.Transport | None = None
        self.tls = tls
        self.secure = tls
        self.peer = ""
        self.server_address = ""
        self.session_id = ""
        self.account = ""
        self.store: AccountStore | None = None
        self.mailbox: Mailbox | None = None
        self.view: View | None = None
        self.hub: MailboxHub | None = None
        self.read_only = False
        self.condstore = False
        self.known_keywords: frozenset[str] = frozenset()
        self.idle_tag: bytes | None = None
        self.answer_then_close = ""
        self.append_mailbox = ""  # the last one that took a message: it need not be looked up again
        self.plaintext_refused = False
        self.append: AppendInProgress | None = None
        self.exchange: Exchange | None = None
        self.statistics = SessionStatistics()
        self.last_activity = 0.0
        self._out: list[bytes] = []
        self._out_bytes = 0
        self._task: asyncio.Task[None] | None = None
        self._can_write: asyncio.Future[None] | None = None
        self._paused_reading = False
        self._closing = False
        self._close_reason = ""
        self._unknown = 0

    # --- the transport's calls ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet (RFC 9051 section 7.1.5), with the capabilities in it."""
        self.transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername")
        local = transport.get_extra_info("sockname")
        self.peer = peer[0] if isinstance(peer, tuple) else ""
        self.server_address = local[0] if isinstance(local, tuple) else ""
        self.last_activity = self.service.now()
        self.statistics.connected = self.last_activity
        self.session_id = self.service.new_session_id()
        self.secure = self.tls or self.peer in self.service.secure_networks
        self.service.opened(self)
        self.write(b"* OK [CAPABILITY %b] %b ready.\r\n" % (capabilities(self), self.service.parameters.greeting))
        self.flush()

    def data_received(self, data: bytes) -> None:
        """Bytes from the client."""
        self.last_activity = self.service.now()
        self.statistics.bytes_in += len(data)
        if self._closing:
            return
        session = self.session
        session.receive_data(data)
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._work())
        elif session.buffered > _READ_AHEAD and not self._paused_reading and self.transport is not None:
            self._paused_reading = True
            self.transport.pause_reading()

    def eof_received(self) -> bool:
        """The client has no more to say: what it said is still answered."""
        self._close_reason = self._close_reason or "Connection closed"
        if self._task is None:
            return False
        self._closing = True
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone: drop everything of it."""
        self._closing = True
        self._close_reason = self._close_reason or ("Connection closed" if exc is None else f"Connection closed: {exc}")
        self.transport = None
        if self._can_write is not None and not self._can_write.done():
            self._can_write.set_result(None)
        if self._task is not None:
            self._task.cancel()
        self.abandon_append()
        self.deselect()
        self.idle_tag = None
        self.service.closed(self, self._close_reason)

    def pause_writing(self) -> None:
        """The client reads slowly."""
        if self._can_write is None:
            self._can_write = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        """It has caught up."""
        waiter, self._can_write = self._can_write, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)
        self.last_activity = self.service.now()
        if self.idle_tag is not None:
            self.mailbox_changed()

    # --- what the commands call ---

    def write(self, data: bytes) -> None:
        """Add to what is sent next."""
        self._out.append(data)
        self._out_bytes += len(data)

    def flush(self) -> None:
        """Send what was collected."""
        if not self._out:
            return
        out, self._out = self._out, []
        self.statistics.bytes_out += self._out_bytes
        self._out_bytes = 0
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(out[0] if len(out) == 1 else b"".join(out))

    async def drain(self) -> None:
        """Send, and wait while the client is behind.

        Raises:
            ConnectionError: it is gone.
        """
        self.flush()
        if self._can_write is not None:
            await self._can_write
        if self.transport is None:
            msg = "the client is gone"
            raise ConnectionResetError(msg)

    @property
    def pending(self) -> int:
        """Bytes collected and not sent."""
        return self._out_bytes

    def untagged(self, data: bytes) -> None:
        """``* data``."""
        self.write(b"* %b\r\n" % data)

    def close(self, reason: str) -> None:
        """Send what is left and close; ``reason`` is for the log."""
        self._close_reason = self._close_reason or reason
        self._closing = True
        self.flush()
        if self.transport is not None:
            self.transport.close()

    def bye(self, text: str, reason: str = "") -> None:
        """Say BYE and close."""
        self.untagged(b"BYE " + text.encode("ascii", "replace"))
        self.close(reason or text)

    def account_store(self) -> AccountStore:
        """The account; the table of states says that there is one."""
        assert self.store is not None
        return self.store

    def selected(self) -> tuple[Mailbox, View, MailboxHub]:
        """The selected mailbox; the table of states says that there is one."""
        assert self.mailbox is not None
        assert self.view is not None
        assert self.hub is not None
        return self.mailbox, self.view, self.hub

    def deselect(self) -> None:
        """Leave the selected mailbox, if any."""
        if self.hub is not None:
            self.service.hubs.leave(self.hub, self)
        self.mailbox = self.view = self.hub = None
        if self.session.state is State.SELECTED:
            self.session.state = State.AUTHENTICATED

    def show_updates(self, *, expunge: bool, uid: bool = False) -> None:
        """Tell what is known to have happened in the mailbox."""
        hub, view = self.hub, self.view
        if hub is None or view is None or view.snapshot is hub.latest:
            return
        old = view.snapshot
        new, found = hub.difference(view, expunge=expunge)
        if found.empty:
            return
        self.note_keywords(new.keywords)
        self.write(hub.render(old, found, new, uid=uid or self.condstore, modseq=self.condstore))

    def note_keywords(self, keywords: frozenset[str]) -> None:
        """A keyword that the client has not heard of is announced before it is used (RFC 9051 section 7.3.5)."""
        if keywords <= self.known_keywords:
            return
        self.known_keywords |= keywords
        self.write(flags_lines(self.known_keywords, read_only=self.read_only))

    async def look(self) -> None:
        """Ask the store what has happened in the selected mailbox."""
        if self.hub is not None:
            await self.hub.refresh()

    def mailbox_changed(self) -> None:
        """The hub knows more: one who idles is told now, unless he is behind with reading."""
        if self.idle_tag is not None and self._can_write is None and not self._closing:
            self.show_updates(expunge=True)
            self.flush()

    def start_idle(self, tag: bytes) -> None:
        """Changes are told at once from now on."""
        self.idle_tag = tag
        self.session.expect_done()

    async def start_tls(self, context: ssl.SSLContext) -> None:
        """Negotiate TLS; what the client sent before is forgotten (RFC 9051 section 11.1)."""
        self.flush()
        self.session.discard_input()
        assert self.transport is not None
        loop = asyncio.get_running_loop()
        transport = await loop.start_tls(
            self.transport,
            self,
            context,
            server_side=True,
            ssl_handshake_timeout=self.service.parameters.starttls_timeout,
            ssl_shutdown_timeout=TLS_SHUTDOWN,
        )
        assert transport is not None
        self.transport = transport
        self.tls = self.secure = True
        self.session.discard_input()

    def abandon_append(self) -> None:
        """Drop the messages of an APPEND that will not be completed."""
        if self.append is not None:
            self.append.abandon()
            self.append = None

    @property
    def busy(self) -> bool:
        """A command is in progress."""
        return self._task is not None

    @property
    def behind(self) -> bool:
        """The client does not read what we send."""
        return self._can_write is not None

    def abort(self, reason: str) -> None:
        """Close without sending what is left."""
        self._close_reason = self._close_reason or reason
        self._closing = True
        if self.transport is not None:
            self.transport.abort()

    # --- the work ---

    async def _work(self) -> None:
        """Act on events until the client's bytes are used up."""
        try:
            while not self._closing:
                event = self.session.next_event()
                if event is None:
                    break
                await self._act(event)
                if self._out_bytes > _WRITE_PIECE:
                    await self.drain()
                if self._paused_reading and self.session.buffered <= _READ_AHEAD // 2:
                    self._resume_reading()
        except ConnectionError:
            self._closing = True
        except Exception as error:  # noqa: BLE001 - a fault of ours ends this connection and nothing else
            self.service.fault(error, self)
            self.bye("[SERVERBUG] Internal error, closing connection", "Internal error")
        finally:
            self._task = None
            self.flush()
            if self._closing and self.transport is not None:
                self.transport.close()
            elif self._paused_reading:
                self._resume_reading()

    def _resume_reading(self) -> None:
        self._paused_reading = False
        if self.transport is not None:
            self.transport.resume_reading()

    async def _act(self, event: Event) -> None:
        match event:
            case CommandReceived(command):
                self._unknown = 0
                await self._run(command)
            case MessageData(data, last):
                self._message_data(data, last=last)
            case LiteralWanted():
                self.write(b"+ OK\r\n")
            case AppendLiteral():
                await self._append_literal(event)
            case AppendComplete():
                await self._append_complete()
            case SaslResponse(data):
                await self._sasl_response(data)
            case IdleDone(clean):
                self._idle_done(clean=clean)
            case BadCommand():
                self._bad(event)
            case HangUp(text):
                self.bye(text)

    async def _run(self, command: Command) -> None:
        """Run one command and answer it."""
        try:
            text = await HANDLERS[command.verb](self, command)
        except CommandError as error:
            word, text = error.word, error.text
        except MailstoreError as error:
            answer = refusal(error, try_create=command.verb in _TRY_CREATE)
            word, text = answer.word, answer.text
        except ConnectionError:
            raise
        except Exception as error:  # noqa: BLE001 - one bad command costs one command; the fault is logged
            self.service.fault(error, self)
            word, text = b"NO", "[SERVERBUG] Internal error occurred. Refer to server log for more information."
        else:
            word = b"OK"
        if text is None:
            return
        self._updates_before_answer(command)
        self.answer(command.tag, word, text)
        if self.answer_then_close:
            self.bye(self.answer_then_close)

    def _updates_before_answer(self, command: Command) -> None:
        if self.hub is None:
            return
        self.show_updates(expunge=command.verb not in EXPUNGE_WITHHELD, uid=command.verb.startswith("UID"))

    def answer(self, tag: bytes, word: bytes, text: str) -> None:
        """The tagged answer of a command."""
        self.write(b"%b %b %b\r\n" % (tag, word, text.encode("utf-8", "replace")))

    def _bad(self, event: BadCommand) -> None:
        self.abandon_append()
        self.exchange = None
        self.answer(event.tag, b"BAD", event.text)
        self._unknown = self._unknown + 1 if event.unknown else 0
        known = self.session.state is not State.NOT_AUTHENTICATED
        if self._unknown >= (_MAX_UNKNOWN if known else _MAX_UNKNOWN // 4):
            self.bye("Too many invalid IMAP commands.", "Too many invalid commands")

    def _idle_done(self, *, clean: bool) -> None:
        tag, self.idle_tag = self.idle_tag, None
        assert tag is not None
        self.show_updates(expunge=True)
        if clean:
            self.answer(tag, b"OK", "Idle completed.")
        else:
            self.answer(tag, b"BAD", "Expected DONE.")

    async def _sasl_response(self, data: bytes) -> None:
        exchange, self.exchange = self.exchange, None
        if exchange is None:
            return
        try:
            text = await exchange.respond(self, data)
        except CommandError as error:
            self.answer(exchange.tag, error.word, error.text)
            if self.answer_then_close:
                self.bye(self.answer_then_close)
        else:
            if text is not None:
                self.answer(exchange.tag, b"OK", text)

    # --- APPEND, whose messages come as events ---

    async def _append_literal(self, event: AppendLiteral) -> None:
        try:
            if self.append is None:
                assert event.command is not None
                self.append = await AppendInProgress.begin(self, event.command, event.message.size)
            self.append.start_message(event.message)
        except (CommandError, MailstoreError, OSError) as error:
            answer = _append_refusal(error)
            tag = self.append.tag if self.append is not None else event.command.tag if event.command else b"*"
            self.abandon_append()
            hang_up = self.session.refuse_message()
            self.answer(tag, answer.word, answer.text)
            if hang_up is not None:
                self.bye(hang_up.text)
            return
        self.session.accept_message()
        if event.synchronising:
            self.write(b"+ OK\r\n")

    def _message_data(self, data: bytes, *, last: bool) -> None:
        assert self.append is not None
        self.append.add(data, last=last)

    async def _append_complete(self) -> None:
        append, self.append = self.append, None
        assert append is not None
        try:
            text = await append.store(self)
        except (CommandError, MailstoreError, OSError) as error:
            answer = _append_refusal(error)
            self.answer(append.tag, answer.word, answer.text)
        else:
            self.show_updates(expunge=True)
            self.answer(append.tag, b"OK", text)


_TRY_CREATE = frozenset({"COPY", "MOVE", "UID COPY", "UID MOVE"})


def _append_refusal(error: CommandError | MailstoreError | OSError) -> No | Bad:
    if isinstance(error, MailstoreError):
        return refusal(error, try_create=True)
    if isinstance(error, (No, Bad)):
        return error
    return No(f"[UNAVAILABLE] Message cannot be stored now: {getattr(error, 'strerror', None) or 'I/O error'}")
