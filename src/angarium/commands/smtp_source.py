"""smtp-source(1): sends test messages over SMTP or LMTP, one after another or in parallel.

==================  =================================================================================
``-4`` ``-6``       IPv4 only, IPv6 only
``-A``              go on when the server refuses something
``-c``              show a running counter
``-C COUNT``        try so many times to connect (1)
``-d``              keep the connection for the next message
``-f`` ``-t``       the sender, the recipient (foo@hostname)
``-F FILE``         send this message, header and body; its lines end in LF
``-l LENGTH``       so many bytes of body
``-L``              LMTP
``-m COUNT``        so many messages (1)
``-M NAME``         the name for HELO and addresses
``-N``              another recipient each time, by number
``-o``              no HELO and no header
``-r COUNT``        so many recipients a message, by number
``-R`` ``-w SECS``  wait a random time up to that, or that, between messages
``-s COUNT``        so many sessions in parallel (1)
``-S SUBJECT``      a subject
``-v``              show what is said
``-T SIZE``         accepted: the TCP window
==================  =================================================================================

The operand is ``[inet:]host[:port]`` or ``unix:path``. Exit status 0; 1 for a wrong call, a server that cannot be
reached, and an answer that is not the expected one without ``-A``.
"""

from __future__ import annotations

import asyncio
import contextlib
import getopt
import os
import random
import socket
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path

from angarium.commands.trial_endpoint import Endpoint, EndpointError, family, parse_endpoint

USAGE = "usage: smtp-source [options] [inet:]host[:port] | smtp-source [options] unix:pathname"
_LINE = 64 * 1024
_WIDTH = 80
_PAUSE = 1.0
"""Seconds before another attempt to connect."""

_DEFAULT_BODY = b"".join(b"Line %d of a message for a test.\r\n" % number for number in range(1, 5))


class SourceError(Exception):
    """The run ends with this text."""


@dataclass(frozen=True, slots=True)
class SourceOptions:
    """What to send: the fields are the options of the command line."""

    place: Endpoint
    family: socket.AddressFamily = socket.AF_UNSPEC
    abort: bool = True
    counter: bool = False
    connects: int = 1
    keep: bool = False
    name: str = "localhost"
    sender: str = "foo@localhost"
    recipient: str = "foo@localhost"
    message: bytes | None = None
    length: int = 0
    lmtp: bool = False
    messages: int = 1
    numbered: bool = False
    old: bool = False
    recipients: int = 1
    random_pause: float = 0.0
    pause: float = 0.0
    sessions: int = 1
    subject: str = ""
    verbose: bool = False


def stuffed(data: bytes) -> bytes:
    """A message with LF line ends in wire form, without the final dot."""
    lines = data.split(b"\n")
    if not lines[-1]:
        lines.pop()
    return b"".join((b"." if line.startswith(b".") else b"") + line.removesuffix(b"\r") + b"\r\n" for line in lines)


def body_of(length: int) -> bytes:
    """So many bytes of text in lines; none: a few lines."""
    if not length:
        return _DEFAULT_BODY
    line = b"X" * (_WIDTH - 2) + b"\r\n"
    whole, rest = divmod(length, _WIDTH)
    return line * whole + (b"X" * (rest - 2) + b"\r\n" if rest > 2 else b"\r\n" if rest else b"")


class SmtpSource:
    """One run. ``sent`` counts the messages that were accepted, ``refused`` the answers that were not expected."""

    def __init__(self, options: SourceOptions) -> None:
        self.options = options
        self.sent = 0
        self.refused = 0
        self._left = options.messages
        self._number = 0
        self._body = body_of(options.length) if options.message is None else b""

    async def run(self) -> None:
        """Send all. Raises SourceError."""
        sessions = [asyncio.ensure_future(self._session()) for _ in range(min(self.options.sessions, self._left))]
        try:
            await asyncio.gather(*sessions)
        finally:
            for session in sessions:
                session.cancel()
            await asyncio.gather(*sessions, return_exceptions=True)

    async def _session(self) -> None:
        connection: _Connection | None = None
        first = True
        try:
            while self._left > 0:
                self._left -= 1
                if not first:
                    await self._wait()
                first = False
                if connection is None:
                    connection = await self.connect()
                if not await self._send(connection) or not self.options.keep:
                    await connection.quit()
                    connection = None
        finally:
            if connection is not None:
                await connection.quit()

    async def _wait(self) -> None:
        if self.options.random_pause:
            await asyncio.sleep(random.uniform(0, self.options.random_pause))  # noqa: S311 - no secret
        elif self.options.pause:
            await asyncio.sleep(self.options.pause)

    async def connect(self) -> _Connection:
        """A session that has said hello. Raises SourceError."""
        place = self.options.place
        for attempt in range(self.options.connects):
            try:
                if place.path:
                    reader, writer = await asyncio.open_unix_connection(place.path, limit=_LINE)
                else:
                    reader, writer = await asyncio.open_connection(
                        place.host or "localhost", place.port, limit=_LINE, family=self.options.family
                    )
            except OSError as error:
                if attempt + 1 == self.options.connects:
                    raise SourceError(f"connect: {os.strerror(error.errno) if error.errno else error}") from error
                await asyncio.sleep(_PAUSE)
                continue
            connection = _Connection(self, reader, writer)
            try:
                await connection.expect("greeting", "2")
                if not self.options.old:
                    await connection.say(f"{'LHLO' if self.options.lmtp else 'HELO'} {self.options.name}", "2")
            except BaseException:
                writer.close()
                raise
            return connection
        raise SourceError("no attempt to connect was asked for")

    async def _send(self, connection: _Connection) -> bool:
        """One message; whether the connection is good for another."""
        options = self.options
        if not await connection.say(f"MAIL FROM:<{options.sender}>", "2"):
            return await connection.say("RSET", "2")
        accepted = 0
        recipients = [self._recipient(number) for number in range(options.recipients)]
        for recipient in recipients:
            accepted += await connection.say(f"RCPT TO:<{recipient}>", "2")
        if not accepted or not await connection.say("DATA", "3"):
            return await connection.say("RSET", "2")
        connection.write(self._content(recipients[0]) + b".\r\n")
        for _ in range(accepted if options.lmtp else 1):
            if await connection.expect("end of data", "2"):
                self.sent += 1
        if options.counter:
            print(self.sent, end="\r", flush=True)
        return True

    def _recipient(self, number: int) -> str:
        if self.options.numbered:
            self._number += 1
            return f"{self._number}{self.options.recipient}"
        return f"{number + 1}{self.options.recipient}" if self.options.recipients > 1 else self.options.recipient

    def _content(self, recipient: str) -> bytes:
        options = self.options
        if options.message is not None:
            return options.message
        if options.old:
            return self._body
        unique = f"{time.time_ns():x}.{random.getrandbits(32):x}"
        header = [
            f"From: <{options.sender}>",
            f"To: <{recipient}>",
            f"Date: {formatdate(localtime=True)}",
            f"Message-Id: <{unique}@{options.name}>",
        ]
        if options.subject:
            header.append(f"Subject: {options.subject}")
        return "\r\n".join([*header, "", ""]).encode("utf-8", "surrogateescape") + self._body


class _Connection:
    """A connection to the server, in lockstep."""

    def __init__(self, source: SmtpSource, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._source = source
        self._reader = reader
        self._writer = writer

    def write(self, data: bytes) -> None:
        self._writer.write(data)

    async def say(self, command: str, expected: str) -> bool:
        """Send a command; whether the answer begins with ``expected``. Raises SourceError, without ``-A``."""
        if self._source.options.verbose:
            print(f">>> {command}", file=sys.stderr)
        self._writer.write(command.encode("utf-8", "surrogateescape") + b"\r\n")
        return await self.expect(command, expected)

    async def expect(self, what: str, expected: str) -> bool:
        """Read an answer."""
        try:
            await self._writer.drain()
            while True:
                line = (await self._reader.readuntil(b"\n")).decode("utf-8", "replace").rstrip("\r\n")
                if self._source.options.verbose:
                    print(f"<<< {line}", file=sys.stderr)
                if line[3:4] != "-":
                    break
        except (OSError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            raise SourceError(f"lost connection after {what}") from error
        if line.startswith(expected):
            return True
        self._source.refused += 1
        if self._source.options.abort:
            raise SourceError(f"bad reply to {what}: {line}")
        return False

    async def quit(self) -> None:
        """End the session politely, whatever the server says to it."""
        with contextlib.suppress(SourceError, OSError):
            await self.say("QUIT", "2")
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()


def read_options(pairs: Sequence[tuple[str, str]], place: Endpoint) -> SourceOptions:
    """The options. Raises ValueError for a number that is none, OSError for ``-F``."""
    chosen = dict(pairs)
    name = chosen.get("-M") or socket.gethostname()
    message = stuffed(Path(chosen["-F"]).read_bytes()) if "-F" in chosen else None
    return SourceOptions(
        place,
        family(set(chosen)),
        abort="-A" not in chosen,
        counter="-c" in chosen,
        connects=_positive(chosen.get("-C", "1")),
        keep="-d" in chosen,
        name=name,
        sender=chosen.get("-f", f"foo@{name}").strip("<>"),
        recipient=chosen.get("-t", f"foo@{name}").strip("<>"),
        message=message,
        length=_positive(chosen["-l"]) if "-l" in chosen else 0,
        lmtp="-L" in chosen,
        messages=_positive(chosen.get("-m", "1")),
        numbered="-N" in chosen,
        old="-o" in chosen,
        recipients=_positive(chosen.get("-r", "1")),
        random_pause=float(chosen.get("-R", "0")),
        pause=float(chosen.get("-w", "0")),
        sessions=_positive(chosen.get("-s", "1")),
        subject=chosen.get("-S", ""),
        verbose="-v" in chosen,
    )


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        msg = f"bad count: {text}"
        raise ValueError(msg)
    return number


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the exit status."""
    try:
        pairs, operands = getopt.getopt(
            list(sys.argv[1:] if argv is None else argv), "46AcC:df:F:l:Lm:M:Nor:R:s:S:t:T:vw:"
        )
        if len(operands) != 1:
            print(USAGE, file=sys.stderr)
            return 1
        options = read_options(pairs, parse_endpoint(operands[0], default_port=25))
        source = SmtpSource(options)
        asyncio.run(source.run())
    except getopt.GetoptError as error:
        print(f"smtp-source: {error}\n{USAGE}", file=sys.stderr)
        return 1
    except (EndpointError, SourceError, ValueError, OSError) as error:
        print(f"smtp-source: fatal: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 1
    if options.counter:
        print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
