"""Any octets from a client, cut anywhere, against smtpd's whole conversation: framing, commands, transaction.

Run: ``python tests/fuzz/fuzz_smtp_server.py -atheris_runs=10000``.

What must hold: no exception, one reply for each command, bounded memory, the same outcome however the octets are cut,
and nothing queued that was not a complete message with a recipient.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from angarium.auth.interface import Refused
from angarium.daemons.smtpd.client import Client
from angarium.daemons.smtpd.collaborators import Collaborators
from angarium.daemons.smtpd.commands import HANDLERS
from angarium.daemons.smtpd.conversation import Conversation
from angarium.daemons.smtpd.limits import ClientLimits
from angarium.daemons.smtpd.main import forbids_by_default
from angarium.daemons.smtpd.parameters import SmtpdParameters
from angarium.daemons.smtpd.tlssession import TlsSession
from angarium.mailqueue.interface import NewMessage
from angarium.model.verdict import Action, Verdict
from angarium.runtime.log import ServiceLog

TOKENS = (
    b"EHLO x\r\n", b"HELO y\r\n", b"MAIL FROM:<a@b.test>\r\n", b"RCPT TO:<c@d.test>\r\n", b"DATA\r\n", b"\r\n.\r\n",
    b"BDAT 5\r\n", b"BDAT 0 LAST\r\n", b"RSET\r\n", b"NOOP\r\n", b"AUTH LOGIN\r\n", b"AUTH PLAIN =\r\n", b"YQ==\r\n",
    b"*\r\n", b"STARTTLS\r\n", b"QUIT\r\n", b"VRFY a\r\n", b"ETRN d.test\r\n", b"\n", b"\r", b".", b"\0", b"\xff",
    b"x" * 3000, b'MAIL FROM:<"', b"RCPT TO:<@a,@b:", b" SIZE=", b" ENVID=+", b" ORCPT=rfc822;", b"BDAT 99999999",
)  # fmt: skip


class Double:
    """A policy that permits, an authenticator that refuses, a cleanup, a queue that remembers, a log that forgets."""

    silent: frozenset[str] = frozenset()

    def __init__(self) -> None:
        self.queued: list[Any] = []

    async def connect(self, _facts: object) -> Any:
        return Verdict(Action.PERMIT, "", "fuzz")

    helo = mail = rcpt = data = end_of_data = etrn = vrfy = connect

    async def check_password(self, _user: str, _password: str) -> Any:
        return Refused("fuzz")

    def allocate_id(self) -> str:
        return "F"

    async def process(self, queue_id: str, envelope: Any, content: Any, *, hold: bool = False, **_: Any) -> Any:
        assert envelope.recipients
        return NewMessage(queue_id, envelope, b"", content, hold)

    async def enqueue(self, message: Any) -> None:
        self.queued.append((message.envelope.sender, message.content.read()))

    def write(self, level: str, tag: str, text: str, event: dict[str, object]) -> None:
        assert "fault" not in text, text

    def flush(self) -> None:
        pass

    def reopen(self) -> None:
        pass


def octets(data: bytes) -> bytes:
    """The input as a client's octets: most bytes stand for a whole token, so that sessions get somewhere."""
    return b"".join(TOKENS[byte % len(TOKENS)] if byte < 200 else bytes([byte]) for byte in data)


async def converse(pieces: list[bytes], *, cut: bool) -> tuple[list[Any], bytes]:
    """One session; what was queued and what was said."""
    double: Any = Double()
    ask = Collaborators(
        queue=double, cleanup=double, policy=double, authenticator=double, spool=None,
        journal=ServiceLog(double, "postfix/smtpd"), limits=ClientLimits(lambda: 0.0), clock=lambda: 0.0,
        forbidden_command=forbids_by_default, free_space=lambda: 1 << 40, tls_available=True,
    )  # fmt: skip
    parameters = SmtpdParameters(
        sasl_auth_enable=True, tls_security_level="may", forbid_unauth_pipelining=False, message_size_limit=20_000
    )
    talk = Conversation(parameters, ask, Client("c", "127.0.0.1", 1), HANDLERS)
    said = b""
    for piece in pieces:
        await talk.receive(talk.protocol.receive_data(piece))
        said += talk.take_output()
        if talk.tls_requested:
            if cut:
                break  # octets behind STARTTLS are thrown away: how many there are depends on the cut
            talk.start_session_over_tls(TlsSession("TLS"))
            await talk.receive(talk.protocol.resume_commands())
        if talk.closing:
            break
        assert talk.protocol.pending <= len(piece) + parameters.sasl_response_limit + 1
    return double.queued, said


def one_input(data: bytes) -> None:
    """One input, whole and in pieces."""
    wire = octets(data)
    asyncio.run(_compare(wire, 1 + (data[0] if data else 0) % 97))


async def _compare(wire: bytes, step: int) -> None:
    whole = await converse([wire], cut=True)
    pieces = await converse([wire[at : at + step] for at in range(0, len(wire), step)], cut=True)
    assert whole == pieces
    await converse([wire[at : at + step] for at in range(0, len(wire), step)], cut=False)


if __name__ == "__main__":
    import atheris

    atheris.instrument_all()
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
