"""A smtpd service with fakes for what it asks, on a loopback port, and a client that speaks in batches."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import socket
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

import pytest
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from angarium.auth.interface import Accepted, Outcome, Refused
from angarium.auth.penalty import LoginPenalty
from angarium.cleanup.parameters import CleanupParameters
from angarium.cleanup.received import received
from angarium.daemons.smtpd.client import Client, ClientName
from angarium.daemons.smtpd.collaborators import NOT_EXEMPT, Exemptions
from angarium.daemons.smtpd.main import SmtpdService
from angarium.daemons.smtpd.parameters import SmtpdParameters
from angarium.daemons.smtpd.tables import NO_TABLES, SessionTables
from angarium.mailqueue.interface import NewMessage
from angarium.model.content import Content
from angarium.model.envelope import Envelope, Origin, Recipient
from angarium.model.verdict import Action, Verdict
from angarium.policy.interface import Facts
from angarium.runtime.log import MemoryLog, ServiceLog
from angarium.runtime.spool import Spool

PERMIT = Verdict(Action.PERMIT, "", "test")
PARAMETERS = SmtpdParameters(
    myhostname="mail.example.test", banner="mail.example.test ESMTP Postfix", error_sleep_time=0.0
)


class FakePolicy:
    """Permits, unless ``verdicts`` has something for the stage or for (stage, recipient)."""

    def __init__(self) -> None:
        self.verdicts: dict[object, Verdict | Exception] = {}
        self.asked: list[tuple[str, Facts]] = []

    def _judge(self, stage: str, facts: Facts) -> Verdict:
        self.asked.append((stage, facts))
        verdict = self.verdicts.get((stage, facts.recipient), self.verdicts.get(stage, PERMIT))
        if isinstance(verdict, Exception):
            raise verdict
        if callable(verdict):
            return verdict(facts)
        return verdict

    silent = frozenset[str]()
    closed = False

    def close(self) -> None:
        self.closed = True

    async def connect(self, facts: Facts) -> Verdict:
        return self._judge("connect", facts)

    async def helo(self, facts: Facts) -> Verdict:
        return self._judge("helo", facts)

    async def mail(self, facts: Facts) -> Verdict:
        return self._judge("mail", facts)

    async def rcpt(self, facts: Facts) -> Verdict:
        return self._judge("rcpt", facts)

    async def data(self, facts: Facts) -> Verdict:
        return self._judge("data", facts)

    async def end_of_data(self, facts: Facts) -> Verdict:
        return self._judge("end_of_data", facts)

    async def etrn(self, facts: Facts) -> Verdict:
        return self._judge("etrn", facts)

    async def vrfy(self, facts: Facts) -> Verdict:
        return self._judge("vrfy", facts)


class FakeQueue:
    """Keeps messages; ``failure`` is raised instead."""

    def __init__(self) -> None:
        self.messages: list[NewMessage] = []
        self.failure: Exception | None = None
        self.allocated = 0

    def allocate_id(self) -> str:
        self.allocated += 1
        return f"A{self.allocated:06X}"

    async def enqueue(self, message: NewMessage) -> None:
        await asyncio.sleep(0)
        if self.failure is not None:
            raise self.failure
        self.messages.append(message)


class FakeCleanup:
    """Adds nothing; ``failure`` is raised instead."""

    def __init__(self) -> None:
        self.failure: Exception | None = None

    async def process(
        self, queue_id: str, envelope: Envelope, content: Content, *, hold: bool = False, prepend=b"", copies=()
    ) -> NewMessage:
        if self.failure is not None:
            raise self.failure
        people = (*envelope.recipients, *(Recipient(each, each) for each in copies))
        return NewMessage(queue_id, replace(envelope, recipients=people), prepend, content, hold)

    async def is_local_client(self, origin: Origin) -> bool:
        return origin.client_address.startswith("127.")

    def received_header(self, envelope: Envelope) -> bytes:
        return received("", envelope, CleanupParameters(PARAMETERS.myhostname))


class FakeAuthenticator:
    """Knows one password."""

    outcome: Outcome | None = None

    async def check_password(self, user: str, password: str) -> Outcome:
        if self.outcome is not None:
            return self.outcome
        return Accepted(user) if (user, password) == ("alice", "secret") else Refused("Password mismatch")


class FakeResolver:
    name = ClientName("client.example.test")

    async def client_name(self, address: str) -> ClientName:
        return self.name


@dataclass
class Server:
    """The fakes, the parameters, and the running service."""

    parameters: SmtpdParameters = PARAMETERS
    policy: FakePolicy = field(default_factory=FakePolicy)
    queue: FakeQueue = field(default_factory=FakeQueue)
    cleanup: FakeCleanup = field(default_factory=FakeCleanup)
    authenticator: FakeAuthenticator | None = field(default_factory=FakeAuthenticator)
    penalty: LoginPenalty | None = None
    resolver: FakeResolver = field(default_factory=FakeResolver)
    log: MemoryLog = field(default_factory=MemoryLog)
    tls: ssl.SSLContext | None = None
    spool: Spool | None = None
    exempt: Exemptions = NOT_EXEMPT
    exemptions: Callable[[Client], Awaitable[Exemptions]] | None = None
    tables: SessionTables = NO_TABLES
    flush: Callable[[str], Awaitable[bool]] | None = None
    port: int = 0
    service: SmtpdService | None = None
    talks: list[Talk] = field(default_factory=list)

    def configure(self, **changes: object) -> None:
        self.parameters = replace(self.parameters, **changes)

    @property
    def lines(self) -> list[str]:
        """Log lines without their tag."""
        return [line.partition(": ")[2] for line in self.log.lines]

    def run(self, test: Callable[[], Awaitable[None]], *, seconds: float = 10.0) -> None:
        """Run ``test`` while the service runs."""

        async def body() -> None:
            async def exemptions(client: object) -> Exemptions:
                return self.exempt

            listener = socket.create_server(("127.0.0.1", 0))
            listener.setblocking(False)
            self.port = listener.getsockname()[1]
            self.service = SmtpdService(
                self.parameters,
                "postfix/smtpd",
                queue=self.queue,  # type: ignore[arg-type]
                cleanup=self.cleanup,
                policy=self.policy,
                log=ServiceLog(self.log, "postfix/smtpd"),
                authenticator=self.authenticator,
                penalty=self.penalty,
                tls=self.tls,
                resolver=self.resolver,
                spool=self.spool,
                exemptions=self.exemptions or exemptions,
                flush=self.flush,
                tables=self.tables,
                clock=lambda: 1_700_000_000.0,
            )
            running = asyncio.get_running_loop().create_task(self.service.run([listener]))
            try:
                async with asyncio.timeout(seconds):
                    await test()
                    for talk in self.talks:
                        await talk.close()
                    self.service.drain()
                    await running
            finally:
                for talk in self.talks:
                    await talk.close()
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)

        # The loop that the server runs on in earnest.
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(body())

    async def connect(self, *, greeting: bool = True, tls: ssl.SSLContext | None = None) -> Talk:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, ssl=tls)
        talk = Talk(reader, writer)
        self.talks.append(talk)
        if greeting:
            assert (await talk.reply()).startswith("220 ")
        return talk


@dataclass
class Talk:
    """The client's side."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def reply(self) -> str:
        """One reply, its lines joined by LF."""
        lines = []
        while True:
            line = (await self.reader.readline()).decode()
            if not line:
                return "\n".join([*lines, "<closed>"])
            assert line.endswith("\r\n")
            lines.append(line[:-2])
            if line[3:4] != "-":
                return "\n".join(lines)

    async def say(self, *lines: str) -> str:
        """Send lines at once; the replies, one a line."""
        self.writer.write("".join(f"{line}\r\n" for line in lines).encode())
        return "\n".join([await self.reply() for _ in lines])

    async def send(self, data: bytes) -> str:
        """Send octets; the one reply to them."""
        self.writer.write(data)
        return await self.reply()

    async def closed(self) -> bool:
        """Nothing more comes."""
        return await self.reader.read() == b""

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(OSError):
            await self.writer.wait_closed()

    async def start_tls(self) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        await self.writer.start_tls(context)


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture(scope="session")
def tls_context(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    """A server context with a certificate of its own."""
    directory = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mail.example.test")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    file = directory / "chain.pem"
    file.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + certificate.public_bytes(Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context
