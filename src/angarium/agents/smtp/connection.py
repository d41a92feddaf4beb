"""One connection to a server: the only place of the agent that touches a socket.

A ``Connection`` drives a ``ClientSession``: it writes what the session puts out, once a read, sends the content with
back-pressure, and wakes the one task that waits for the outcome. ``deadline`` is when the current step has taken too
long (smtp_*_timeout), or when an idle connection is to be closed; the pool looks at it (``expire``), so that no timer
is made for each step.

Fails with ``LostError`` when the peer goes away or goes silent, and with ``TroubleError`` when it does not speak SMTP.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from angarium.agents.smtp.hosts import Target
from angarium.agents.smtp.trouble import LostError, TroubleError, said
from angarium.model.envelope import Envelope, Recipient
from angarium.protocols.smtp.client import (
    ClientSession,
    ContentWanted,
    Event,
    ForwardRefused,
    Malformed,
    Replied,
    TransactionEnded,
)
from angarium.protocols.smtp.client_reply import ClientReply
from angarium.protocols.smtp.client_states import State, Step

_PAUSE = 0.05
"""Seconds between two looks whether the peer reads again, when content is sent slowly."""


@dataclass(frozen=True, slots=True)
class TimeLimits:
    """How long steps may take.

    Attributes:
        steps: seconds of each.
        rate: 0: a limit is for a time without progress; else it is for the whole request and the whole reply, and
            content must flow at so many octets a second (smtp_per_request_deadline, smtp_min_data_rate).
    """

    steps: Mapping[Step, float]
    rate: int = 0


class Connection(asyncio.Protocol):
    """See the module. Exactly one task uses a connection at a time.

    Attributes:
        target: the address it goes to.
        session: the protocol's state.
        uses: transactions begun.
        opened: loop time of its making.
        deadline: loop time when ``expire`` does something.
        tls: the established TLS session in words; empty without.
        verified: the server has proved who it is, as the TLS policy wants it.
        peer_certificate: of a verified TLS session.
        settled: called once the server has spoken in TLS; None without.
        key: of the pool, set by it.
        dot_delay: seconds to wait before the final dot, for a firewall that cannot stand it close to the content.
        remarks: what the log is to be told of the last transaction, beside its outcome.
    """

    def __init__(self, target: Target, session: ClientSession, limits: TimeLimits) -> None:
        self.target = target
        self.session = session
        self.uses = 0
        self.tls = ""
        self.verified = False
        self.peer_certificate: Mapping[str, object] | None = None
        self.settled: Callable[[], None] | None = None
        self.key = ""
        self.remarks: list[str] = []
        self.deadline = 0.0
        self._loop = asyncio.get_running_loop()
        self.opened = self._loop.time()
        self.dot_delay = 0.0
        self._steps = limits.steps
        self._rate = limits.rate
        self._written = 0
        self._task: asyncio.Task[None] | None = None
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._reply: ClientReply | None = None
        self._trouble: TroubleError | None = None
        self._chunks: Iterable[bytes] = ()
        self._sending: Iterator[bytes] | None = None
        self._paused = False
        self._closing = False
        self._progress()

    @property
    def alive(self) -> bool:
        """The peer has not closed it, as far as we know."""
        return self._trouble is None and self._transport is not None

    @property
    def open(self) -> bool:
        """There is a socket still."""
        return self._transport is not None

    @property
    def now(self) -> float:
        """The loop's time."""
        return self._loop.time()

    @property
    def reusable(self) -> bool:
        """Another transaction may be sent."""
        return self.alive and self.session.reusable

    # For the task that uses it.

    async def reply(self) -> ClientReply:
        """Write what the session has to say and wait for the reply. Raises TroubleError."""
        if self._reply is None:  # the greeting may be here before we look for it
            await self._outcome()
        reply, self._reply = self._take_reply(), None
        return reply

    async def transact(
        self,
        envelope: Envelope,
        recipients: Sequence[Recipient],
        size: int | None,
        chunks: Iterable[bytes],
        *,
        smtputf8: bool = False,
        until: Step = Step.DOT,
        forward: Mapping[str, str] | None = None,
    ) -> None:
        """Run one transaction, or as much of it as ``ClientSession.mail`` is told.

        Each recipient's outcome, as far as it got, is in ``session.replies``.

        Raises:
            TroubleError: it did not run to its end.
        """
        self.uses += 1
        self._chunks = chunks
        self.session.mail(envelope, recipients, size, smtputf8=smtputf8, until=until, forward=forward)
        try:
            await self._outcome()
        finally:
            self._chunks = ()
            self._sending = None

    async def start_tls(self, context: ssl.SSLContext, server_name: str | None, limit: float) -> ssl.SSLObject:
        """Begin TLS on the open connection; the handshake may take ``limit`` seconds.

        Raises:
            ssl.SSLError: the handshake failed; the connection is gone.
            OSError: likewise (a TimeoutError or a reset is one).
        """
        assert self._transport is not None
        transport = await self._loop.start_tls(
            self._transport, self, context, server_hostname=server_name, ssl_handshake_timeout=limit
        )
        if transport is None:
            msg = "the connection was closed"
            raise ConnectionResetError(msg)
        self._transport = transport
        tls = transport.get_extra_info("ssl_object")
        assert tls is not None
        self.peer_certificate = tls.getpeercert()
        return tls  # type: ignore[no-any-return]  # extra info is untyped

    def quit(self, *, wait: bool = False) -> None:
        """Say QUIT and close; ``wait``: only when the server has answered, or when smtp_quit_timeout is over."""
        if self._transport is None or self._closing:
            return  # closing a TLS transport twice makes asyncio forget it with its socket open
        if self.alive and self.session.usable and self.session.state in (State.READY, State.GREETED):
            self.session.quit()
            self._transport.write(self.session.output())
            if wait:
                self._progress()
                return
        self._closing = True
        self._transport.close()

    def abort(self) -> None:
        """Close at once, mid-sentence."""
        if self._transport is not None:
            self._transport.abort()

    # For the pool.

    def expire(self, now: float) -> None:
        """End what has taken too long."""
        if now < self.deadline:
            return
        if self._waiter is not None:
            self.fail(LostError(self.target.peer, self.session.step, timed_out=True))
            self.abort()
        elif self._closing or self.session.state is State.CLOSING:
            self.abort()
        else:
            self.quit()

    # For the transport.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The TCP connection is there; also called again when TLS has been put on top of it."""
        assert isinstance(transport, asyncio.Transport) or hasattr(transport, "write")
        self._transport = transport  # type: ignore[assignment]  # uvloop's is no subclass

    def data_received(self, data: bytes) -> None:
        """Feed the session; act on what happened; write once."""
        session = self.session
        rate = self._rate
        awaited = session.awaited if rate else 0
        finished = False
        for event in session.receive_data(data):
            finished = self._handle(event) or finished
        output = session.output()
        if output and self._transport is not None:
            self._transport.write(output)
        if not rate or session.awaited != awaited:
            self._progress()
        if finished:
            self._wake()

    def eof_received(self) -> bool:
        """The peer has said all it will: close."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Whoever waits hears of it."""
        del exc
        self._transport = None
        self.fail(LostError(self.target.peer, self.session.step))

    def pause_writing(self) -> None:
        """The peer reads slower than we write."""
        self._paused = True

    def resume_writing(self) -> None:
        """Go on with the content."""
        self._paused = False
        if self._rate:
            earned = self._written / self._rate
            self.deadline = min(self.deadline + earned, self._loop.time() + self._steps[Step.CONTENT])
            self._written = 0
        else:
            self._progress()
        if self._sending is not None:
            self._send_content()

    # Inside.

    def _handle(self, event: Event) -> bool:
        """Act on an event; True when it is what the task waits for."""
        if type(event) is ContentWanted:
            self._written = 0
            self._sending = self.session.content(self._chunks)
            if self.dot_delay:
                self._task = self._loop.create_task(self._send_slowly(self._sending))
            else:
                self._send_content()
            return False
        if type(event) is TransactionEnded:
            self._sending = None
            return True
        if type(event) is ForwardRefused:
            self.remarks.append(said(self.target.relay, event.reply, event.step))
            return False
        if type(event) is Replied:
            self._reply = event.reply
            if event.step is Step.QUIT and self._transport is not None:
                self._transport.close()
            return True
        assert isinstance(event, Malformed)
        self.fail(TroubleError("4.5.0", f"Protocol error: host {self.target.peer} said: {event.text}", event.text))
        self.abort()
        return False

    def _send_content(self) -> None:
        assert self._sending is not None
        transport = self._transport
        if transport is None:
            return
        pieces: list[bytes] = []
        try:
            for piece in self._sending:
                self._written += len(piece)
                pieces.append(piece)
                if len(piece) > 32768 or len(pieces) > 8:
                    transport.write(b"".join(pieces))
                    pieces.clear()
                    if self._paused:
                        return
        except OSError as error:
            self._give_up_content(error)
            return
        if pieces:
            transport.write(b"".join(pieces))
        self._sending = None
        self._progress()

    def _give_up_content(self, error: OSError) -> None:
        """The message cannot be read to its end: hang up before the dot, so that the peer takes no part of it."""
        self._sending = None
        self.fail(TroubleError("4.3.0", f"error reading message: {error.strerror or error}", broken=False))
        self.abort()

    async def _send_slowly(self, content: Iterator[bytes]) -> None:
        """The content, then a pause, then the final dot in a packet of its own (smtp_pix_workaround_delay_time)."""
        held = b""
        try:
            for piece in content:
                if self._transport is None:
                    return
                self._transport.write(held)
                held = piece
                while self._paused:  # noqa: ASYNC110 - for one kind of firewall; it needs no event of its own
                    await asyncio.sleep(_PAUSE)
        except OSError as error:
            self._give_up_content(error)
            return
        self._sending = None
        self._progress()
        self.deadline += self.dot_delay
        await asyncio.sleep(self.dot_delay)
        if self._transport is not None:
            self._transport.write(held)
        self._progress()
        self._task = None

    def _take_reply(self) -> ClientReply:
        assert self._reply is not None
        return self._reply

    async def _outcome(self) -> None:
        if self._trouble is not None:
            raise self._trouble
        transport = self._transport
        if transport is None:
            raise LostError(self.target.peer, self.session.step)
        output = self.session.output()
        if output:
            transport.write(output)
        self._progress()
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        except asyncio.CancelledError:
            self.abort()
            raise
        finally:
            self._waiter = None

    def _progress(self) -> None:
        self.deadline = self._loop.time() + self._steps[self.session.step]

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def fail(self, trouble: TroubleError) -> None:
        """The connection is of no more use; whoever waits hears why."""
        if self._trouble is None:
            self._trouble = trouble
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(self._trouble)
