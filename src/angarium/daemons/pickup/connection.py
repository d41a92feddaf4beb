"""One client on pickup's socket: reads a submission, hands it over, answers, hangs up.

A client that sends nothing for ``patience`` seconds is told so and dropped; so is one whose user has too many
connections. What it sends as the message is brought into wire form whatever it is: bare line feeds become line ends,
stray carriage returns blanks, so that no line of it can end the message at another server.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable, Coroutine
from typing import cast

from angarium.daemons.pickup.access import User
from angarium.daemons.pickup.extract import argument_addresses, bare
from angarium.daemons.pickup.intake import Intake, storage_failure
from angarium.model.content import Content, MemoryContent
from angarium.model.reply import Reply
from angarium.protocols.pickup.commandline import CommandLineError
from angarium.protocols.pickup.outcome import EX_TEMPFAIL, ending
from angarium.protocols.pickup.session import PickupError, PickupSession, Piece, Question, Submission
from angarium.protocols.smtp.framing import NewlineDecoder
from angarium.runtime.log import ServiceLog
from angarium.runtime.spool import SPOOL_BOUND, Spool, SpoolFile

_CREDENTIALS = struct.Struct("iII")


class Receiver:
    """The content of a submission as it comes in: in wire form, in memory up to 1 MiB, then in a spool file.

    Args:
        limit: message_size_limit; 0 is none.
        spool: where large content goes; None keeps it in memory.
    """

    def __init__(self, limit: int, spool: Spool | None) -> None:
        self._limit = limit
        self._spool = spool
        self._memory = bytearray()
        self._file: SpoolFile | None = None
        self._size = 0
        self._lines = NewlineDecoder()
        self.too_big = False

    def write(self, data: bytes) -> None:
        """Take a piece; one that is over the limit is thrown away. Raises OSError."""
        self._write(self._lines.feed(data))

    def _write(self, data: bytes) -> None:
        self._size += len(data)
        if self.too_big or (self._limit and self._size > self._limit):
            self.too_big = True
            self.abandon()
        elif self._file is not None:
            self._file.write(data)
        elif self._spool is not None and self._size > SPOOL_BOUND:
            self._file = self._spool.create()
            self._file.write(self._memory)
            self._file.write(data)
            self._memory.clear()
        else:
            self._memory += data

    def finish(self) -> Content:
        """The content, of no worth when it is ``too_big``. Raises OSError."""
        self._write(self._lines.finish())
        if self._file is not None:
            content = self._file.finish()
            self._file = None
            return content
        return MemoryContent(bytes(self._memory))

    def abandon(self) -> None:
        """Throw away what there is."""
        self._memory.clear()
        if self._file is not None:
            self._file.abandon()
            self._file = None


class PickupConnection(asyncio.Protocol):
    """The socket of one client.

    Args:
        intake: takes whole submissions.
        receiver: makes the content.
        log: of the service.
        admitted: called once with the user's id; whether the user may have one more connection.
        closed: called when the connection is over, with the user's id if it was admitted.
        patience: seconds that the client may be silent.
        line_endings: sendmail_fix_line_endings.
    """

    def __init__(
        self,
        intake: Intake,
        receiver: Receiver,
        log: ServiceLog,
        admitted: Callable[[int], bool],
        closed: Callable[[PickupConnection, int | None], object],
        patience: float,
        line_endings: str = "always",
    ) -> None:
        self._intake = intake
        self._receiver = receiver
        self._log = log
        self._admitted = admitted
        self._closed = closed
        self._patience = patience
        self._timer: asyncio.TimerHandle | None = None
        self._heard = 0.0
        self._counted: int | None = None
        self._session = PickupSession(line_endings)
        self._notes: tuple[str, ...] = ()
        self._sender: str | None = None
        self._transport: asyncio.Transport | None = None
        self._user = User(-1, "unknown", "")
        self._answered = False
        self.task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask the kernel who it is."""
        self._transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("socket")
        raw = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        _, uid, _ = _CREDENTIALS.unpack(raw)
        self._user = User.of(uid)
        if not self._admitted(uid):
            self._log.warning(f"uid={uid}: too many connections")
            self._answer(Reply.of(451, "4.3.2", "too many connections"))
            return
        self._counted = uid
        self._heard = asyncio.get_running_loop().time()
        self._watch()

    def _watch(self) -> None:
        """Wait for a sign of life from the client, as long as its submission is not whole."""
        loop = asyncio.get_running_loop()
        left = self._heard + self._patience - loop.time()
        if left > 0:
            self._timer = loop.call_later(left, self._watch)
        elif self.task is None:
            self._answer(Reply.of(451, "4.4.2", "timeout"))

    def data_received(self, data: bytes) -> None:
        """Feed the session."""
        if self._answered:
            return
        self._heard = asyncio.get_running_loop().time()
        try:
            for event in self._session.receive_data(data):
                if isinstance(event, Piece):
                    self._receiver.write(event.data)
                elif isinstance(event, Question):
                    self._start(self._intake.answer(self._user, event))
                else:
                    self._complete(event.submission)
        except CommandLineError as error:
            self._end_command(error)
        except PickupError as error:
            self._log.warning(f"uid={self._uid}: malformed submission: {error}")
            self._answer(Reply.of(501, "5.5.2", f"malformed submission: {error}"))
        except OSError as error:
            self._log.warning(f"uid={self._uid}: queue file write error: {error}")
            self._answer(storage_failure(error))

    @property
    def _uid(self) -> int:
        return self._user.uid

    def _end_command(self, error: CommandLineError) -> None:
        """The command line that the client has left to us makes no sense."""
        who = f"{self._named(error.sender)}: " if error.named else ""
        text = "".join(f"{line}\n" for line in (*error.before, f"sendmail: fatal: {who}{error}"))
        self._send(b"%d\n" % EX_TEMPFAIL + text.encode("utf-8", "surrogateescape"))

    def _named(self, sender: str | None) -> str:
        """Who stands before a complaint: the sender that the user chose, or the user."""
        return f"{self._user.name if sender is None else bare(sender)}({self._user.uid})"

    def _complete(self, submission: Submission) -> None:
        self._notes = submission.notes
        self._sender = submission.sender
        if submission.sender and len(argument_addresses(submission.sender)) != 1:
            self._notes += (f"sendmail: warning: -f option specified malformed sender: {submission.sender}",)
        content = self._receiver.finish()
        if self._receiver.too_big:
            self._answer(Reply.of(552, "5.3.4", "message file too big"))
            return
        self._start(self._intake.take(self._user, submission, content))

    def _start(self, work: Coroutine[None, None, Reply]) -> None:
        self.task = asyncio.get_running_loop().create_task(self._work(work))

    async def _work(self, work: Coroutine[None, None, Reply]) -> None:
        reply = Reply.of(451, "4.3.0", "Error: internal error")
        try:
            reply = await work
        except Exception as error:  # noqa: BLE001 - a fault of ours: said, and temporary for the client
            self._log.panic(f"uid={self._uid}: {type(error).__name__}: {error}")
        finally:
            self._answer(reply)

    def _answer(self, reply: Reply) -> None:
        text = str(reply)
        if self._session.command_line:
            self._send(ending(text, self._named(self._sender), self._notes))
        else:
            self._send(f"{text}\n".encode("utf-8", "replace"))

    def _send(self, answer: bytes) -> None:
        if self._transport is None or self._answered:
            return
        self._answered = True
        self._transport.write(answer)
        self._transport.close()

    def eof_received(self) -> bool | None:
        """A client that is done writing may still be reading its answer."""
        return self.task is not None

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - how it went does not matter
        """Forget the client; a submission that is whole goes on."""
        if self._timer is not None:
            self._timer.cancel()
        self._receiver.abandon()
        if self.task is None or self.task.done():
            self._closed(self, self._counted)
        else:
            self.task.add_done_callback(lambda _task: self._closed(self, self._counted))

    def close(self) -> None:
        """Hang up on a client whose submission is not whole yet."""
        if self.task is None and self._transport is not None:
            self._answer(Reply.of(451, "4.3.2", "the mail system is going down"))
