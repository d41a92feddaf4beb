"""Delivery lines: rounding as Postfix rounds."""

from __future__ import annotations

import pytest

from angarium.agents import deliverylog
from angarium.model.content import MemoryContent
from angarium.model.delivery import DeliveryRequest, DeliveryResult, QueuedRecipient, Status
from angarium.model.dsn import Dsn
from angarium.model.envelope import Envelope, Origin, Recipient


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (-1.0, "0"),
        (0.0, "0"),
        (0.001, "0"),
        (0.004, "0"),
        (0.006, "0.01"),
        (0.03, "0.03"),
        (0.101, "0.1"),
        (0.42, "0.42"),
        (0.999, "1"),
        (1.0, "1"),
        (1.26, "1.3"),
        (9.97, "10"),
        (19.3, "19"),
        (138.4, "138"),
        (5461.9, "5462"),
    ],
)
def test_seconds(value, text):
    assert deliverylog.seconds(value) == text


def line(recipient, **more):
    request = DeliveryRequest(
        "4F2A",
        "smtp",
        "x",
        Envelope("s@x", (recipient,), 100.0, Origin("ESMTP")),
        (QueuedRecipient(0, recipient),),
        b"",
        MemoryContent(b""),
        100.02,
        100.03,
    )
    result = DeliveryResult(
        request.recipients[0],
        Status.SENT,
        Dsn(2, 0, 0),
        "mx.test[192.0.2.1]:25",
        "250 ok",
        agent_ready=100.03,
        connected=100.19,
        finished=100.42,
        **more,
    )
    return deliverylog.line(request, result)


def test_the_whole_line():
    assert line(Recipient("r@x", "r@x")) == (
        "4F2A: to=<r@x>, relay=mx.test[192.0.2.1]:25, delay=0.42, delays=0.03/0/0.16/0.23, dsn=2.0.0,"
        " status=sent (250 ok)"
    )


def test_an_alias_shows_where_it_came_from():
    assert line(Recipient("r@x", "Alias@x")).startswith("4F2A: to=<r@x>, orig_to=<Alias@x>, relay=")
    assert line(Recipient("r@x", "R@X")).startswith("4F2A: to=<r@x>, relay=")
    assert line(Recipient("r@x", "")).startswith("4F2A: to=<r@x>, relay=")


def test_a_used_connection_is_counted():
    assert "relay=mx.test[192.0.2.1]:25, conn_use=3, delay=" in line(Recipient("r@x", "r@x"), conn_use=3)


def test_addresses_are_quoted_where_they_must_be():
    text = line(Recipient("a b@y", "c d@z"))
    assert 'to=<"a b"@y>, orig_to=<"c d"@z>, relay=' in text
