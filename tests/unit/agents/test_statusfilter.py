from __future__ import annotations

import asyncio

import pytest

from angarium.agents.statusfilter import FilteredAgent, StatusFilter
from angarium.model.delivery import DeliveryResult, QueuedRecipient, Status
from angarium.model.dsn import Dsn
from angarium.model.envelope import Recipient
from angarium.model.lookup import NOT_FOUND, Found, TemporaryError
from angarium.runtime.log import MemoryLog, ServiceLog


def filtered(answer, status=Status.BOUNCED, dsn="5.1.1"):
    log = MemoryLog()
    asked = []

    async def find(key):
        asked.append(key)
        return answer

    result = DeliveryResult(
        QueuedRecipient(1, Recipient("a@x.test", "a@x.test")), status, Dsn.parse(dsn), "none", "text"
    )

    class Agent:
        async def deliver(self, request):
            return [result]

    agent = FilteredAgent(Agent(), StatusFilter("smtp_delivery_status_filter", find, ServiceLog(log, "postfix/smtp")))
    (changed,) = asyncio.run(agent.deliver(None))
    assert asked == [f"{dsn} text"]
    return (changed.status, str(changed.dsn), changed.text), log.lines


@pytest.mark.parametrize(
    ("answer", "status", "dsn", "expected"),
    [
        ("4.2.0 later", Status.BOUNCED, "5.1.1", (Status.DEFERRED, "4.2.0", "later")),
        ("5.2.0 never", Status.DEFERRED, "4.1.1", (Status.BOUNCED, "5.2.0", "never")),
        ("5.2.0", Status.BOUNCED, "5.1.1", (Status.BOUNCED, "5.2.0", "text")),
        ("2.1.0 well", Status.SENT, "2.0.0", (Status.SENT, "2.1.0", "well")),
    ],
)
def test_an_outcome_is_put_otherwise(answer, status, dsn, expected):
    assert filtered(Found(answer, "t"), status, dsn) == (expected, [])


@pytest.mark.parametrize(
    ("answer", "status", "dsn"),
    [("2.0.0 fine", Status.BOUNCED, "5.1.1"), ("5.0.0 no", Status.SENT, "2.0.0"), ("what", Status.DEFERRED, "4.0.0")],
)
def test_what_was_sent_stays_sent(answer, status, dsn):
    outcome, lines = filtered(Found(answer, "t"), status, dsn)
    assert outcome == (status, dsn, "text")
    assert len(lines) == 1
    assert "bad status code in lookup result" in lines[0]


def test_a_table_that_cannot_be_asked_changes_nothing():
    outcome, lines = filtered(TemporaryError("down", "mysql:x"))
    assert outcome == (Status.BOUNCED, "5.1.1", "text")
    assert "mysql:x: down" in lines[0]
    assert filtered(NOT_FOUND) == (outcome, [])
