"""The receiving half of an SMTP server session, without I/O: octets in, events out.

Guarantees: memory is bounded by the line limit and by what one call hands in (the caller stops reading while the
session is paused); any octets give events, never an exception. Replies are values and go out through ``render``; the
caller collects those of one call and writes them at once (RFC 2920).
"""

from __future__ import annotations

from angarium.protocols.smtp.framing import DataDecoder, LineFramer, NewlineDecoder
from angarium.protocols.smtp.parser import parse_bdat
from angarium.protocols.smtp.states import ENDS_TRANSACTION, PAUSING, Input
from angarium.protocols.smtp.types import (
    BareNewline,
    BdatCommand,
    ChunkEnd,
    CommandError,
    CommandReceived,
    Event,
    LineReceived,
    MessageData,
    MessageEnd,
)


class ServerSession:
    """One connection.

    Args:
        line_limit: octets of a command line (postconf(5) ``line_length_limit``).
        bare_newline: what to do with LF without CR.
        lockstep: stop behind each command, as what it is may be changed; a chunk begins with ``start_chunk``.
    """

    __slots__ = (
        "_chunk",
        "_chunk_decoder",
        "_chunk_left",
        "_decoder",
        "_dialogue_limit",
        "_framer",
        "bare_newline",
        "lockstep",
        "state",
    )

    def __init__(
        self, line_limit: int = 2048, bare_newline: BareNewline = BareNewline.NORMALIZE, *, lockstep: bool = False
    ) -> None:
        self.lockstep = lockstep
        self._framer = LineFramer(line_limit)
        self.bare_newline = bare_newline
        self._decoder = DataDecoder(bare_newline)
        self._chunk = BdatCommand(0, last=False)
        self._chunk_left = 0
        self._dialogue_limit = 0
        self._chunk_decoder = NewlineDecoder(self.bare_newline)
        self.state = Input.COMMAND

    @property
    def pending(self) -> int:
        """Octets that have been received and that no event has told of."""
        return self._framer.pending + (self._decoder.held if self.state is Input.DATA else 0)

    def receive_data(self, data: bytes) -> list[Event]:
        """Take octets in; the events that they complete."""
        if self.state is Input.CLOSED:
            return []
        self._framer.add(data)
        return [] if self.state is Input.PAUSED else self._events()

    def start_data(self) -> list[Event]:
        """DATA was accepted: what follows is a message."""
        self._decoder = DataDecoder(self.bare_newline)
        self.state = Input.DATA
        return self._events()

    def start_lines(self, limit: int = 0) -> list[Event]:
        """The next line belongs to a dialogue; ``limit`` octets of it count."""
        self._dialogue_limit = limit
        self.state = Input.LINES
        return self._events()

    def resume_commands(self) -> list[Event]:
        """What follows is commands again."""
        if self.state is Input.PAUSED:
            self.state = Input.COMMAND
            return self._events()
        return []

    def start_chunk(self, text: str) -> list[Event]:
        """In lockstep: what follows is the chunk that a BDAT line announces. Raises CommandError: it announces none."""
        self._chunk = parse_bdat(text)
        self._chunk_left = self._chunk.size
        self.state = Input.CHUNK
        return self._events()

    def forget_chunks(self) -> None:
        """The message that came in chunks is given up."""
        self._chunk_decoder = NewlineDecoder(self.bare_newline)

    def discard_input(self) -> bytes:
        """Forget what was received and not looked at (RFC 3207 section 4.2); what it was."""
        return self._framer.take()

    def close(self) -> None:
        """Ignore everything from here on."""
        self.state = Input.CLOSED
        self._framer.take()

    def _events(self) -> list[Event]:
        events: list[Event] = []
        while True:
            state = self.state
            if state is Input.COMMAND:
                if not self._command(events):
                    break
            elif state is Input.DATA:
                if self._framer.pending:
                    self._message(events)
                if self.state is Input.DATA:
                    break
            elif state is Input.CHUNK:
                if not self._chunk_data(events):
                    break
            elif state is Input.LINES:
                line = self._framer.next_line(self._dialogue_limit)
                if line is not None:
                    events.append(LineReceived(line[0], line[1]))
                    self.state = Input.PAUSED
                break
            else:
                break
        return events

    def _command(self, events: list[Event]) -> bool:
        """Read one command; False when there is none or the session pauses."""
        framed = self._framer.next_line()
        if framed is None:
            return False
        line, truncated, bare = framed
        if b"\0" in line:
            line = line[: line.index(b"\0")]  # as in C, the text ends there
        if b"\r" in line:
            line = line.replace(b"\r", b" ")  # as in a message; so that no CR gets into addresses and log lines
        text = line.decode("utf-8", "surrogateescape")
        verb = text[:4].upper()
        if (len(text) > 4 and text[4] != " ") or not verb.isalpha():
            text = text.lstrip(" \t")
            verb = (text.split(None, 1) or [""])[0].upper()
        pausing = self.lockstep or verb in PAUSING
        behind = self._framer.peek(100) if self._framer.pending else b""
        events.append(CommandReceived(verb, text, behind, truncated, bare))
        if pausing:
            self.state = Input.PAUSED
            return False
        if verb in ENDS_TRANSACTION:
            self.forget_chunks()  # here, for what follows it may have been read before the server comes to act on it
        elif verb == "BDAT":
            try:
                self._chunk = parse_bdat(text)
            except CommandError:
                self.state = Input.PAUSED
                return False
            self._chunk_left = self._chunk.size
            self.state = Input.CHUNK
        return True

    def _message(self, events: list[Event]) -> None:
        decoder = self._decoder
        data = decoder.feed(self._framer.take())
        if data:
            events.append(MessageData(data))
        if decoder.finished:
            events.append(MessageEnd(decoder.bare_newline))
            self._framer.add(decoder.rest)
            decoder.rest = b""
            self.state = Input.COMMAND

    def _chunk_data(self, events: list[Event]) -> bool:
        """Read octets of a chunk; False when more must come."""
        if self._chunk_left:
            data = self._framer.take(self._chunk_left)
            self._chunk_left -= len(data)
            data = self._chunk_decoder.feed(data)
            if data:
                events.append(MessageData(data))
        if self._chunk_left:
            return False
        decoder = self._chunk_decoder
        chunk = self._chunk
        if chunk.last:
            self._chunk_decoder = NewlineDecoder(self.bare_newline)
            if lacking := decoder.finish():
                events.append(MessageData(lacking))
        events.append(ChunkEnd(chunk.size, chunk.last, decoder.bare_newline))
        # Whether the message goes on is the server's to say: a chunk that it refused must leave nothing to the next.
        self.state = Input.COMMAND if chunk.last else Input.PAUSED
        return chunk.last
