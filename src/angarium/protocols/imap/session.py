r"""One connection's protocol: bytes in, events out, in the order in which the client may expect answers.

Use: ``receive_data(data)``, then ``next_event()`` until it returns None, acting on each event before the next is asked
for. Events are pulled and not returned in a list, because what the following bytes mean depends on what was done: after
``AUTHENTICATE`` they are a SASL response, after ``IDLE`` they are ``DONE``, after ``STARTTLS`` they must not count.

The owner sets ``state`` (which commands are valid), ``utf8`` and the literal bounds; it answers an ``AppendLiteral`` by
``accept_message()`` or ``refuse_message()``, and says ``expect_sasl()`` and ``expect_done()``.

One bad command costs one command: it yields ``BadCommand``, and the next event is the next command's.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from angarium.protocols.imap.cursor import Cursor
from angarium.protocols.imap.errors import ImapSyntaxError
from angarium.protocols.imap.framing import CommandFramer, Flood, Line, LiteralAhead, LiteralData, OverlongLine
from angarium.protocols.imap.parser import parse_append, parse_append_message, parse_arguments, parse_tag, parse_verb
from angarium.protocols.imap.states import COMMANDS, State
from angarium.protocols.imap.types import Append, AppendMessage, Command

UNTAGGED = b"*"


@dataclass(frozen=True, slots=True)
class CommandReceived:
    """A whole, well-formed command that is valid in the present state."""

    command: Command


@dataclass(frozen=True, slots=True)
class BadCommand:
    """A command that is answered ``tag BAD text``; ``tag`` is ``*`` when it could not be read.

    ``unknown`` when it does not even begin like IMAP: a few of those are enough to hang up.
    """

    tag: bytes
    text: str
    unknown: bool = False


@dataclass(frozen=True, slots=True)
class LiteralWanted:
    """A synchronising literal that is held in memory was accepted: the owner sends ``+ OK``."""


@dataclass(frozen=True, slots=True)
class AppendLiteral:
    """A message of an APPEND is announced; ``command`` with the first one, None with those after (RFC 3502)."""

    command: Append | None
    message: AppendMessage
    synchronising: bool


@dataclass(frozen=True, slots=True)
class MessageData:
    """A piece of the message that was accepted; ``last`` with its final one."""

    data: bytes
    last: bool


@dataclass(frozen=True, slots=True)
class AppendComplete:
    """The APPEND is whole: store what was collected."""


@dataclass(frozen=True, slots=True)
class SaslResponse:
    """A line of an AUTHENTICATE exchange, without its CRLF."""

    data: bytes

    def __repr__(self) -> str:
        return "SaslResponse(...)"


@dataclass(frozen=True, slots=True)
class IdleDone:
    """The line that ends IDLE; ``clean`` when it is DONE."""

    clean: bool


@dataclass(frozen=True, slots=True)
class HangUp:
    """Nothing sensible can follow: say BYE with this text and close."""

    text: str


Event = (
    CommandReceived
    | BadCommand
    | LiteralWanted
    | AppendLiteral
    | MessageData
    | AppendComplete
    | SaslResponse
    | IdleDone
    | HangUp
)


class _Expect(enum.Enum):
    COMMAND = "command"
    SASL = "sasl"
    DONE = "done"
    APPEND = "append"


class ImapSession:
    """The protocol's state of one connection.

    Attributes:
        state: which commands are valid.
        utf8: ENABLE UTF8=ACCEPT was given.
        literal_limit: bytes that the held literals of one command may have in all.
        skip_limit: bytes of an unwanted literal that are skipped rather than hung up on.
    """

    __slots__ = ("_ahead", "_expect", "_framer", "_held", "_tag", "literal_limit", "skip_limit", "state", "utf8")

    def __init__(self, *, line_limit: int = 65536, literal_limit: int = 8192, skip_limit: int = 1 << 20) -> None:
        self.state = State.NOT_AUTHENTICATED
        self.utf8 = False
        self.literal_limit = literal_limit
        self.skip_limit = skip_limit
        self._framer = CommandFramer(line_limit)
        self._expect = _Expect.COMMAND
        self._held = 0
        self._tag = b""
        self._ahead: LiteralAhead | None = None

    @property
    def buffered(self) -> int:
        """Bytes received and not used up."""
        return self._framer.buffered

    @property
    def in_command(self) -> bool:
        """Whether a command has begun and is not complete."""
        return self._framer.in_command or self._expect is _Expect.APPEND

    def receive_data(self, data: bytes) -> None:
        """Take what the client sent; ask ``next_event`` then."""
        self._framer.receive(data)

    def discard_input(self) -> int:
        """Forget what came before TLS; the number of bytes."""
        return len(self._framer.take_rest())

    def expect_sasl(self) -> None:
        """The next line is a SASL response."""
        self._expect = _Expect.SASL

    def expect_done(self) -> None:
        """The next line is the end of IDLE."""
        self._expect = _Expect.DONE

    def accept_message(self) -> None:
        """Take the message that ``AppendLiteral`` announced, as ``MessageData``."""
        self._framer.stream()
        self._expect = _Expect.APPEND

    def refuse_message(self) -> HangUp | None:
        """Do without it; the command is over. The client's copy is skipped, unless it is too large for that."""
        ahead = self._ahead
        assert ahead is not None
        self._expect = _Expect.COMMAND
        if not ahead.synchronising and ahead.size > self.skip_limit:
            return HangUp("Literal too large")
        self._framer.refuse()
        return None

    def abort_append(self) -> None:
        """The APPEND has failed after a message of it came: skip what is left of the command."""
        self._framer.skip_command()
        self._expect = _Expect.COMMAND

    def next_event(self) -> Event | None:
        """The next event, or None when more bytes are needed."""
        while True:
            frame = self._framer.next_frame()
            if frame is None:
                return None
            event: Event | None = None
            match frame:
                case Line(segments):
                    self._held = 0
                    event = self._line(segments)
                case LiteralAhead():
                    event = self._literal(frame)
                case LiteralData(data, last):
                    return MessageData(data, last)
                case OverlongLine(start):
                    self._expect = _Expect.COMMAND
                    self._held = 0
                    return BadCommand(_tag_of(start), "Command line too long")
                case Flood():
                    return HangUp("Command line too long")
            if event is not None:
                return event

    def _line(self, segments: tuple[bytes, ...]) -> Event | None:
        expect, self._expect = self._expect, _Expect.COMMAND
        if expect is _Expect.SASL:
            return SaslResponse(segments[0]) if len(segments) == 1 else SaslResponse(b"*")
        if expect is _Expect.DONE:
            return IdleDone(segments[0].strip().upper() == b"DONE")
        if expect is _Expect.APPEND:
            if segments[0].strip() in (b"", b")"):
                return AppendComplete()
            return BadCommand(self._tag, "Junk after the message")
        if segments == (b"",):
            return None  # some clients send an empty line after a SASL exchange
        cursor = Cursor(segments)
        tag = UNTAGGED
        verb = ""
        try:
            tag = parse_tag(cursor)
            verb = parse_verb(cursor)
            valid = COMMANDS.get(verb)
            if valid is None:
                return BadCommand(tag, "Unknown command", unknown=True)
            if not self.state & valid:
                return BadCommand(tag, "Command not valid in this state")
            return CommandReceived(parse_arguments(cursor, tag, verb, utf8=self.utf8))
        except ImapSyntaxError as error:
            return BadCommand(tag, f"Error in IMAP command {verb}: {error}" if verb else str(error), unknown=not verb)

    def _literal(self, ahead: LiteralAhead) -> Event | None:
        self._ahead = ahead
        if self._expect is _Expect.APPEND:
            return self._next_message(ahead)
        segments = ahead.segments
        if self._expect is _Expect.COMMAND and _is_append_message(segments):
            return self._first_message(ahead)
        self._held += ahead.size
        if self._expect is not _Expect.COMMAND or self._held > self.literal_limit or ahead.binary:
            self._held = 0
            self._expect = _Expect.COMMAND
            return self.refuse_message() or BadCommand(_tag_of(segments[0]), "Literal too large or not allowed here")
        self._framer.hold()
        return LiteralWanted() if ahead.synchronising else None

    def _first_message(self, ahead: LiteralAhead) -> Event:
        tag = _tag_of(ahead.segments[0])
        self._held = 0
        if not self.state & COMMANDS["APPEND"]:
            return self.refuse_message() or BadCommand(tag, "Command not valid in this state")
        try:
            command, message = parse_append(ahead.segments, ahead.size, utf8=self.utf8)
            if ahead.binary != message.utf8 or (message.utf8 and not self.utf8):
                msg = "Binary literal not allowed"
                raise ImapSyntaxError(msg)
        except ImapSyntaxError as error:
            return self.refuse_message() or BadCommand(tag, f"Error in IMAP command APPEND: {error}")
        self._tag = tag
        return AppendLiteral(command, message, ahead.synchronising)

    def _next_message(self, ahead: LiteralAhead) -> Event:
        segments = ahead.segments
        if segments[0].startswith(b")"):
            segments = (segments[0][1:], *segments[1:])
        try:
            message = parse_append_message(Cursor(segments), ahead.size)
            if ahead.binary != message.utf8 or (message.utf8 and not self.utf8):
                msg = "Binary literal not allowed"
                raise ImapSyntaxError(msg)
        except ImapSyntaxError as error:
            return self.refuse_message() or BadCommand(self._tag, f"Error in IMAP command APPEND: {error}")
        return AppendLiteral(None, message, ahead.synchronising)


def _is_append_message(segments: tuple[bytes, ...]) -> bool:
    """Whether the literal behind ``segments`` is a message: the verb is APPEND, and a mailbox name was given."""
    words = segments[0].split(b" ", 2)
    return len(words) == 3 and words[1].upper() == b"APPEND" and (len(segments) > 1 or bool(words[2]))


def _tag_of(start: bytes) -> bytes:
    try:
        return parse_tag(Cursor((start.split(b" ", 1)[0],)))
    except ImapSyntaxError:
        return UNTAGGED
