"""``sendmail -bs``: SMTP on standard input and output.

It is a pipe to the first smtpd service of master.cf that listens on TCP: the session has that service's rules, and
the client's address is this machine's. So a local user can do here what he could do with telnet, and no more.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import sys
from pathlib import Path

from angarium.config.config import Config
from angarium.config.error import ConfigError

EX_UNAVAILABLE = 69
_CHUNK = 64 * 1024


def smtpd_address(conf: Config) -> tuple[str, int]:
    """Host and port of the first smtpd service on TCP.

    Raises:
        LookupError: there is none.
    """
    for service in conf.master.services:
        if service.type == "inet" and service.command.split()[0] == "smtpd":
            host, _, port = service.name.rpartition(":")
            if not host:
                interfaces = conf.names("inet_interfaces")
                host = "127.0.0.1" if set(interfaces) & {"all", "loopback-only"} else interfaces[0]
            number = int(port) if port.isdigit() else socket.getservbyname(port, "tcp")
            return host.strip("[]"), number
    raise LookupError("no smtpd service in master.cf")


class Pacer:
    """Holds input back until the server may have it: a file of commands becomes a polite conversation.

    A line goes out after the reply to the one before; a message (after 354) and a chunk (after BDAT) as they come.
    """

    def __init__(self) -> None:
        self._input = bytearray()
        self._replies = bytearray()
        self._waiting = True
        self._message = False
        self._chunk = 0

    def replies(self, data: bytes) -> bytes:
        """Take what the server says; what may be sent now."""
        self._replies += data
        *lines, rest = bytes(self._replies).split(b"\n")
        self._replies = bytearray(rest)
        for line in lines:
            self._message = self._message or line.startswith(b"354")
            if line[3:4] != b"-":
                self._waiting = False
        return self._ready()

    def commands(self, data: bytes) -> bytes:
        """Take input; what may be sent now."""
        self._input += data
        return self._ready()

    @property
    def idle(self) -> bool:
        """Nothing is held back."""
        return not self._input

    def _ready(self) -> bytes:
        ready = bytearray()
        while self._input and not self._waiting:
            if self._chunk:
                piece = self._take(min(self._chunk, len(self._input)))
                self._chunk -= len(piece)
                self._waiting = not self._chunk
            else:
                feed = self._input.find(b"\n") + 1
                if not feed:
                    break
                piece = self._take(feed)
                self._line(piece)
            ready += piece
        return bytes(ready)

    def _line(self, line: bytes) -> None:
        if self._message:
            self._message = line.rstrip(b"\r\n") != b"."
            self._waiting = not self._message
            return
        words = line.upper().split()
        if len(words) > 1 and words[0] == b"BDAT" and words[1].isdigit():
            self._chunk = int(words[1])
        self._waiting = not self._chunk

    def _take(self, size: int) -> bytes:
        piece = bytes(self._input[:size])
        del self._input[:size]
        return piece


def converse(directory: str) -> int:
    """Carry bytes both ways until the server hangs up; returns the exit status."""
    try:
        conf = Config.load(Path(directory))
        connection = socket.create_connection(smtpd_address(conf), timeout=30)
    except (OSError, LookupError, ConfigError) as error:
        print(f"sendmail: fatal: {error}", file=sys.stderr)
        return EX_UNAVAILABLE
    pacer = Pacer()
    ended = False
    with connection, selectors.DefaultSelector() as selector:
        connection.settimeout(300)
        selector.register(connection, selectors.EVENT_READ)
        standard_input = sys.stdin.fileno()
        selector.register(standard_input, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj is connection:
                    data = connection.recv(_CHUNK)
                    if not data:
                        return 0
                    _write_all(sys.stdout.fileno(), data)
                    _send(connection, pacer.replies(data))
                elif data := os.read(standard_input, _CHUNK):
                    _send(connection, pacer.commands(data))
                else:
                    selector.unregister(standard_input)
                    ended = True
            if ended and pacer.idle:
                with contextlib.suppress(OSError):  # the server may have hung up; what it said is still to be read
                    connection.shutdown(socket.SHUT_WR)
                ended = False


def _send(connection: socket.socket, data: bytes) -> None:
    """Send; a server that has hung up has said why, and that is still to be read."""
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        connection.sendall(data)


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
