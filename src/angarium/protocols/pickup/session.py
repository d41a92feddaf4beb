"""The records, as pickup reads them: bytes in, events out.

States: ``ENVELOPE`` (from ``V`` to the first data record), ``DATA``, ``DONE``. Bounded: a record has a limit by its
kind, a submission has ``RECIPIENT_LIMIT`` recipients at most, and ``ENVELOPE_LIMIT`` bytes before its data. Anything
else than the grammar is a ``PickupError``.

A client that has to start fast leaves it to us to read its command line (``ARGUMENTS``, once, in place of all other
envelope records) and its standard input (``INPUT`` in place of ``DATA``).
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace

from angarium.model.envelope import BodyType, Notify, Ret
from angarium.protocols.pickup import frames
from angarium.protocols.pickup.commandline import CommandLineError, parse
from angarium.protocols.pickup.reading import InputReader

RECIPIENT_LIMIT = 100_000

ENVELOPE_LIMIT = 8 * 1024 * 1024
"""Bytes of all envelope records: more than a command line can have."""


class PickupError(Exception):
    """The submission is not in the grammar."""


@dataclass(frozen=True, slots=True)
class Submission:
    """What the sendmail command was asked to do.

    Attributes:
        sender: ``-f``; None: the user who runs it.
        full_name: ``-F``; None: the user's.
        recipients: of the command line.
        extract: ``-t``: and those of the message's headers.
        verify: ``-bv``: deliver nothing, report.
        notify: ``-N``.
        ret: ``-R``.
        envid: ``-V``.
        body: ``-B``.
        gateway: ``-G``: its headers are those of a stranger.
        report: ``-v``: a report by mail of the first attempt.
        notes: what the client is to say on standard error.
        verp: the delimiters of ``-XV``, empty for the usual ones; None without.
    """

    sender: str | None = None
    full_name: str | None = None
    recipients: tuple[str, ...] = ()
    extract: bool = False
    verify: bool = False
    notify: Notify = Notify.UNSAID
    ret: Ret = Ret.UNSAID
    envid: str = ""
    body: BodyType = BodyType.UNSAID
    gateway: bool = False
    report: bool = False
    notes: tuple[str, ...] = ()
    verp: str | None = None


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of the message."""

    data: bytes


@dataclass(frozen=True, slots=True)
class End:
    """The submission is whole."""

    submission: Submission


class Ask(enum.Enum):
    """What a question is about."""

    MAY_LIST = "l"
    FLUSH = "f"
    FLUSH_ONE = "i"
    FLUSH_SITE = "s"
    COLLECT = "w"


@dataclass(frozen=True, slots=True)
class Question:
    """What a user asks who has no access to the queue: whether he may see it, and that it be flushed.

    Attributes:
        about: what.
        name: the queue id, or the site.
    """

    about: Ask
    name: str = ""


Event = Piece | End | Question


class _State(enum.Enum):
    VERSION = enum.auto()
    ENVELOPE = enum.auto()
    DATA = enum.auto()
    DONE = enum.auto()


class PickupSession:
    """Reads one submission.

    Args:
        line_endings: sendmail_fix_line_endings, for standard input.

    Attributes:
        command_line: the client has sent its command line, and is to be told how to end.
    """

    def __init__(self, line_endings: str = "always") -> None:
        self._line_endings = line_endings
        self._reader: InputReader | None = None
        self._name: str | None = None
        self.command_line = False
        self._state = _State.VERSION
        self._buffer = bytearray()
        self._submission = Submission()
        self._recipients: list[str] = []
        self._envelope_size = 0

    @property
    def done(self) -> bool:
        """The end has been read."""
        return self._state is _State.DONE

    def receive_data(self, data: bytes) -> list[Event]:
        """Take bytes, give what they complete.

        Raises:
            PickupError: not in the grammar, beyond a limit, or bytes after the end.
            CommandLineError: the words of ``ARGUMENTS`` make no call of the command.
        """
        self._buffer += data
        events: list[Event] = []
        position = 0
        buffer = self._buffer
        while len(buffer) - position >= frames.HEADER:
            kind = bytes(buffer[position : position + 1])
            length = self._length(kind, bytes(buffer[position + 1 : position + frames.HEADER]))
            stop = position + frames.HEADER + length
            if len(buffer) < stop:
                break
            events += self._record(kind, bytes(buffer[position + frames.HEADER : stop]))
            position = stop
        del buffer[:position]
        if self.done and buffer:
            raise PickupError("bytes after the end")
        return events

    @staticmethod
    def _length(kind: bytes, digits: bytes) -> int:
        try:
            length = int(digits, 16) if digits.isalnum() else -1
        except ValueError:
            length = -1
        limit = frames.DATA_LIMIT if kind in (frames.DATA, frames.INPUT, frames.ARGUMENTS) else frames.ATTRIBUTE_LIMIT
        if not 0 <= length <= limit:
            raise PickupError(f"a bad length: {digits!r}")
        return length

    def _record(self, kind: bytes, payload: bytes) -> list[Event]:
        if self._state is _State.VERSION:
            if kind != frames.VERSION_RECORD or payload != frames.VERSION:
                raise PickupError("not a submission of this version")
            self._state = _State.ENVELOPE
            return []
        if self._state is _State.DONE:
            raise PickupError("a record after the end")
        if kind == (frames.INPUT if self.command_line else frames.DATA):
            self._state = _State.DATA
            return [Piece(payload)] if self._reader is None else _pieces(self._reader.feed(payload))
        if kind == frames.END:
            self._state = _State.DONE
            rest = [] if self._reader is None else _pieces(self._reader.finish())
            return [*rest, End(replace(self._submission, recipients=tuple(self._recipients)))]
        if self._state is not _State.ENVELOPE:
            raise PickupError("an envelope record after data")
        if kind == frames.QUESTION and not self._envelope_size and not self.command_line:
            self._state = _State.DONE
            return [_question(payload.decode("utf-8", "surrogateescape"))]
        if kind == frames.NAME and not self.command_line:
            self._name = payload.decode("utf-8", "surrogateescape")
        elif kind == frames.ARGUMENTS and not self.command_line and not self._recipients:
            self.command_line = True
            self._arguments(payload)
        elif self.command_line:
            raise PickupError("an envelope record beside a command line")
        else:
            self._attribute(kind, payload)
        return []

    def _arguments(self, payload: bytes) -> None:
        words = payload.decode("utf-8", "surrogateescape").split("\0")[:-1]
        request = parse(words, self._name)
        if request.mode != "m" or request.report or len(request.recipients) > RECIPIENT_LIMIT:
            raise CommandLineError("no submission")  # the client knows better than to ask
        self._recipients = request.recipients
        self._reader = InputReader(dots=request.dots, line_endings=self._line_endings)
        self._submission = Submission(
            sender=request.sender,
            full_name=request.full_name,
            extract=request.extract,
            notify=Notify(request.notify),
            ret=Ret(request.ret),
            envid=request.envid,
            body=BodyType(request.body),
            gateway=request.gateway,
            notes=tuple(request.notes),
            verp=request.verp,
        )

    def _attribute(self, kind: bytes, payload: bytes) -> None:
        self._envelope_size += frames.HEADER + len(payload)
        if self._envelope_size > ENVELOPE_LIMIT:
            raise PickupError("too much envelope")
        text = payload.decode("utf-8", "surrogateescape")
        if kind == frames.RECIPIENT:
            if len(self._recipients) >= RECIPIENT_LIMIT:
                raise PickupError("too many recipients")
            self._recipients.append(text)
            return
        try:
            self._submission = _with(self._submission, kind, text)
        except ValueError as error:
            raise PickupError(f"a bad record: {kind!r}") from error


def _question(text: str) -> Question:
    try:
        return Question(Ask(text[:1]), text[1:])
    except ValueError as error:
        raise PickupError("an unknown question") from error


def _pieces(data: bytes) -> list[Event]:
    return [Piece(data)] if data else []


def _with(submission: Submission, kind: bytes, text: str) -> Submission:
    if kind == frames.SENDER:
        return replace(submission, sender=text)
    if kind == frames.FULL_NAME:
        return replace(submission, full_name=text)
    if kind == frames.ENVELOPE_ID:
        return replace(submission, envid=text)
    if kind == frames.EXTRACT:
        return replace(submission, extract=True)
    if kind == frames.VERIFY:
        return replace(submission, verify=True)
    if kind == frames.VERP:
        return replace(submission, verp=text)
    if kind == frames.GATEWAY:
        return replace(submission, gateway=True)
    if kind == frames.REPORT:
        return replace(submission, report=True)
    if kind == frames.NOTIFY:
        return replace(submission, notify=Notify(int(text) & 15))
    if kind == frames.RETURN:
        return replace(submission, ret=Ret(text))
    if kind == frames.BODY_TYPE:
        return replace(submission, body=BodyType(text))
    raise ValueError("an unknown kind")
