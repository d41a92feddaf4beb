"""smtp-sink(1): an SMTP or LMTP server for tests that throws away what it gets, or refuses and delays as told.

===================  ==================================================================================
``-4`` ``-6``        IPv4 only, IPv6 only
``-a`` ``-8`` ``-C`` do not offer AUTH, 8BITMIME, XCLIENT
``-E`` ``-F``        do not offer ENHANCEDSTATUSCODES, XFORWARD
``-N`` ``-p``        do not offer DSN, PIPELINING
``-e`` ``-P``        no ESMTP; the greeting of a PIX, and no ESMTP
``-L``               LMTP
``-h NAME``          the name in the greeting (smtp-sink)
``-r`` ``-f LIST``   refuse these commands with a temporary, a permanent reply; both imply ``-p``
``-b`` ``-B REPLY``  those replies
``-q`` ``-Q LIST``   disconnect after these commands, without a reply, after 421
``-A SECONDS``       answer DATA, wait, answer 550 and disconnect
``-w SECONDS``       wait before the answer to DATA
``-H SECONDS``       wait before the message is read
``-W CMD:S[:ODDS]``  wait before the answer to a command, with odds a random multiple
``-d`` ``-D NAME``   write each message to a file of its own, or all to one; strftime(3) makes the name
``-S TEXT``          before each message in such a file
``-c``               show running counters
``-M`` ``-n COUNT``  end after so many messages, sessions
``-m COUNT``         so many connections at once (256)
``-t SECONDS``       how long a command may take (100)
``-s LIST`` ``-v``   log these commands; log all that is said
``-R`` ``-u``        change root and user after listening
``-T SIZE``          accepted: the TCP window
===================  ==================================================================================

Commands in lists are CONNECT, HELO, EHLO, LHLO, MAIL, RCPT, DATA, ``.``, RSET, NOOP, VRFY, QUIT. The operands are
``[inet:][host]:port`` or ``unix:path``, and a backlog. Exit status 0; 1 for a wrong call. It is a tool for tests: it
checks no syntax, and a message is kept in memory only as long as it is written.
"""

from __future__ import annotations

import asyncio
import contextlib
import getopt
import os
import random
import re
import socket
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from email.utils import formatdate
from pathlib import Path

from angarium.commands.trial_endpoint import Endpoint, EndpointError, family, parse_endpoint

USAGE = "usage: smtp-sink [options] [inet:][host]:port backlog | smtp-sink [options] unix:pathname backlog"
SOFT = "450 4.3.0 Error: command failed"
HARD = "500 5.3.0 Error: command failed"
_GONE = "421 4.0.0 Server closing connection"
_LINE = 64 * 1024
_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}

CAPABILITIES = (
    ("p", "PIPELINING"),
    ("8", "8BITMIME"),
    ("a", "AUTH PLAIN LOGIN"),
    ("C", "XCLIENT NAME HELO"),
    ("F", "XFORWARD NAME ADDR PROTO HELO"),
    ("E", "ENHANCEDSTATUSCODES"),
    ("N", "DSN"),
)
"""What is offered, unless this option is given."""

REPLIES = {
    "MAIL": "250 2.1.0 Ok",
    "RCPT": "250 2.1.5 Ok",
    ".": "250 2.0.0 Ok",
    "RSET": "250 2.1.0 Ok",
    "NOOP": "250 2.0.0 Ok",
    "VRFY": "250 2.0.0 Ok",
    "XCLIENT": "250 2.0.0 Ok",
    "XFORWARD": "250 2.0.0 Ok",
    "AUTH": "235 2.7.0 Authentication successful",
    "QUIT": "221 Bye",
}
"""Of the commands that need no more than a reply."""


@dataclass(frozen=True, slots=True)
class Delay:
    """How long an answer waits: ``seconds``, times the throws of a die of 100 until one reaches ``odds``."""

    seconds: float
    odds: int = 0

    def length(self, die: Callable[[int], int]) -> float:
        """Seconds for one answer."""
        times = 1
        while self.odds and die(100) < self.odds:
            times += 1
        return self.seconds * times


@dataclass(slots=True)
class SinkOptions:
    """What the command line says; the fields are its options."""

    hidden: set[str] = field(default_factory=set)
    esmtp: bool = True
    pix: bool = False
    lmtp: bool = False
    name: str = "smtp-sink"
    soft: set[str] = field(default_factory=set)
    hard: set[str] = field(default_factory=set)
    soft_reply: str = SOFT
    hard_reply: str = HARD
    hang_up: set[str] = field(default_factory=set)
    close: set[str] = field(default_factory=set)
    abort: float | None = None
    before_reading: float = 0.0
    delays: dict[str, Delay] = field(default_factory=dict)
    single: str = ""
    collected: str = ""
    start: str = ""
    counters: bool = False
    messages: int = 0
    sessions: int = 0
    connections: int = 256
    timeout: float = 100.0
    logged: set[str] = field(default_factory=set)
    verbose: bool = False


class SmtpSink:
    """The server. It counts: ``sessions``, ``quits``, ``messages``.

    Args:
        options: what it shall do.
        log: is told what ``-s`` and ``-v`` want to know.
    """

    def __init__(self, options: SinkOptions, log: Callable[[str], None] = print) -> None:
        self.options = options
        self.log = log
        self.sessions = 0
        self.quits = 0
        self.messages = 0
        self.finished = asyncio.Event()
        self._slots = asyncio.Semaphore(options.connections)
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self, listener: socket.socket) -> None:
        """Serve on a listening socket."""
        if listener.family == socket.AF_UNIX:
            self._server = await asyncio.start_unix_server(self._connected, sock=listener, limit=_LINE)
        else:
            self._server = await asyncio.start_server(self._connected, sock=listener, limit=_LINE)

    async def stop(self) -> None:
        """Close the server and all connections."""
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            async with self._slots:
                # A peer that goes away, says too long a line or nothing at all ends its session, no more.
                with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                    await _Session(self, reader, writer).run()
        finally:
            self._tasks.discard(task)
            writer.close()
            self.sessions += 1
            self.count()
            if self.options.sessions and self.sessions >= self.options.sessions:
                self.finished.set()

    def count(self) -> None:
        """Show the counters, if that is wanted, and see whether it was enough."""
        if self.options.counters:
            print(f"sess={self.sessions} quit={self.quits} mesg={self.messages}", end="\r", flush=True)
        if self.options.messages and self.messages >= self.options.messages:
            self.finished.set()


class _Hangup(Exception):  # noqa: N818 - an end, not an error
    """The session ends here."""


class _Session:
    """One connection."""

    def __init__(self, sink: SmtpSink, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._sink = sink
        self._options = sink.options
        self._reader = reader
        self._writer = writer
        self._protocol = "LMTP" if sink.options.lmtp else "SMTP"
        self._helo: str | None = None
        self._mail: str | None = None
        self._recipients: list[str] = []
        peer = writer.get_extra_info("peername")
        address = str(peer[0]) if isinstance(peer, tuple) else "127.0.0.1"
        self._client = f"ipv6:{address}" if ":" in address else address

    async def run(self) -> None:
        with contextlib.suppress(_Hangup):
            greeting = "220 ********" if self._options.pix else f"220 {self._options.name}{self._greeting()}"
            await self._answer("CONNECT", greeting)
            while True:
                line = await self._line()
                verb, _, rest = line.partition(" ")
                await self._command(verb.upper(), rest.strip())

    def _greeting(self) -> str:
        return " LMTP" if self._options.lmtp else " ESMTP" if self._options.esmtp else ""

    async def _line(self) -> str:
        async with asyncio.timeout(self._options.timeout):
            data = await self._reader.readuntil(b"\n")
        line = data.decode("utf-8", "replace").rstrip("\r\n")
        if self._options.verbose:
            self._sink.log(f"< {line}")
        return line

    async def _command(self, verb: str, rest: str) -> None:
        if verb in self._options.logged:
            self._sink.log(f"{verb} {rest}".rstrip())
        if verb in ("HELO", "EHLO", "LHLO"):
            await self._hello(verb, rest)
        elif verb == "DATA":
            await self._data()
        elif verb in REPLIES:
            if await self._answer(verb, REPLIES[verb]):
                self._note(verb, rest)
            if verb == "QUIT":
                self._sink.quits += 1
                raise _Hangup
        else:
            await self._send("500 5.5.1 Error: unknown command")

    def _note(self, verb: str, rest: str) -> None:
        """What an accepted command changes."""
        if verb == "MAIL":
            self._mail, self._recipients = rest, []
        elif verb == "RCPT":
            self._recipients.append(rest)
        elif verb == "RSET":
            self._mail, self._recipients = None, []

    def _out_of_order(self, verb: str) -> str:
        """What to say to a command that comes at the wrong time; empty: it does not."""
        if verb == "MAIL" and self._mail is not None:
            return "503 5.5.1 Error: nested MAIL command"
        if verb == "RCPT" and self._mail is None:
            return "503 5.5.1 Error: need MAIL command"
        if verb == "DATA" and not self._recipients:
            return "503 5.5.1 Error: need RCPT command"
        return ""

    async def _hello(self, verb: str, rest: str) -> None:
        if (verb == "EHLO" and not self._options.esmtp) or (verb == "LHLO") != self._options.lmtp:
            await self._send("500 5.5.1 Error: unknown command")
            return
        self._helo = rest
        if verb != "HELO":
            self._protocol = "LMTP" if self._options.lmtp else "ESMTP"
        lines = [self._options.name]
        if verb != "HELO":
            lines += [text for option, text in CAPABILITIES if option not in self._options.hidden]
            lines.append("")
        reply = [f"250-{line}" for line in lines[:-1]]
        await self._answer(verb, "\r\n".join([*reply, f"250 {lines[-1]}"]))

    async def _data(self) -> None:
        options = self._options
        if not await self._answer("DATA", "354 End data with <CR><LF>.<CR><LF>"):
            return
        if options.abort is not None:
            await asyncio.sleep(options.abort)
            await self._send("550 5.3.0 Error: command failed")
            raise _Hangup
        await asyncio.sleep(options.before_reading)
        file = self._dump() if options.single or options.collected else None
        try:
            while True:
                async with asyncio.timeout(options.timeout):
                    line = await self._reader.readuntil(b"\n")
                if line in (b".\r\n", b".\n"):
                    break
                if file is not None:
                    file.append(line.removeprefix(b".").replace(b"\r\n", b"\n"))
        except asyncio.LimitOverrunError:
            await self._send("500 5.5.2 Error: line too long")
            raise _Hangup from None
        answers = max(1, len(self._recipients)) if options.lmtp else 1
        for number in range(answers):
            accepted = await self._answer(".", "250 2.0.0 Ok")
            if accepted and not number:
                if file is not None:
                    self._write(file)
                self._sink.messages += 1
        self._mail, self._recipients = None, []
        self._sink.count()

    def _dump(self) -> list[bytes]:
        """The beginning of a message in a file."""
        number = f"{random.getrandbits(32):08x}"
        helo = self._helo if self._helo is not None else self._client
        head = [f"X-Client-Addr: {self._client}", f"X-Client-Proto: {self._protocol}"]
        if self._helo is not None:
            head.append(f"X-Helo-Args: {self._helo}")
        head.append(f"X-Mail-Args: {self._mail}")
        head += [f"X-Rcpt-Args: {recipient}" for recipient in self._recipients]
        head += [
            f"Received: from {helo} ([{self._client}])",
            f"\tby {self._options.name} (smtp-sink) with {self._protocol} id {number};",
            f"\t{formatdate(localtime=True)}",
        ]
        return [number.encode(), (self._options.start + "\n".join(head) + "\n").encode("utf-8", "surrogateescape")]

    def _write(self, file: list[bytes]) -> None:
        number, *pieces = file
        if self._options.single:
            path = Path(time.strftime(self._options.single) + number.decode())
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"".join(pieces) + b"\n")
        if self._options.collected:
            path = Path(time.strftime(self._options.collected))
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("ab") as collected:
                collected.write(b"".join(pieces) + b"\n")

    async def _answer(self, verb: str, reply: str) -> bool:
        """Answer as the options want it for this command; whether it was accepted."""
        options = self._options
        delay = options.delays.get(verb)
        if delay is not None:
            await asyncio.sleep(delay.length(random.randrange))
        if verb in options.hang_up:
            raise _Hangup
        if verb in options.close:
            await self._send(_GONE)
            raise _Hangup
        refused = options.hard_reply if verb in options.hard else options.soft_reply if verb in options.soft else ""
        refused = refused or self._out_of_order(verb)
        await self._send(refused or reply)
        if refused and verb == "CONNECT":
            raise _Hangup
        return not refused

    async def _send(self, reply: str) -> None:
        if self._options.verbose:
            self._sink.log(f"> {reply}")
        self._writer.write(reply.encode("utf-8", "surrogateescape") + b"\r\n")
        async with asyncio.timeout(self._options.timeout):
            await self._writer.drain()


# The command line


def _words(text: str) -> set[str]:
    return {word.strip("\"'").upper() for word in re.split(r"[\s,]+", text) if word}


def _unescaped(text: str) -> str:
    def one(match: re.Match[str]) -> str:
        found = match[1]
        return chr(int(found, 8)) if found.isdigit() else _ESCAPES.get(found, found)

    return re.sub(r"\\([0-7]{1,3}|.)", one, text)


def read_options(pairs: Sequence[tuple[str, str]]) -> SinkOptions:
    """The options. Raises ValueError for a number that is none."""
    options = SinkOptions()
    texts = {"-h": "name", "-b": "soft_reply", "-B": "hard_reply", "-d": "single", "-D": "collected"}
    numbers = {"-M": "messages", "-n": "sessions", "-m": "connections"}
    lists = {"-r": "soft", "-f": "hard", "-q": "hang_up", "-Q": "close", "-s": "logged"}
    for option, value in pairs:
        if option in texts:
            setattr(options, texts[option], value)
        elif option in numbers:
            setattr(options, numbers[option], int(value))
        elif option in lists:
            getattr(options, lists[option]).update(_words(value))
            if option in ("-r", "-f"):
                options.hidden.add("p")
        elif option in ("-e", "-P"):
            options.esmtp = False
            options.pix = options.pix or option == "-P"
        elif option in ("-A", "-H", "-t"):
            setattr(options, {"-A": "abort", "-H": "before_reading", "-t": "timeout"}[option], float(value))
        elif option == "-S":
            options.start = _unescaped(value)
        elif option == "-w":
            options.delays["DATA"] = Delay(float(value))
        elif option == "-W":
            command, _, rest = value.partition(":")
            seconds, _, odds = rest.partition(":")
            options.delays[command.upper()] = Delay(float(seconds), min(99, int(odds or 0)))
        else:
            options.lmtp = options.lmtp or option == "-L"
            options.counters = options.counters or option == "-c"
            options.verbose = options.verbose or option == "-v"
            options.hidden.add(option[1])
    return options


def listening(place: Endpoint, wanted: socket.AddressFamily, backlog: int) -> socket.socket:
    """A socket that listens there. Raises OSError."""
    if place.path:
        listener = socket.socket(socket.AF_UNIX)
        with contextlib.suppress(FileNotFoundError):
            Path(place.path).unlink()
        listener.bind(place.path)
    else:
        host = place.host or ("0.0.0.0" if wanted == socket.AF_INET else "::")  # noqa: S104 - as its manual says
        found = socket.getaddrinfo(host, place.port, wanted, socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listener = socket.socket(found[0], found[1])
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if found[0] == socket.AF_INET6 and not place.host:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(wanted == socket.AF_INET6))
        listener.bind(found[4])
    listener.listen(backlog)
    listener.setblocking(False)
    return listener


def _become(root: str | None, user: str | None) -> None:
    """Give up root's rights. Raises OSError, KeyError."""
    identity = None
    if user is not None:
        import pwd  # late: only here

        identity = pwd.getpwnam(user)
    if root is not None:
        os.chroot(root)
        os.chdir("/")
    if identity is not None and os.geteuid() == 0:
        os.setgroups([])
        os.setgid(identity.pw_gid)
        os.setuid(identity.pw_uid)


async def _serve(options: SinkOptions, listener: socket.socket) -> None:
    sink = SmtpSink(options, lambda text: print(text, file=sys.stderr))
    await sink.start(listener)
    try:
        await sink.finished.wait()
    finally:
        await sink.stop()


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        pairs, operands = getopt.getopt(words, "468aA:b:B:cCd:D:eEf:Fh:H:Ln:m:M:NpPq:Q:r:R:s:S:t:T:u:vw:W:")
        if len(operands) != 2:
            print(USAGE, file=sys.stderr)
            return 1
        options = read_options(pairs)
        place = parse_endpoint(operands[0])
        chosen = dict(pairs)
        listener = listening(place, family(set(chosen)), int(operands[1]))
        _become(chosen.get("-R"), chosen.get("-u"))
    except getopt.GetoptError as error:
        print(f"smtp-sink: {error}\n{USAGE}", file=sys.stderr)
        return 1
    except (EndpointError, ValueError, OSError, KeyError) as error:
        print(f"smtp-sink: fatal: {error}", file=sys.stderr)
        return 1
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(options, listener))
    return 0


if __name__ == "__main__":
    sys.exit(main())
