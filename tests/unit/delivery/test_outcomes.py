"""Outcomes cross from one process to the other; what makes no sense defers."""

from __future__ import annotations

import asyncio
import os
import socket

import pytest

from angarium.delivery.outcomes import OutcomeAgent, OutcomeService, RemoteDeliverer, decode, encode
from angarium.delivery.sysexits import Outcome
from angarium.model.content import MemoryContent
from angarium.model.delivery import DeliveryRequest, QueuedRecipient, Status
from angarium.model.dsn import Dsn
from angarium.model.envelope import Envelope, Origin, Recipient
from angarium.runtime.log import MemoryLog, ServiceLog

TOLD = [
    Outcome(Status.SENT, Dsn(2, 0, 0), "delivered via x service (a\udc80)"),
    Outcome(Status.BOUNCED, Dsn(5, 1, 1), "no", "said"),
]


def request(count):
    people = tuple(QueuedRecipient(n, Recipient(f"{n}@x", f"{n}@x")) for n in range(count))
    envelope = Envelope("s@x", tuple(each.recipient for each in people), 1.0, Origin("ESMTP"))
    return DeliveryRequest("4F2A", "t", "", envelope, people, b"", MemoryContent(b"x" * 100_000), 1.0, 2.0)


def test_there_and_back():
    assert decode(encode(TOLD)) == TOLD


@pytest.mark.parametrize(
    "line", [b"", b"x", b"1\n", b"[1]\n", b"[[]]\n", b'[["sent","2.0.0","x"]]\n', b'[["q","1",2,3]]']
)
def test_no_answer(line):
    with pytest.raises(ValueError):  # noqa: PT011  # whichever way it makes no sense
        decode(line)


@pytest.mark.parametrize("count", [2, 3])
def test_over_a_socket(count):
    async def body():
        class Deliverer:
            async def deliver(self, asked):
                assert asked.content.read() == b"x" * 100_000
                return TOLD

        log = ServiceLog(MemoryLog(), "t")
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind("")
            listener.listen()
            listener.setblocking(False)
            mine = os.geteuid()
            service = OutcomeService(Deliverer(), frozenset({mine}), log)
            task = asyncio.create_task(service.run([listener]))
            agent = OutcomeAgent(RemoteDeliverer(listener.getsockname(), log, mine), relayed=True)
            results = await agent.deliver(request(count))
            service.drain()
            await task
        return results

    results = asyncio.run(body())
    assert [each.recipient.number for each in results] == list(range(count))
    assert {each.relay for each in results} == {"t"}
    if count == len(TOLD):
        assert [(each.status, each.dsn, each.text, each.command_output) for each in results] == [
            each[:4] for each in TOLD
        ]
        assert all(each.relayed for each in results)
    else:  # an answer for other recipients
        assert {str(each.dsn) for each in results} == {"4.3.0"}
