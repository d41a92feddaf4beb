"""The event store of ``angarium trace``: what the log says and the details behind it, kept for a while beside the log.

Owns ``trace_directory``: segments ``trace.00000001`` …, one record a line: ``[time, pid, tag, text, event]`` in JSON.
``TracedLog`` stands before the mail log and stores each event that passes; ``ServiceLog.detail`` stores what no log
line has: which rule permitted a recipient, which table made one address of another, the way that was chosen.

Guarantees: the store never grows beyond ``trace_size_limit``, by more than one segment for each process that writes;
records of several processes never mix (one ``write`` on an ``O_APPEND`` file). A segment that is full, or was begun a
sixteenth of ``trace_lifetime`` ago, is left for the newest one by whoever finds it so, and the oldest go; no process
waits for another. One that has slept while others went on, or whose segment was removed, goes on where they are.

Fails by counting: records are written up to a quarter of a second late, and those of a process that is killed, or that
cannot be written, are lost; ``lost`` counts the latter. Mail and its log never wait for the store, nor fail with it.
A clock that jumps makes segments old that are not; what remains is still bounded by the size.

Root follows no link here and writes to no file but a plain one with one name: the directory is another user's.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from angarium.config.config import Config
from angarium.runtime.log import MailLog

if TYPE_CHECKING:
    import asyncio

SEGMENTS = 16
"""How many segments ``trace_size_limit`` is divided into, and ``trace_lifetime``."""

_SMALLEST_SEGMENT = 64 * 1024
_FLUSH_BYTES = 64 * 1024
_FLUSH_SECONDS = 0.25
_END_OF_TIME = 2.0**36
"""Later, in the fifth millennium, is damage."""
_NAME = re.compile(r"trace\.(\d{8})")
_BEGUN = re.compile(rb"\[(\d+)")
_OPEN = os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Record:
    """One event.

    Attributes:
        time: seconds since the epoch.
        pid: of the process.
        tag: of the log: ``postfix/smtpd``.
        text: as the log has it, without time, host and tag.
        event: the fields beside the text: ``queue_id``, ``session``, ``source`` …
    """

    time: float
    pid: int
    tag: str
    text: str
    event: dict[str, object]


def segments(directory: Path) -> list[Path]:
    """The segments, oldest first. Raises OSError when the directory cannot be read; a missing one has none."""
    try:
        return sorted(path for path in directory.iterdir() if _NAME.fullmatch(path.name))
    except FileNotFoundError:
        return []


def search(directory: Path, pattern: re.Pattern[bytes], since: float = 0.0) -> Iterator[Record]:
    """The records whose line ``pattern`` matches, from ``since`` on, in no order among processes.

    Raises:
        OSError: a segment cannot be read.
    """
    from msgspec import DecodeError, json  # late: the log's users should not pay for the reader

    decoder = json.Decoder(tuple[float, int, str, str, dict[str, object]])
    for path in segments(directory):
        try:
            if path.stat().st_mtime < since:
                continue
            data = path.read_bytes()
        except FileNotFoundError:
            continue  # the oldest go while we read
        at = 0
        while at < len(data) and (match := pattern.search(data, at)) is not None:
            start = data.rfind(b"\n", 0, match.start()) + 1
            at = data.find(b"\n", match.start()) + 1 or len(data)
            try:
                record = Record(*decoder.decode(data[start:at]))
            except DecodeError:
                continue  # the last record of a disk that was full
            if since <= record.time < _END_OF_TIME:
                yield record


class TraceStore:
    """Takes records.

    Args:
        directory: ``trace_directory``; made when it is not there, but never by root for another.
        size_limit: ``trace_size_limit``, octets.
        lifetime: ``trace_lifetime``, seconds; 0: age does not matter.
    """

    def __init__(self, directory: Path, size_limit: int, lifetime: float = 0.0) -> None:
        from msgspec import json  # late: the short-lived commands log text and should not pay for it

        self._encoder = json.Encoder(enc_hook=str)
        self._directory = directory
        self._segment_size = max(size_limit // SEGMENTS, _SMALLEST_SEGMENT)
        self._room_for_old = max(size_limit - self._segment_size, self._segment_size)
        self._lifetime = lifetime
        self._pid = os.getpid()
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._waiting_in: asyncio.AbstractEventLoop | None = None
        self._descriptor = -1
        self._full = 0
        self._old_at = 0.0
        self._torn = False
        self.lost = 0

    def add(self, tag: str, text: str, event: dict[str, object]) -> None:
        """Take one record; never raises."""
        record = (time.time(), self._pid, tag, text, event)
        try:
            line = self._encoder.encode(record)
        except UnicodeEncodeError:  # somebody's octets that are no UTF-8
            line = self._encoder.encode((*record[:3], _unicode(text), {key: _unicode(event[key]) for key in event}))
        self._held.append(line)
        self._held_bytes += len(line)
        if self._held_bytes >= _FLUSH_BYTES:
            self.flush()
            return
        if self._waiting_in is not None:
            return
        try:
            loop = sys.modules["asyncio"].get_running_loop()  # nobody has imported it: no loop runs
        except (KeyError, RuntimeError):
            self.flush()
        else:
            self._waiting_in = loop
            loop.call_later(_FLUSH_SECONDS, self._time_is_up)

    def _time_is_up(self) -> None:
        self._waiting_in = None
        self.flush()

    def flush(self) -> None:
        """Write what is held back; never raises."""
        held, self._held, self._held_bytes = self._held, [], 0
        if self._waiting_in is not None and self._waiting_in.is_closed():
            self._waiting_in = None
        if not held:
            return
        data = b"\n" * self._torn + b"\n".join((*held, b""))  # first the end of what the last write has cut off
        try:
            self._make_room()
            written = os.write(self._descriptor, data)
        except OSError:
            written = 0
        if written < len(data):
            self._torn = self._torn or written > 0
            self.lost += min(len(held), data.count(b"\n", written))
        else:
            self._torn = False

    def close(self) -> None:
        """Flush and close."""
        self.flush()
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _make_room(self) -> None:
        """See to it that the open segment is there, and is neither full nor old. Raises OSError."""
        if self._descriptor >= 0:
            status = os.fstat(self._descriptor)
            if status.st_nlink and status.st_size < self._full and time.time() < self._old_at:
                return
        foreign = self._foreign()
        if not foreign:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        known = segments(self._directory)
        number = int(known[-1].name.rpartition(".")[2]) if known else 0
        # Others come here too, find the same newest one full, and open the same next one. The owner does that for root.
        if known and self._open(number, 2 * self._segment_size if foreign else self._segment_size):
            return
        if foreign:
            raise PermissionError(f"{self._directory} is its owner's to grow")
        self._open(number + 1, self._segment_size, create=True)
        self._forget_oldest()

    def _forget_oldest(self) -> None:
        before = time.time() - self._lifetime if self._lifetime else 0.0
        held = 0
        for path in segments(self._directory)[-2::-1]:  # all but the one just begun
            with contextlib.suppress(FileNotFoundError):
                status = path.stat()
                held += status.st_size
                if held > self._room_for_old or status.st_mtime < before:
                    path.unlink()

    def _foreign(self) -> bool:
        """The directory is another's, or is yet to be made by him: we are root, and make nothing in it."""
        if os.geteuid() != 0:
            return False
        try:
            return self._directory.stat().st_uid != 0
        except FileNotFoundError:
            return self._directory.parent.stat().st_uid != 0

    def _open(self, number: int, full: int, *, create: bool = False) -> bool:
        """Have this segment open; False when it is full or old. Raises OSError."""
        flags = _OPEN | (os.O_CREAT if create else 0)
        descriptor = os.open(self._directory / f"trace.{number:08d}", flags, 0o600)
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
            os.close(descriptor)
            raise PermissionError(f"{self._directory}/trace.{number:08d} is no plain file with one name")
        now = time.time()
        begun = _BEGUN.match(os.pread(descriptor, 32, 0)) if self._lifetime else None
        old_at = (float(begun[1]) if begun else now) + self._lifetime / SEGMENTS if self._lifetime else float("inf")
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor, self._full, self._old_at = descriptor, full, old_at
        return status.st_size < full and now < old_at


def _unicode(value: object) -> object:
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value


def _store(conf: Config) -> TraceStore:
    return TraceStore(
        Path(conf.text("trace_directory")), conf.integer("trace_size_limit"), conf.seconds("trace_lifetime")
    )


class TracedLog:
    """The mail log with the event store beside it."""

    @classmethod
    def of(cls, conf: Config, sink: MailLog) -> MailLog:
        """As main.cf has it: ``sink`` alone with ``trace_enable = no``. Raises ConfigError."""
        if not conf.boolean("trace_enable"):
            return sink
        return cls(sink, _store(conf))

    def __init__(self, sink: MailLog, store: TraceStore) -> None:
        self._sink = sink
        self._store = store

    def write(self, level: str, tag: str, text: str, event: dict[str, object]) -> None:
        """Take one event, for both."""
        self._sink.write(level, tag, text, event)
        self._store.add(tag, text, event)

    def detail(self, tag: str, text: str, event: dict[str, object]) -> None:
        """Take what only the store has."""
        self._store.add(tag, text, event)

    def flush(self) -> None:
        """Write what is still held back."""
        self._sink.flush()
        self._store.flush()

    def reopen(self) -> None:
        """Open the log file again, after it was rotated."""
        self._sink.reopen()
