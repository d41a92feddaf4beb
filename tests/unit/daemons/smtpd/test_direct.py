"""Delivery in the session: what is delivered at once, and what goes to the queue instead."""

import asyncio
from dataclasses import replace

import pytest

from angarium.daemons.smtpd.direct import DirectDelivery, DirectTransport
from angarium.mailqueue.interface import NewMessage
from angarium.model.content import MemoryContent
from angarium.model.delivery import DeliveryResult, Status
from angarium.model.dsn import Dsn
from angarium.model.envelope import Envelope, Notify, Origin, Recipient
from angarium.model.error import MailError
from angarium.model.lookup import TemporaryError
from angarium.rewrite.interface import AddressClass, Resolution
from angarium.runtime.log import MemoryLog, ServiceLog

BOB = Recipient("bob@example.test", "bob@example.test")
MESSAGE = NewMessage(
    "4F2A",
    Envelope("a@b.test", (BOB,), 90.0, Origin("ESMTP", service="postfix/smtpd")),
    b"P: x\r\n",
    MemoryContent(b"\r\nx\r\n"),
)


class Queue:
    def __init__(self):
        self.messages = []

    def allocate_id(self):
        return "4F2A"

    async def enqueue(self, message):
        self.messages.append(message)


class Resolver:
    def __init__(self, answer):
        self.answer = answer

    async def resolve(self, sender, recipient):
        return self.answer or Resolution("virtual", "example.test", recipient, AddressClass.VIRTUAL_MAILBOX, "", "")


class Agent:
    def __init__(self, outcome):
        self.outcome = outcome
        self.requests = []

    async def deliver(self, request):
        self.requests.append(request)
        if isinstance(self.outcome, Exception):
            raise self.outcome
        if isinstance(self.outcome, Dsn):
            status = Status.DEFERRED if self.outcome.temporary else Status.BOUNCED
            return [DeliveryResult(request.recipients[0], status, self.outcome, "virtual", "no room")]
        dsn = {Status.SENT: Dsn(2, 0, 0), Status.DEFERRED: Dsn(4, 3, 0), Status.BOUNCED: Dsn(5, 1, 1)}[self.outcome]
        return [DeliveryResult(request.recipients[0], self.outcome, dsn, "virtual", "delivered to mailbox")]


def enqueue(message=MESSAGE, outcome=Status.SENT, resolution=None, code=552):
    """What the queue and the agent got, and what was logged."""
    queue, agent, log = Queue(), Agent(outcome), MemoryLog()
    direct = DirectDelivery(
        queue,
        Resolver(resolution),
        {"virtual": DirectTransport(agent, ServiceLog(log, "postfix/virtual"))},
        ServiceLog(log, "postfix/qmgr"),
        lambda: 100.0,
        code,
    )
    try:
        asyncio.run(direct.enqueue(message))
    except MailError as error:
        return queue.messages, error.reply, log.lines
    return queue.messages, agent.requests, log.lines


def test_one_recipient_in_the_mailstore_is_delivered_at_once():
    queued, [request], lines = enqueue()
    assert queued == []
    assert (request.queue_id, request.prefix, request.content) == ("4F2A", b"P: x\r\n", MESSAGE.content)
    assert lines == [
        "postfix/qmgr: 4F2A: from=<a@b.test>, size=11, nrcpt=1 (queue active)",
        (
            "postfix/virtual: 4F2A: to=<bob@example.test>, relay=virtual, delay=10, delays=10/0/0/0, dsn=2.0.0,"
            " status=sent (delivered to mailbox)"
        ),
        "postfix/qmgr: 4F2A: removed",
    ]


@pytest.mark.parametrize("outcome", [Status.DEFERRED, Status.BOUNCED, RuntimeError("a fault of ours")])
def test_what_cannot_be_delivered_now_is_queued_whole(outcome):
    queued, requests, lines = enqueue(outcome=outcome)
    assert queued == [MESSAGE]
    assert len(requests) == 1
    assert not any("status=" in line or "removed" in line for line in lines)


@pytest.mark.parametrize(
    ("outcome", "code", "reply"),
    [
        (Dsn(5, 2, 2), 552, "552 5.2.2 <bob@example.test>: Recipient address rejected: Mailbox is full"),
        (Dsn(4, 2, 2), 452, "452 4.2.2 <bob@example.test>: Recipient address rejected: Mailbox is full"),
        (
            Dsn(5, 2, 3),
            452,
            "552 5.2.3 <bob@example.test>: Recipient address rejected: Message is too large for the mailbox",
        ),
    ],
)
def test_a_mailbox_without_room_is_refused_in_the_session(outcome, code, reply):
    queued, refused, lines = enqueue(outcome=outcome, code=code)
    assert queued == []
    assert str(refused) == reply
    assert lines == [
        (
            f"postfix/smtpd: 4F2A: reject: END-OF-MESSAGE from unknown[]: {reply};"
            " from=<a@b.test> to=<bob@example.test> proto=ESMTP helo=<>"
        )
    ]


ELSEWHERE = Resolution("smtp", "b.test", BOB.address, AddressClass.DEFAULT, "", "")


@pytest.mark.parametrize(
    ("message", "resolution"),
    [
        (replace(MESSAGE, hold=True), None),
        (replace(MESSAGE, envelope=replace(MESSAGE.envelope, recipients=(BOB, BOB))), None),
        (
            replace(MESSAGE, envelope=replace(MESSAGE.envelope, recipients=(replace(BOB, notify=Notify.SUCCESS),))),
            None,
        ),
        (MESSAGE, ELSEWHERE),
        (MESSAGE, TemporaryError("down", "hash:x")),
        (MESSAGE, replace(ELSEWHERE, transport="virtual", recipient="other@example.test")),
    ],
    ids=["held", "two recipients", "success report", "another transport", "temporary error", "rewritten"],
)
def test_what_is_not_for_the_session_is_queued(message, resolution):
    queued, requests, _lines = enqueue(message, resolution=resolution)
    assert queued == [message]
    assert requests == []


def test_verp_goes_to_the_queue():
    message = replace(MESSAGE, envelope=replace(MESSAGE.envelope, verp="+="))
    assert enqueue(message) == ([message], [], [])
