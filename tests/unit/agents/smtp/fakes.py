"""A scripted SMTP server, and requests to deliver: what the agent's tests share."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Mapping
from typing import Self

from angarium.agents.smtp.connector import NO_TABLES
from angarium.agents.smtp.main import SmtpAgent, SmtpParameters
from angarium.model.content import MemoryContent
from angarium.model.delivery import DeliveryRequest, DeliveryResult, QueuedRecipient
from angarium.model.envelope import Envelope, Origin, Recipient
from angarium.runtime.dns import StaticResolver
from angarium.runtime.log import MemoryLog, ServiceLog

CLOSE = "CLOSE"
SILENCE = "SILENCE"


class FakeServer:
    """Answers each command by its verb; ``script`` overrides: a reply, CLOSE, SILENCE, or a list of them in turn.

    A key may be a verb or a whole command line; ``GREETING`` and ``DOT`` are steps of their own. With ``lmtp`` each
    accepted recipient has a DOT of its own, whose key may be ``DOT <address>``. With ``path`` it is a unix socket.
    """

    def __init__(
        self,
        script: Mapping[str, object] | None = None,
        ehlo=("PIPELINING", "SIZE 0", "8BITMIME"),
        *,
        lmtp: bool = False,
        path: str = "",
    ) -> None:
        self.script = dict(script or {})
        self.lmtp = lmtp
        self.path = path
        self.ehlo = list(ehlo)
        self.commands: list[str] = []
        self.messages: list[bytes] = []
        self.connections = 0
        self.context: ssl.SSLContext | None = None
        self.resumed: list[bool] = []
        self.port = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        if self.path:
            self._server = await asyncio.start_unix_server(self._session, self.path)
            return self
        self._server = await asyncio.start_server(self._session, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _reply(self, command: str, default: str) -> str:
        verb = command.split(":", maxsplit=1)[0].split(" ", maxsplit=1)[0].upper()
        for key in (command, verb):
            if key in self.script:
                value = self.script[key]
                if isinstance(value, list):
                    return value.pop(0) if value else default
                return value
        return default

    async def _session(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        self._tasks.add(task)
        self.connections += 1
        try:
            await self._converse(reader, writer)
        except (ConnectionError, ssl.SSLError, asyncio.CancelledError, EOFError):
            pass
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    async def _say(self, writer, text: str) -> bool:
        if text == CLOSE:
            return False
        if text == SILENCE:
            await asyncio.Event().wait()
        writer.write(text.encode() + b"\r\n")
        await writer.drain()
        return True

    async def _converse(self, reader, writer) -> None:
        if not await self._say(writer, self._reply("GREETING", "220 fake.test ESMTP")):
            return
        defaults = {
            "QUIT": "221 bye",
            "STARTTLS": "220 go",
            "AUTH": "235 2.7.0 ok",
        }
        people: list[str] = []
        while line := await reader.readline():
            command = line.decode().rstrip("\r\n")
            self.commands.append(command)
            verb = command.split(":")[0].split(" ")[0].upper()
            defaults["LHLO" if self.lmtp else "EHLO"] = "\r\n".join(
                ["250-fake.test", *(f"250-{word}" for word in self.ehlo), "250 HELP"]
            )
            defaults["DATA"] = "354 go" if people or not self.lmtp else "503 5.5.1 No valid recipients"
            reply = self._reply(command, defaults.get(verb, "250 2.0.0 ok"))
            if not await self._say(writer, reply) or verb == "QUIT":
                return
            if verb == "MAIL":
                people.clear()
            if verb == "RCPT" and reply.startswith("2"):
                people.append(command[8:])
            if verb == "DATA" and reply.startswith("354") and not await self._content(reader, writer, people):
                return
            if verb == "STARTTLS" and reply.startswith("220"):
                if self.context is None:
                    await reader.read(1)  # the ClientHello; before it, the text would be taken for an injection
                    await self._say(writer, "this is not TLS")
                    return
                await writer.start_tls(self.context)
                self.resumed.append(bool(writer.get_extra_info("ssl_object").session_reused))

    async def _content(self, reader, writer, people) -> bool:
        data = bytearray()
        while not (data == b".\r\n" or data.endswith(b"\r\n.\r\n")):
            piece = await reader.readline()
            if not piece:
                return False
            data += piece
            if "CONTENT" in self.script and not await self._say(writer, self._reply("CONTENT", CLOSE)):
                return False
        self.messages.append(bytes(data))
        if not self.lmtp:
            return await self._say(writer, self._reply("DOT", "250 2.0.0 Ok: queued as F00"))
        for person in people:
            reply = self._reply("DOT", f"250 2.0.0 {person} saved")
            if not await self._say(writer, self.script.get(f"DOT {person}", reply)):
                return False
        return True


def request(
    nexthop: str,
    *recipients: str,
    content: bytes = b"Subject: x\r\n\r\n.hello\r\n",
    sender: str = "a@example.org",
    **fields,
) -> DeliveryRequest:
    people = tuple(
        QueuedRecipient(number, Recipient(address, address))
        for number, address in enumerate(recipients or ("b@example.org",), 1)
    )
    envelope = Envelope(sender, tuple(queued.recipient for queued in people), 1.0, Origin("ESMTP"), **fields)
    return DeliveryRequest(
        "4F2A", "smtp", nexthop, envelope, people, b"Received: by us\r\n", MemoryContent(content), 1.0, 2.0
    )


class Bench:
    """An agent with its log and resolver."""

    def __init__(self, passwords=None, policies=None, rules=None, tables=NO_TABLES, **parameters) -> None:
        self.log = MemoryLog()
        self.resolver = StaticResolver()
        defaults = {"helo_name": "client.test", "myhostname": "client.test", "randomize_addresses": False}
        self.agent = SmtpAgent(
            SmtpParameters(**(defaults | parameters)),
            ServiceLog(self.log, "postfix/smtp"),
            self.resolver,
            passwords,
            policies,
            rules,
            tables=tables,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.agent.close()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(0)

    async def one(self, *args, **fields) -> DeliveryResult:
        (result,) = await self.agent.deliver(request(*args, **fields))
        return result
