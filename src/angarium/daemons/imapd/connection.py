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
from angarium.daemons.imapd.commands.authenticate import Exchange
from angarium.daemons.imapd.commands.capability import capabilities
from angarium.daemons.imapd.commands.select import flags_lines
from angarium.daemons.imapd.dispatch import act
from angarium.daemons.imapd.hub import MailboxHub
from angarium.daemons.imapd.statistics import SessionStatistics
from angarium.daemons.imapd.turns import Turns
from angarium.daemons.imapd.updates import Dialect
from angarium.daemons.imapd.view import View
from angarium.mailstore.interface import AccountStore, Mailbox
from angarium.protocols.imap.session import ImapSession
from angarium.protocols.imap.states import State

if TYPE_CHECKING:
    from angarium.daemons.imapd.main import ImapdService

TLS_SHUTDOWN = 5.0
"""Seconds that a client has to answer the end of a TLS session."""
_READ_AHEAD = 128 * 1024
LINGER = 10.0
"""Seconds that a client has to take what is left when the connection is closed."""
_WRITE_PIECE = 64 * 1024


class ImapConnection(asyncio.Protocol):
    """A client.

    Attributes that the commands use:
        service: what all connections share.
        session: the protocol's state.
        store: the account, once authenticated.
        mailbox, view, hub: the selected mailbox.
        read_only: EXAMINE.
        condstore: a CONDSTORE enabling command was given (RFC 7162 section 3.1).
        qresync: ENABLE QRESYNC was given (section 3.2.3).
        secure: TLS is on, or the client's network counts as secure.
    """

    __slots__ = (
        "__weakref__",
        "_can_write",
        "_close_reason",
        "_closing",
        "_ended",
        "_out",
        "_out_bytes",
        "_paused_reading",
        "_task",
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
        "qresync",
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
        "unknown_commands",
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
        self.qresync = False
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
        self._ended = False
        self._close_reason = ""
        self.unknown_commands = 0

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
        self._ended = True
        return self._task is not None and not self.tls  # TLS cannot stay half open

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone: drop everything of it."""
        self._closing = True
        self._close_reason = self._close_reason or (
            "Connection closed" if exc is None else f"Connection closed: {_words(exc)}"
        )
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
    def written(self) -> int:
        """Bytes written so far, sent or not."""
        return self.statistics.bytes_out + self._out_bytes

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
        self._end_transport()

    def _end_transport(self) -> None:
        """Close when all is sent; a client that does not read it has an end, too."""
        transport = self.transport
        if transport is None or transport.is_closing():
            return
        transport.close()
        if transport.get_write_buffer_size():
            asyncio.get_running_loop().call_later(LINGER, transport.abort)

    def answer(self, tag: bytes, word: bytes, text: str) -> None:
        """The tagged answer of a command."""
        self.write(b"%b %b %b\r\n" % (tag, word, text.encode("utf-8", "replace")))

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
        if self.qresync and new is not hub.latest:
            # Something vanished that cannot be told yet: the client's state is older than the modseqs it is told.
            self.untagged(b"OK [HIGHESTMODSEQ %d] Expunges are pending" % view.complete)
        if found.empty:
            return
        if found.exists >= 0:
            before, end = old.uids[-1] + 1 if old.uids else 1, new.uids[-1] + 1 if new.uids else 1
            if end > before:
                view.add_recent(max(before, hub.first_recent if self.read_only else hub.claim(end)), end)
        self.note_keywords(new.keywords)
        dialect = Dialect(uid or self.condstore, self.condstore, self.qresync, view.recent)
        self.write(hub.render(old, found, new, dialect))

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
        # What the session holds now came over TLS, perhaps in the segment that ended the handshake: it counts.
        self.tls = self.secure = True

    def abandon_append(self) -> None:
        """Drop the messages of an APPEND that will not be completed."""
        if self.append is not None:
            self.append.abandon()
            self.append = None

    @property
    def known(self) -> bool:
        """The client has logged in."""
        return bool(self.account)

    def give_way(self) -> None:
        """Too many have not logged in, and this is the oldest of them."""
        self.bye("Connection queue full", "Connection queue full")

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
        turns = Turns()
        try:
            while not self._closing:
                event = self.session.next_event()
                if event is None:
                    break
                await act(self, event)
                if self._out_bytes > _WRITE_PIECE:
                    await self.drain()
                if self._paused_reading and self.session.buffered <= _READ_AHEAD // 2:
                    self._resume_reading()
                await turns.pause()
        except ConnectionError:
            self._closing = True
        except Exception as error:  # noqa: BLE001 - a fault of ours ends this connection and nothing else
            self.service.fault(error, self)
            self.bye("[SERVERBUG] Internal error, closing connection", "Internal error")
        finally:
            self._task = None
            self.flush()
            if self._closing or self._ended:
                self._end_transport()
            elif self._paused_reading:
                self._resume_reading()

    def _resume_reading(self) -> None:
        self._paused_reading = False
        if self.transport is not None:
            self.transport.resume_reading()


def _words(error: Exception) -> str:
    """What happened, without Python's ``[Errno 104]``."""
    return (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__
