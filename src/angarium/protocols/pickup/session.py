"""The records, as pickup reads them: bytes in, events out.

States: ``ENVELOPE`` (from ``V`` to the first data record), ``DATA``, ``DONE``. Bounded: a record has a limit by its
kind, a submission has ``RECIPIENT_LIMIT`` recipients at most, and ``ENVELOPE_LIMIT`` bytes before its data. Anything
else than the grammar is a ``PickupError``.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace

from angarium.model.envelope import BodyType, Notify, Ret
from angarium.protocols.pickup import frames

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


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of the message."""

    data: bytes


@dataclass(frozen=True, slots=True)
class End:
    """The submission is whole."""

    submission: Submission


Event = Piece | End


class _State(enum.Enum):
    VERSION = enum.auto()
    ENVELOPE = enum.auto()
    DATA = enum.auto()
    DONE = enum.auto()


class PickupSession:
    """Reads one submission."""

    def __init__(self) -> None:
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
            event = self._record(kind, bytes(buffer[position + frames.HEADER : stop]))
            if event is not None:
                events.append(event)
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
        limit = frames.DATA_LIMIT if kind == frames.DATA else frames.ATTRIBUTE_LIMIT
        if not 0 <= length <= limit:
            raise PickupError(f"a bad length: {digits!r}")
        return length

    def _record(self, kind: bytes, payload: bytes) -> Event | None:
        if self._state is _State.VERSION:
            if kind != frames.VERSION_RECORD or payload != frames.VERSION:
                raise PickupError("not a submission of this version")
            self._state = _State.ENVELOPE
            return None
        if self._state is _State.DONE:
            raise PickupError("a record after the end")
        if kind == frames.DATA:
            self._state = _State.DATA
            return Piece(payload)
        if kind == frames.END:
            self._state = _State.DONE
            return End(replace(self._submission, recipients=tuple(self._recipients)))
        if self._state is not _State.ENVELOPE:
            raise PickupError("an envelope record after data")
        self._attribute(kind, payload)
        return None

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
    if kind == frames.NOTIFY:
        return replace(submission, notify=Notify(int(text) & 15))
    if kind == frames.RETURN:
        return replace(submission, ret=Ret(text))
    if kind == frames.BODY_TYPE:
        return replace(submission, body=BodyType(text))
    raise ValueError("an unknown kind")
