"""The event store of ``angarium trace``: what the log says and the details behind it, kept for a while beside the log.

Owns ``trace_directory``: segments ``trace.00000001`` …, one record a line: ``[time, pid, tag, text, event]`` in JSON.
``TracedLog`` stands before the mail log and stores each event that passes; ``ServiceLog.detail`` stores what no log
line has: which rule permitted a recipient, which table made one address of another, the way that was chosen.

Guarantees: the store never grows beyond ``trace_size_limit``, by more than one segment for each process that writes;
records of several processes never mix (one ``write`` on an ``O_APPEND`` file). A segment that is full is left for the
next one by whoever finds it full, and the oldest go; no process waits for another.

Fails by counting: records are written up to a quarter of a second late, and those of a process that is killed, or that
cannot be written, are lost; ``lost`` counts the latter. Mail and its log never wait for the store, nor fail with it.

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
"""How many segments ``trace_size_limit`` is divided into."""

_SMALLEST_SEGMENT = 64 * 1024
_FLUSH_BYTES = 64 * 1024
_FLUSH_SECONDS = 0.25
_NAME = re.compile(r"trace\.(\d{8})")
_OPEN = os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


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
        while (match := pattern.search(data, at)) is not None:
            start = data.rfind(b"\n", 0, match.start()) + 1
            at = data.find(b"\n", match.start()) + 1 or len(data)
            try:
                record = Record(*decoder.decode(data[start:at]))
            except DecodeError:
                continue  # the last record of a disk that was full
            if record.time >= since:
                yield record


class TraceStore:
    """Takes records.

    Args:
        directory: ``trace_directory``; made when it is not there, but never by root for another.
        size_limit: ``trace_size_limit``, octets.
    """

    def __init__(self, directory: Path, size_limit: int) -> None:
        from msgspec import json  # late: the short-lived commands log text and should not pay for it

        self._encoder = json.Encoder(enc_hook=str)
        self._directory = directory
        self._segment_size = max(size_limit // SEGMENTS, _SMALLEST_SEGMENT)
        self._keep = max(size_limit // self._segment_size, 2)
        self._pid = os.getpid()
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._waiting_in: asyncio.AbstractEventLoop | None = None
        self._descriptor = -1
        self._number = 0
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
        held.append(b"")
        try:
            self._make_room()
            os.write(self._descriptor, b"\n".join(held))
        except OSError:
            self.lost += len(held) - 1

    def close(self) -> None:
        """Flush and close."""
        self.flush()
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _make_room(self) -> None:
        """See to it that the open segment is one that is not full. Raises OSError."""
        if self._descriptor < 0:
            self._open_last()
        if self._descriptor >= 0 and os.fstat(self._descriptor).st_size < self._segment_size:
            return
        # Others come here too, at the same size of the same file, and open the same next one.
        self._open(self._number + 1, create=True)
        for path in segments(self._directory)[: -self._keep]:
            with contextlib.suppress(FileNotFoundError):
                path.unlink()

    def _open_last(self) -> None:
        if not self._foreign():
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        known = segments(self._directory)
        if known:
            self._open(int(known[-1].name.rpartition(".")[2]), create=False)

    def _foreign(self) -> bool:
        """The directory is another's, or is yet to be made by him: we are root, and make nothing in it."""
        if os.geteuid() != 0:
            return False
        try:
            return self._directory.stat().st_uid != 0
        except FileNotFoundError:
            return self._directory.parent.stat().st_uid != 0

    def _open(self, number: int, *, create: bool) -> None:
        if create and self._foreign():
            raise PermissionError(f"{self._directory} is its owner's to grow")
        flags = _OPEN | (os.O_CREAT if create else 0)
        descriptor = os.open(self._directory / f"trace.{number:08d}", flags, 0o600)
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
            os.close(descriptor)
            raise PermissionError(f"{self._directory}/trace.{number:08d} is no plain file with one name")
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = descriptor
        self._number = number


def _unicode(value: object) -> object:
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value


class TracedLog:
    """The mail log with the event store beside it."""

    @classmethod
    def of(cls, conf: Config, sink: MailLog) -> MailLog:
        """As main.cf has it: ``sink`` alone with ``trace_enable = no``. Raises ConfigError."""
        if not conf.boolean("trace_enable"):
            return sink
        return cls(sink, TraceStore(Path(conf.text("trace_directory")), conf.integer("trace_size_limit")))

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
