"""What smtpd costs without its store: CPU per message of the session, and messages per second over a socket.

python benchmarks/smtpd_session.py                   the session alone, no socket: microseconds a message
python benchmarks/smtpd_session.py --serve PORT      a service whose queue forgets everything: measure it with
        smtp-source -m 5000 -l 4096 -s 10 -t x@example.test inet:127.0.0.1:PORT
"""

from __future__ import annotations

import argparse
import contextlib
import resource
import socket
import time
from typing import Any

import uvloop

from angarium.daemons.smtpd.client import Client, ClientName
from angarium.daemons.smtpd.collaborators import Collaborators
from angarium.daemons.smtpd.commands import HANDLERS
from angarium.daemons.smtpd.conversation import Conversation
from angarium.daemons.smtpd.limits import ClientLimits
from angarium.daemons.smtpd.main import SmtpdService, forbids_by_default
from angarium.daemons.smtpd.parameters import SmtpdParameters
from angarium.mailqueue.interface import NewMessage
from angarium.model.verdict import Action, Verdict
from angarium.runtime.log import ServiceLog

PERMIT = Verdict(Action.PERMIT, "", "benchmark")
PARAMETERS = SmtpdParameters(myhostname="mail.example.test", banner="mail.example.test ESMTP")


class Nothing:
    """A policy that permits, a queue and a log that forget, a cleanup that adds nothing."""

    number = 0
    silent = frozenset(("DATA", "BDAT", "END-OF-MESSAGE"))

    async def connect(self, _facts: object) -> Verdict:
        return PERMIT

    helo = mail = rcpt = data = end_of_data = etrn = vrfy = connect

    def allocate_id(self) -> str:
        self.number += 1
        return f"{self.number:X}"

    async def enqueue(self, message: NewMessage) -> None:
        pass

    async def process(self, queue_id: str, envelope: Any, content: Any, *, hold: bool = False) -> NewMessage:
        return NewMessage(queue_id, envelope, b"", content, hold)

    async def client_name(self, _address: str) -> ClientName:
        return ClientName("localhost")

    def write(self, level: str, tag: str, text: str, event: dict[str, object]) -> None:
        pass

    def flush(self) -> None:
        pass

    def reopen(self) -> None:
        pass


def message(size: int) -> bytes:
    """A message of about ``size`` octets, with its final dot."""
    line = b"x" * 70 + b"\r\n"
    return b"Subject: benchmark\r\n\r\n" + line * (size // len(line)) + b".\r\n"


async def session(count: int, size: int) -> float:
    """CPU seconds a message of the session and the commands, one write for the commands and one for the message."""
    nothing: Any = Nothing()
    ask = Collaborators(
        queue=nothing, cleanup=nothing, policy=nothing, authenticator=None, spool=None,
        journal=ServiceLog(nothing, "postfix/smtpd"), limits=ClientLimits(time.monotonic), clock=time.time,
        forbidden_command=forbids_by_default, free_space=lambda: 1 << 40,
    )  # fmt: skip
    talk = Conversation(PARAMETERS, ask, Client("localhost", "127.0.0.1", 1), HANDLERS)
    receive = talk.protocol.receive_data
    await talk.receive(receive(b"EHLO client.example.test\r\n"))
    commands = b"MAIL FROM:<alice@example.test> SIZE=4096\r\nRCPT TO:<bob@example.test>\r\nDATA\r\n"
    content = message(size)
    started = time.process_time()
    for _ in range(count):
        await talk.receive(receive(commands))
        talk.take_output()
        await talk.receive(receive(content))
        assert b"queued as" in talk.take_output()
    return (time.process_time() - started) / count


async def serve(port: int) -> None:
    """Serve until interrupted, and say what it cost."""
    nothing: Any = Nothing()
    listener = socket.create_server(("127.0.0.1", port), backlog=100)
    listener.setblocking(False)
    service = SmtpdService(
        PARAMETERS, "postfix/smtpd", queue=nothing, cleanup=nothing, policy=nothing,
        log=ServiceLog(nothing, "postfix/smtpd"), resolver=nothing,
    )  # fmt: skip
    before = resource.getrusage(resource.RUSAGE_SELF)
    try:
        await service.run([listener])
    finally:
        after = resource.getrusage(resource.RUSAGE_SELF)
        spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        if nothing.number:
            each = spent / nothing.number * 1e6
            print(
                f"{nothing.number} messages, {each:.0f} us CPU a message ({after.ru_utime - before.ru_utime:.2f} user)"
            )


def main() -> None:
    """Run what the arguments ask for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--serve", type=int, metavar="PORT")
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--size", type=int, default=4096)
    arguments = parser.parse_args()
    if arguments.serve:
        loop_task = serve(arguments.serve)
        with contextlib.suppress(KeyboardInterrupt):
            uvloop.run(loop_task)
        return
    for _ in range(3):
        each = uvloop.run(session(arguments.count, arguments.size))
        print(f"{each * 1e6:.1f} us CPU a message of {arguments.size} octets")


if __name__ == "__main__":
    main()
