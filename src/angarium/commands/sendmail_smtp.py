"""``sendmail -bs``: an SMTP session on standard input and output, with no server behind it, as smtpd(8) stands alone.

The caller is a user of this machine who could as well run sendmail(1) with the same message: so no restriction list is
asked and no recipient looked up, nobody logs in and there is no TLS. What the session accepts goes the way of
sendmail(1), to pickup, or into the maildrop directory when no server runs. The queue id of the reply is the session's:
what is made of the message later has another, as with Postfix.

Input is a pipe, a terminal or a file, and may come all at once. Exit status 0 whatever the replies were; 75 for a
configuration that cannot be read. A message that cannot be handed on is answered with 4xx or 5xx. ORCPT is not passed
on.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import groupby
from pathlib import Path

from angarium.cleanup.parameters import CleanupParameters
from angarium.cleanup.received import quote_local, received
from angarium.commands.command import Command, CommandError
from angarium.commands.sendmail import Fatal, hand_over
from angarium.config.config import Config
from angarium.config.error import ConfigError
from angarium.daemons.smtpd.client import Client, ClientName
from angarium.daemons.smtpd.collaborators import Collaborators, Exemptions, nobody_exempt
from angarium.daemons.smtpd.commands import HANDLERS
from angarium.daemons.smtpd.connection import ConnectionSetting, SmtpdConnection
from angarium.daemons.smtpd.exemptions import make_exemptions
from angarium.daemons.smtpd.limits import ClientLimits
from angarium.daemons.smtpd.main import forbids_by_default
from angarium.daemons.smtpd.parameters import SmtpdParameters
from angarium.mailqueue.interface import NewMessage
from angarium.model.content import Content
from angarium.model.envelope import Envelope, Origin, Recipient
from angarium.model.error import MailError
from angarium.model.reply import Reply
from angarium.model.verdict import Action, Verdict
from angarium.policy.interface import Facts
from angarium.protocols.pickup import frames
from angarium.protocols.smtp.types import BareNewline
from angarium.runtime.log import MemoryLog, ServiceLog
from angarium.tables.opener import TableOpener

EX_TEMPFAIL = 75
_CHUNK = 64 * 1024
_LOCALHOST = "127.0.0.1"
_YES = Verdict(Action.PERMIT, "a user of this machine", "sendmail -bs")


class Anything:
    """The policy of a session that stands alone: everything is permitted (``policy.interface.Policy``)."""

    silent = frozenset({"DATA", "BDAT", "END-OF-MESSAGE"})

    def close(self) -> None:
        """Nothing is open."""

    async def connect(self, _facts: Facts) -> Verdict:
        """Yes."""
        return _YES

    helo = mail = rcpt = data = end_of_data = etrn = vrfy = connect


class ToPickup:
    """Where cleanup and the queue are for other sessions: messages get their Received header, and go to pickup.

    Args:
        parameters: what the header is made of.
        queue_directory: where pickup's socket and maildrop are.
    """

    def __init__(self, parameters: CleanupParameters, queue_directory: Path) -> None:
        self._parameters = parameters
        self._queue_directory = str(queue_directory)

    def allocate_id(self) -> str:
        """An id that only this session knows."""
        return os.urandom(5).hex().upper()

    def received_header(self, envelope: Envelope) -> bytes:
        """Without a queue id."""
        return received("", envelope, self._parameters)

    async def is_local_client(self, _origin: Origin) -> bool:
        """It is."""
        return True

    async def process(
        self,
        queue_id: str,
        envelope: Envelope,
        content: Content,
        *,
        hold: bool = False,
        prepend: bytes = b"",
        copies: Sequence[str] = (),
    ) -> NewMessage:
        """The message with its Received header; ``copies`` are for nobody."""
        del copies
        prefix = prepend + received(queue_id, envelope, self._parameters)
        return NewMessage(queue_id, envelope, prefix, content, hold)

    async def enqueue(self, message: NewMessage) -> None:
        """Hand it over; recipients who want to hear different things apart. Raises MailError, OSError."""
        people = sorted(message.envelope.recipients, key=lambda each: each.notify)
        for _notify, group in groupby(people, key=lambda each: each.notify):
            try:
                answer = hand_over(submission(message, tuple(group)), self._queue_directory)
            except Fatal as fatal:
                raise MailError(Reply.of(451, "4.3.0", "Error: queue file write error"), str(fatal)) from fatal
            if answer is not None and not answer.startswith("2"):
                raise MailError(_refusal(answer))


def _refusal(answer: str) -> Reply:
    """Pickup's answer as a reply."""
    try:
        code, dsn, text = answer.split(" ", 2)
        return Reply.of(int(code), dsn, text)
    except ValueError:
        return Reply.of(451, "4.3.0", "Error: queue file write error")


def submission(message: NewMessage, people: Sequence[Recipient]) -> Iterator[bytes]:
    """The records of a message for some of its recipients."""
    envelope = message.envelope
    yield frames.frame(frames.VERSION_RECORD, frames.VERSION)
    attributes = [
        (frames.SENDER, quote_local(envelope.sender)),
        (frames.FULL_NAME, ""),
        (frames.RETURN, envelope.ret.value),
        (frames.ENVELOPE_ID, envelope.envid),
        (frames.BODY_TYPE, envelope.body.value),
        (frames.NOTIFY, str(int(people[0].notify) or "")),
        (frames.VERP, envelope.verp),
        *((frames.RECIPIENT, quote_local(each.original)) for each in people),
    ]
    for kind, text in attributes:
        if text or kind in (frames.SENDER, frames.FULL_NAME):  # else they are the user's
            yield frames.frame(kind, os.fsencode(text)[: frames.ATTRIBUTE_LIMIT])
    yield frames.frame(frames.DATA, message.prefix)
    for chunk in message.content.chunks():
        for start in range(0, len(chunk), frames.DATA_LIMIT):
            yield frames.frame(frames.DATA, chunk[start : start + frames.DATA_LIMIT])
    yield frames.frame(frames.END)


class _Localhost:
    """The client's name, without DNS (``daemons.smtpd.client.ClientResolver``)."""

    async def client_name(self, _address: str) -> ClientName:
        return ClientName("localhost", reverse_name="localhost")


class _Terminal(asyncio.Transport):
    """Standard input and output as a transport. Input is read by a thread of its own, as files cannot be waited for."""

    def __init__(self, loop: asyncio.AbstractEventLoop, protocol: asyncio.Protocol, source: int, sink: int) -> None:
        super().__init__({"peername": (_LOCALHOST, 0), "sockname": (_LOCALHOST, 0)})
        self._loop = loop
        self._protocol = protocol
        self._source = source
        self._sink = sink
        self._closing = False
        self._wanted = threading.Event()
        self._wanted.set()

    def begin(self) -> None:
        """Tell the protocol, and begin to read."""
        self._protocol.connection_made(self)
        # A daemon: when the session ends while it reads, nobody waits for more input.
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        data = b"-"
        while data and not self._closing:
            self._wanted.wait()
            try:
                data = os.read(self._source, _CHUNK)
            except OSError:
                data = b""
            try:
                self._loop.call_soon_threadsafe(self._take, data)
            except RuntimeError:
                return  # the session is over, and its loop with it

    def _take(self, data: bytes) -> None:
        if data:
            self._protocol.data_received(data)
        else:
            self._protocol.eof_received()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Write, waiting for a slow reader; one who is gone ends the session."""
        view = memoryview(data)
        try:
            while view and not self._closing:
                view = view[os.write(self._sink, view) :]
        except OSError as error:
            self._closing = True
            self._protocol.connection_lost(error)

    def get_write_buffer_size(self) -> int:
        """Everything has been written."""
        return 0

    def pause_reading(self) -> None:
        """Read no more for now."""
        self._wanted.clear()

    def resume_reading(self) -> None:
        """Read on."""
        self._wanted.set()

    def is_closing(self) -> bool:
        """The session is over."""
        return self._closing

    def close(self) -> None:
        """End it."""
        self._closing = True

    abort = close


def _free_space(directory: Path) -> int:
    """Octets that an ordinary user may still write. Raises OSError."""
    status = os.statvfs(directory)
    return status.f_bavail * status.f_frsize


async def _serve(setting: ConnectionSetting, source: int, sink: int) -> None:
    loop = asyncio.get_running_loop()
    over = asyncio.Event()
    connection = SmtpdConnection(setting, lambda _connection: over.set())
    _Terminal(loop, connection, source, sink).begin()
    await over.wait()


def _exemptions(conf: Config, log: ServiceLog) -> Callable[[Client], Awaitable[Exemptions]]:
    """Whether the user may ask for VERP: whether the machine itself may (smtpd_authorized_verp_clients)."""
    name = "smtpd_authorized_verp_clients"
    listed = make_exemptions(conf, TableOpener(log.warning)) if conf.names(name) else nobody_exempt

    async def exemptions(client: Client) -> Exemptions:
        return Exemptions(verp=(await listed(client)).verp)

    return exemptions


def converse(directory: str, source: int = 0, sink: int = 1) -> int:
    """Hold the session until input ends or QUIT; returns the exit status."""
    try:
        command = Command("sendmail", directory)
        # What is between machines has no meaning here: another's name, log-ins, TLS, limits of clients, a proxy.
        parameters = replace(
            SmtpdParameters.from_config(command.config),
            peername_lookup=True,
            sasl_auth_enable=False,
            tls_security_level="",
            tls_wrappermode=False,
            forbid_unauth_pipelining=False,
            forbid_bare_newline=BareNewline.NO,
            proxy_filter="",
            upstream_proxy_protocol="",
        )
        out = ToPickup(CleanupParameters.from_config(command.config), command.queue_directory)
    except (CommandError, ConfigError) as error:
        print(f"sendmail: fatal: {error}", file=sys.stderr)
        return EX_TEMPFAIL
    log = command.log or ServiceLog(MemoryLog(), "")  # whoever may not write the log speaks to nobody
    collaborators = Collaborators(
        queue=out,
        cleanup=out,
        policy=Anything(),
        authenticator=None,
        spool=None,
        journal=log.child(f"{command.config.text('syslog_name')}/smtpd"),
        limits=ClientLimits(time.monotonic, parameters.anvil_rate_time_unit),
        clock=time.time,
        forbidden_command=forbids_by_default,
        free_space=partial(_free_space, command.queue_directory),
        exemptions=_exemptions(command.config, log),
    )
    asyncio.run(_serve(ConnectionSetting(parameters, collaborators, HANDLERS, _Localhost(), None), source, sink))
    log.sink.flush()
    return 0
