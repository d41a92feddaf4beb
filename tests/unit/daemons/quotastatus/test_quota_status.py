"""The quota-status service: requests of Postfix's SMTP server, and what they are answered."""

from __future__ import annotations

import asyncio
import socket

import pytest

from angarium.daemons.quotastatus import main
from angarium.daemons.quotastatus.main import QuotaStatusParameters, QuotaStatusService
from angarium.model.lookup import TemporaryError
from angarium.model.quota import Excess
from angarium.policy.room import Room
from angarium.runtime.log import MemoryLog, ServiceLog

ROOMS = {
    "full@x.test": Room("full@x.test", Excess.STORAGE),
    "many@x.test": Room("many@x.test", Excess.DOMAIN_MESSAGES),
    "large@x.test": Room("large@x.test", Excess.MAIL),
    "down@x.test": Room("down@x.test", TemporaryError("disk", "mailstore")),
    "nobody@x.test": Room("", None, known=False),
}
FULL = "552 5.2.2 Mailbox is full"


def service(parameters=None):
    asked = []

    async def ask(recipient, size):
        asked.append((recipient, size))
        return ROOMS.get(recipient, Room(recipient, None))

    log = MemoryLog()
    made = QuotaStatusService(
        parameters or QuotaStatusParameters(nouser="550 5.1.1 Unknown"), ask, ServiceLog(log, "postfix/quota-status")
    )
    return made, asked, log


@pytest.mark.parametrize(
    ("request_", "action", "asked"),
    [
        ({"recipient": "full@x.test", "size": "100"}, FULL, [("full@x.test", 100)]),
        ({"recipient": "many@x.test"}, FULL, [("many@x.test", 0)]),
        (
            {"recipient": "large@x.test", "size": "5"},
            "552 5.2.3 Message is too large for the mailbox",
            [("large@x.test", 5)],
        ),
        ({"recipient": "a@x.test", "size": "-1"}, "DUNNO", [("a@x.test", 0)]),
        ({"recipient": "a@x.test", "size": "9" * 40}, "DUNNO", [("a@x.test", 2**62)]),
        ({"recipient": "nobody@x.test", "size": "1"}, "550 5.1.1 Unknown", [("nobody@x.test", 1)]),
        (
            {"recipient": "down@x.test", "size": "1"},
            "DEFER_IF_PERMIT 4.3.0 Mailbox quota cannot be looked up now",
            [("down@x.test", 1)],
        ),
        ({"recipient": "", "recipient_count": "2", "size": "1"}, "DUNNO", []),
        ({"sender": "x"}, "DUNNO", []),
    ],
)
def test_answers(request_, action, asked):
    made, questions, _log = service()
    assert asyncio.run(made.answer(request_)) == action
    assert questions == asked


def conversation(*pieces):
    """What the service says to these octets, on a real socket."""

    async def run():
        made, _asked, log = service()
        listener = socket.create_server(("127.0.0.1", 0))
        listener.setblocking(False)
        serving = asyncio.create_task(made.run([listener]))
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        said = []
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            said.append(await reader.read(1000) if piece.endswith(b"\n\n") or b"=" not in piece else b"")
        made.drain()
        await serving
        rest = await reader.read()
        writer.close()
        await writer.wait_closed()
        return said, rest, log.lines

    return asyncio.run(run())


def test_requests_come_in_pieces_and_one_behind_another():
    request = b"request=smtpd_access_policy\nrecipient=full@x.test\nsize=5\n\n"
    answer = b"action=552 5.2.2 Mailbox is full\n\n"
    said, rest, lines = conversation(request[:30] + b"=x", b"=\n" + request, request)
    assert said == [b"", answer, answer]
    assert rest == b""
    assert (
        lines
        == ["postfix/quota-status: to=<full@x.test>, full@x.test: no storage is left: 552 5.2.2 Mailbox is full"] * 2
    )


def test_who_speaks_something_else_is_hung_up_on():
    said, _rest, lines = conversation(b"GET / HTTP/1.0\n\n")
    assert said == [b""]
    assert "does not speak the policy protocol" in lines[0]


def test_who_asks_and_does_not_listen_keeps_nobody_busy(monkeypatch):
    monkeypatch.setattr(main, "IDLE", 0.1)
    monkeypatch.setattr(main, "LINGER", 0.1)

    async def run():
        made, asked, _log = service(QuotaStatusParameters(success="OK " + "x" * 50_000))
        listener = socket.create_server(("127.0.0.1", 0))
        listener.setblocking(False)
        serving = asyncio.create_task(made.run([listener]))
        _reader, writer = await asyncio.open_connection(*listener.getsockname(), limit=1)
        writer.write(b"recipient=a@x.test\n\n" * 400)
        while not asked or made.clients:
            await asyncio.sleep(0.01)
        writer.transport.abort()
        made.drain()
        await serving

    asyncio.run(asyncio.wait_for(run(), 10))
