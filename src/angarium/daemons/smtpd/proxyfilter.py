"""The before-queue content filter (SMTPD_PROXY_README): a message is the filter's to take or refuse, not ours.

What a client says in a transaction is handed on as the client wrote it, the filter's refusals are the client's answers,
and nothing is queued here: the filter gives the message to another smtpd. A connection lasts for one transaction. The
filter is told with XFORWARD who the client is, as far as it asks for it.

Unlike Postfix, which hands the message on while it comes in, this server collects it first; the filter sees DATA when
the client does, and the message when the client has sent all of it. With ``speed_adjust`` of smtpd_proxy_options it is
not even connected to before.

Failures: a filter that cannot be reached, hangs up or takes longer than smtpd_proxy_timeout is
``451 4.3.0 Error: queue file write error`` for the client, and the log says why.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from angarium.daemons.smtpd import replies
from angarium.model.reply import Reply
from angarium.protocols.smtp.client_render import encode_content
from angarium.protocols.smtp.client_reply import ClientReply, ReplyError, ReplyParser
from angarium.protocols.smtp.forwarding import UNAVAILABLE
from angarium.protocols.smtp.path import encode_xtext

if TYPE_CHECKING:
    from angarium.model.envelope import Origin

_ATTRIBUTES = ("NAME", "ADDR", "PORT", "HELO", "IDENT", "PROTO", "SOURCE")
_COMMAND_LIMIT = 512
_PIECE = 64 * 1024


class FilterError(Exception):
    """The filter does not take part; ``reply`` is for the client, and the log has been told."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(str(reply))
        self.reply = reply


class FilterConnection:
    """A connection to the filter, for one transaction.

    Args:
        endpoint: smtpd_proxy_filter: ``host:port``, ``inet:host:port``, ``unix:path``.
        base: what a relative path of ``unix:`` starts from: queue_directory.
        timeout: smtpd_proxy_timeout, for connecting and for each answer, in seconds; 0: none.
        warn: takes what the administrator should know.
    """

    def __init__(self, endpoint: str, base: Path, timeout: float, warn: Callable[[str], None]) -> None:
        self._endpoint = endpoint
        self._shown = endpoint.removeprefix("inet:")
        self._base = base
        self._timeout = timeout or None
        self._warn = warn
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._parser = ReplyParser()
        self._answers: list[ClientReply] = []

    async def open(self, hello: str, origin: Origin, mail: str) -> None:
        """Connect, and say all that comes before the recipients. Raises FilterError.

        Args:
            hello: our name for EHLO.
            origin: who the client is, for XFORWARD.
            mail: the MAIL command as the client wrote it.
        """
        try:
            async with asyncio.timeout(self._timeout):
                await self._connect()
        except (OSError, TimeoutError, ValueError) as error:
            words = "Connection timed out" if isinstance(error, TimeoutError) else _why(error)
            self._warn(f"connect to proxy filter {self._shown}: {words}")
            raise FilterError(replies.WRITE_ERROR) from error
        greeting = await self._exchange(None)
        if greeting.code // 100 != 2:
            self._warn_rejected("connection request", greeting)
            raise FilterError(replies.WRITE_ERROR)
        welcome = await self._exchange(f"EHLO {hello}")
        if welcome.code // 100 != 2:
            self._warn_rejected(f"EHLO {hello}", welcome)
            raise FilterError(replies.WRITE_ERROR)
        for command in xforward_commands(origin, _offered(welcome)):
            await self.demand(command)
        await self.demand(mail)

    async def demand(self, command: str, code: int = 2) -> None:
        """Say a command that must be answered with ``code``hundreds. Raises FilterError with the filter's refusal."""
        answer = await self._exchange(command)
        if answer.code // 100 != code:
            self._warn_rejected(command, answer)
            raise FilterError(_reply(answer) if answer.code >= 400 else replies.WRITE_ERROR)

    async def send(self, chunks: Iterable[bytes]) -> Reply:
        """Send the message, after DATA; the filter's answer to it. Raises FilterError when there is none.

        A refusal that came with 354 is that answer. A success cannot be: it is no word on a message that was not sent.
        """
        writer = self._writer
        assert writer is not None
        if self._answers:
            return self._final(self._answers[0], before="the message was sent")
        try:
            for piece in _pieces(encode_content(chunks, 0)):
                writer.write(piece)
                async with asyncio.timeout(self._timeout):
                    await writer.drain()
        except TimeoutError as error:
            self._abandon(f"timeout talking to proxy {self._shown}")
            raise FilterError(replies.WRITE_ERROR) from error
        except OSError:
            pass  # it may have answered before it hung up
        return self._final(await self._exchange(None))

    def _final(self, answer: ClientReply, before: str = "") -> Reply:
        """The answer to a message. Raises FilterError for one that makes no sense."""
        if answer.code >= 400 or (answer.code // 100 == 2 and not before):
            return _reply(answer)
        when = f"before {before}" if before else "to the message"
        self._abandon(f'proxy {self._shown} said "{answer.lines[-1]}" {when}')
        raise FilterError(replies.WRITE_ERROR)

    def close(self) -> None:
        """Say good-bye without waiting for the answer."""
        writer, self._writer = self._writer, None
        if writer is not None:
            with contextlib.suppress(OSError):
                writer.write(b"QUIT\r\n")
            writer.close()

    async def _connect(self) -> None:
        kind, _, place = self._endpoint.partition(":")
        if kind == "unix":
            self._reader, self._writer = await asyncio.open_unix_connection(self._base / place)
            return
        host, _, port = (place if kind == "inet" else self._endpoint).rpartition(":")
        self._reader, self._writer = await asyncio.open_connection(host.strip("[]") or "127.0.0.1", port)

    async def _exchange(self, command: str | None) -> ClientReply:
        """Say something, and what comes back. Raises FilterError."""
        reader, writer = self._reader, self._writer
        if reader is None or writer is None:
            raise FilterError(replies.WRITE_ERROR)
        try:
            async with asyncio.timeout(self._timeout):
                if command is not None:
                    writer.write(command.encode("utf-8", "surrogateescape") + b"\r\n")
                    await writer.drain()
                while not self._answers:
                    data = await reader.read(_PIECE)
                    if not data:
                        raise ConnectionResetError
                    self._answers = self._parser.receive(data)
                return self._answers.pop(0)
        except TimeoutError as error:
            self._abandon(f"timeout talking to proxy {self._shown}")
            raise FilterError(replies.WRITE_ERROR) from error
        except OSError as error:
            self._abandon(f"lost connection with proxy {self._shown}")
            raise FilterError(replies.WRITE_ERROR) from error
        except ReplyError as error:
            self._abandon(f"proxy {self._shown} does not speak SMTP: {error}")
            raise FilterError(replies.WRITE_ERROR) from error

    def _abandon(self, warning: str) -> None:
        self._warn(warning)
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.transport.abort()

    def _warn_rejected(self, command: str, answer: ClientReply) -> None:
        self._warn(f'proxy {self._shown} rejected "{command}": "{answer.lines[-1]}"')


def _why(error: OSError | ValueError) -> str:
    """In the system's words; asyncio's name the address once more."""
    return os.strerror(error.errno) if isinstance(error, OSError) and error.errno and error.errno > 0 else str(error)


def _reply(answer: ClientReply) -> Reply:
    """The filter's answer as one of ours."""
    lines = (line[4:] for line in answer.lines)
    return Reply(answer.code, None, tuple(line if line.isprintable() else _printable(line) for line in lines))


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text)


def _offered(welcome: ClientReply) -> frozenset[str]:
    """The attributes that the filter wants in XFORWARD."""
    for line in welcome.lines[1:]:
        words = line[4:].upper().split()
        if words[:1] == ["XFORWARD"]:
            return frozenset(words[1:])
    return frozenset()


def xforward_commands(origin: Origin, wanted: frozenset[str]) -> list[str]:
    """Who the client is, in as many XFORWARD commands as it takes."""
    client = origin.logged
    address = f"IPV6:{client.address}" if ":" in client.address else client.address
    known = {
        "NAME": "" if client.name == "unknown" else client.name,
        "ADDR": address,
        "PORT": str(client.port or ""),
        "HELO": client.helo,
        "IDENT": client.ident,
        "PROTO": "ESMTP" if client.protocol.startswith("ESMTP") else client.protocol,
        "SOURCE": "" if client.local is None else "LOCAL" if client.local else "REMOTE",
    }
    commands: list[str] = []
    for name in _ATTRIBUTES:
        if name not in wanted:
            continue
        word = f" {name}={encode_xtext(known[name]) or UNAVAILABLE}"
        if commands and len(commands[-1]) + len(word) <= _COMMAND_LIMIT - 2:
            commands[-1] += word
        else:
            commands.append(f"XFORWARD{word}")
    return commands


def _pieces(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Not too big, so that each has the time limit for itself."""
    for chunk in chunks:
        for start in range(0, len(chunk), _PIECE):
            yield chunk[start : start + _PIECE]
