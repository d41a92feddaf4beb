"""The mail log: Postfix-shaped lines, or the same events as JSON, to a file, to syslog or to standard error.

Owns the timestamp, host, tag and pid of each line and the neutralising of control characters. The text of a line is
its author's; ``docs/`` and the log contract fix the shapes that log readers match.

Guarantees: a line is written by one ``write`` on an ``O_APPEND`` file, so lines of several processes never mix; a
line from inside a running event loop is written at the end of that loop's current turn, together with its
neighbours. Order within a process is kept.

Fails by counting: a sink that cannot be written to loses lines, never mail; ``lost`` says how many.

Follows postlogd(8), maillog_file and syslog_facility of postconf(5), RFC 3164 for the syslog datagram.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import socket
import stat
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, runtime_checkable

LEVELS = {"info": 6, "warning": 4, "error": 3, "fatal": 2, "panic": 2}
"""Severity of each level (RFC 3164 section 4.1.1), as Postfix's msg_syslog maps them."""

FACILITIES = {
    "kern": 0, "user": 1, "mail": 2, "daemon": 3, "auth": 4, "security": 4, "syslog": 5, "lpr": 6, "news": 7, "uucp": 8,
    "cron": 9, "authpriv": 10, "ftp": 11, "local0": 16, "local1": 17, "local2": 18, "local3": 19, "local4": 20,
    "local5": 21, "local6": 22, "local7": 23,
}  # fmt: skip
"""Numbers of syslog_facility's names (RFC 3164 section 4.1.1)."""

_FLUSH_BYTES = 64 * 1024


class MailLog(Protocol):
    """A sink for log events."""

    def write(self, level: str, tag: str, text: str, event: dict[str, object]) -> None:
        """Take one event. Never raises, never blocks for long."""
        ...

    def flush(self) -> None:
        """Write what is still held back."""
        ...

    def reopen(self) -> None:
        """Open the file again, after it was rotated."""
        ...


@runtime_checkable
class DetailLog(MailLog, Protocol):
    """A sink that also keeps what no log line has (``runtime.trace``)."""

    def detail(self, tag: str, text: str, event: dict[str, object]) -> None:
        """Take one event. Never raises, never blocks for long."""
        ...


class ServiceLog:
    """A sink seen from one service: ``ServiceLog(sink, "postfix/smtpd").info("4F2A: removed")``.

    ``tag`` is ``postfix/smtpd`` (the line then shows ``postfix/smtpd[pid]:``), or carries a colon, as Dovecot's
    ``dovecot: imap-login`` does (the line then shows the tag as it is). ``detailed`` tells whether somebody keeps what
    ``detail`` is given: only then is it worth putting together.
    """

    __slots__ = ("_details", "sink", "tag")

    def __init__(self, sink: MailLog, tag: str) -> None:
        self.sink = sink
        self.tag = tag
        self._details = sink if isinstance(sink, DetailLog) else None

    @property
    def detailed(self) -> bool:
        """Details are kept."""
        return self._details is not None

    def detail(self, text: str, **event: object) -> None:
        """Say what belongs to a message's history and not into the log."""
        if self._details is not None:
            self._details.detail(self.tag, text, event)

    def child(self, tag: str) -> ServiceLog:
        """The same sink under another tag."""
        return ServiceLog(self.sink, tag)

    def info(self, text: str, **event: object) -> None:
        """Log an ordinary event; ``event`` is what JSON shows beside the text."""
        self.sink.write("info", self.tag, text, event)

    def warning(self, text: str, **event: object) -> None:
        """Log ``warning: text``."""
        self.sink.write("warning", self.tag, "warning: " + text, event)

    def error(self, text: str, **event: object) -> None:
        """Log ``error: text``."""
        self.sink.write("error", self.tag, "error: " + text, event)

    def fatal(self, text: str, **event: object) -> None:
        """Log ``fatal: text``. Ending the process is the caller's affair."""
        self.sink.write("fatal", self.tag, "fatal: " + text, event)

    def panic(self, text: str, **event: object) -> None:
        """Log ``panic: text``: a fault of ours."""
        self.sink.write("panic", self.tag, "panic: " + text, event)


def printable(text: str) -> str:
    """``text`` on one line: what is not printable becomes ``?``, as in every Postfix log line."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else "?" for char in text)


class _Stamp:
    """The time of a line, formatted once a second."""

    __slots__ = ("_second", "_text")

    def __init__(self) -> None:
        self._second = -1
        self._text = ""

    def text(self) -> str:
        second = int(time.time())
        if second != self._second:
            local = time.localtime(second)
            # The day is padded with a blank: RFC 3164 section 4.1.2. %b of the C locale: Python never calls setlocale.
            self._text = time.strftime("%b ", local) + f"{local.tm_mday:2d}" + time.strftime(" %H:%M:%S", local)
            self._second = second
        return self._text


# Rendered once a tag and process: there are few of them, and each line has one.
_origins: dict[str, str] = {}
os.register_at_fork(after_in_child=_origins.clear)


def _origin(tag: str) -> str:
    origin = _origins.get(tag)
    if origin is None:
        origin = f"{tag}: " if ":" in tag else f"{tag}[{os.getpid()}]: "
        # A tag may carry an account's name, of which there is no end.
        if "(" not in tag:
            _origins[tag] = origin
    return origin


class SessionLog(ServiceLog):
    """A service's log seen from one session: each event carries ``session``, so that its lines can be told apart.

    One process serves many sessions at a time, so the pid of a line does not say whose it is.
    """

    __slots__ = ("session",)

    def __init__(self, log: ServiceLog, session: str) -> None:
        self.sink = log.sink
        self.tag = log.tag
        self._details = log._details  # noqa: SLF001 - of the same family, and asking again whether it is one is slow
        self.session = session

    def info(self, text: str, **event: object) -> None:
        """As ``ServiceLog.info``."""
        event["session"] = self.session
        self.sink.write("info", self.tag, text, event)

    def warning(self, text: str, **event: object) -> None:
        """As ``ServiceLog.warning``."""
        event["session"] = self.session
        self.sink.write("warning", self.tag, "warning: " + text, event)

    def detail(self, text: str, **event: object) -> None:
        """As ``ServiceLog.detail``."""
        if self._details is not None:
            event["session"] = self.session
            self._details.detail(self.tag, text, event)


_session_numbers = itertools.count(1)


def session_log(log: ServiceLog) -> ServiceLog:
    """The log for one session of a service; the service's own when nobody would see the difference."""
    return SessionLog(log, f"{os.getpid():x}.{next(_session_numbers):x}") if log.detailed else log


Formatter = Callable[[str, str, str, dict[str, object]], bytes]


def text_formatter(host: str) -> Formatter:
    """Lines as syslogd writes them: ``Nov 24 07:33:43 mail postfix/smtpd[123]: connect from …``."""
    stamp = _Stamp()

    def render(_level: str, tag: str, text: str, _event: dict[str, object]) -> bytes:
        line = f"{stamp.text()} {host} {_origin(tag)}{printable(text)}\n"
        return line.encode("utf-8", "replace")

    return render


def json_formatter(host: str) -> Formatter:
    """One JSON object a line: time, host, tag, pid, level, text, and the event's own fields."""
    from msgspec import json  # late: the short-lived commands log text and should not pay for it

    encoder = json.Encoder(enc_hook=str)

    def render(level: str, tag: str, text: str, event: dict[str, object]) -> bytes:
        head = {"time": time.time(), "host": host, "tag": tag, "pid": os.getpid(), "level": level, "text": text}
        try:
            return encoder.encode(head | event) + b"\n"
        except UnicodeEncodeError:  # somebody's octets that are no UTF-8
            return encoder.encode(_unicode(head | event)) + b"\n"

    return render


def _unicode(value: object) -> object:
    """``value`` with its text as Unicode has it, however deep."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {_unicode(key): _unicode(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_unicode(item) for item in value]
    return value


def _no_strangers_link(path: Path) -> int:
    """The flag that keeps root from following a link that somebody else has put in the log's place.

    Whoever may write to the log's directory could have lines, of which clients choose the words, written to any file.

    Raises:
        PermissionError: there is such a link.
    """
    if os.geteuid() != 0:
        return 0
    try:
        status = path.lstat()
    except FileNotFoundError:
        return os.O_NOFOLLOW
    if not stat.S_ISLNK(status.st_mode):
        return os.O_NOFOLLOW
    if status.st_uid != 0:
        raise PermissionError(errno.EPERM, "a link that is not root's", str(path))
    return 0


class FileLog:
    """A log file, or standard output (``maillog_file = /dev/stdout``) or standard error."""

    def __init__(self, path: Path | None, render: Formatter) -> None:
        """Write to ``path``, or to standard error when it is None. Raises OSError when it cannot be opened."""
        self._path = path
        self._render = render
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._scheduled = False
        self.lost = 0
        self._descriptor = self._open()

    def _open(self) -> int:
        if self._path is None:
            return os.dup(sys.stderr.fileno())
        if str(self._path) == "/dev/stdout":
            return os.dup(sys.stdout.fileno())
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        return os.open(self._path, flags | _no_strangers_link(self._path), 0o644)

    def write(self, level: str, tag: str, text: str, event: dict[str, object]) -> None:
        """Take one event; it is written when the event loop's turn ends, or at once outside a loop."""
        line = self._render(level, tag, text, event)
        self._held.append(line)
        self._held_bytes += len(line)
        if self._held_bytes >= _FLUSH_BYTES:
            self.flush()
        elif not self._scheduled:
            try:
                # Where nobody has imported asyncio, no loop runs: a command starts 30 ms of CPU sooner without it.
                loop = sys.modules["asyncio"].get_running_loop()
            except (KeyError, RuntimeError):
                self.flush()
            else:
                self._scheduled = True
                loop.call_soon(self._turn_ended)

    def _turn_ended(self) -> None:
        self._scheduled = False
        self.flush()

    def flush(self) -> None:
        """Write what is held back, in one system call."""
        held, self._held, self._held_bytes = self._held, [], 0
        if not held:
            return
        try:
            os.write(self._descriptor, held[0] if len(held) == 1 else b"".join(held))
        except OSError:
            self.lost += len(held)  # a full disk must not stop mail; the counter is the only witness left

    def reopen(self) -> None:
        """Open the file again, after it was rotated."""
        self.flush()
        descriptor = self._open()
        os.close(self._descriptor)
        self._descriptor = descriptor

    def close(self) -> None:
        """Flush and close."""
        self.flush()
        os.close(self._descriptor)


class SyslogLog:
    """The system logger: RFC 3164 datagrams to ``/dev/log`` with a facility, one of ``FACILITIES``."""

    def __init__(self, path: str = "/dev/log", facility: str = "mail", *, json: bool = False, host: str = "") -> None:
        self._path = path
        self._socket: socket.socket | None = None
        self._stamp = _Stamp()
        self._json = json_formatter(host) if json else None
        self._facility = FACILITIES[facility] * 8
        self.lost = 0

    def write(self, level: str, tag: str, text: str, event: dict[str, object]) -> None:
        """Send one datagram; a logger that is away loses it."""
        priority = self._facility + LEVELS[level]
        if self._json is not None:
            text = self._json(level, tag, text, event).decode()[:-1]
        line = f"<{priority}>{self._stamp.text()} {_origin(tag)}{printable(text)}".encode("utf-8", "replace")
        for _attempt in (1, 2):
            try:
                self._connected().send(line)
            except OSError:
                self.reopen()  # syslogd was restarted: its socket is a new one
            else:
                return
        self.lost += 1

    def _connected(self) -> socket.socket:
        if self._socket is None:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
            self._socket.connect(self._path)
        return self._socket

    def flush(self) -> None:
        """Nothing is held back."""

    def reopen(self) -> None:
        """Connect again at the next line."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


class MemoryLog:
    """A sink for tests: ``lines`` holds ``tag: text``, ``events`` the whole."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.events: list[tuple[str, str, str, dict[str, object]]] = []

    def write(self, level: str, tag: str, text: str, event: dict[str, object]) -> None:
        """Keep one event."""
        self.lines.append(f"{tag}: {printable(text)}")
        self.events.append((level, tag, text, event))

    def flush(self) -> None:
        """Nothing is held back."""

    def reopen(self) -> None:
        """Nothing to open."""


def open_log(maillog_file: str, log_format: str, host: str, facility: str = "mail") -> MailLog:
    """The sink that main.cf asks for: ``maillog_file`` (empty: syslog) in ``log_format`` (``text`` or ``json``).

    Raises:
        OSError: the file cannot be opened.
    """
    if maillog_file:
        render = json_formatter(host) if log_format == "json" else text_formatter(host)
        path = None if maillog_file == "/dev/stderr" else Path(maillog_file)
        if path is not None and not path.name.startswith("std"):
            with contextlib.suppress(FileExistsError):
                path.parent.mkdir(parents=True)
        return FileLog(path, render)
    return SyslogLog(facility=facility, json=log_format == "json", host=host)
