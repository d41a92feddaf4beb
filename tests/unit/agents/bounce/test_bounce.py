"""Notices compared with those that a Postfix 3.7 wrote for the same messages, but for ids and dates."""

from __future__ import annotations

import asyncio
import email
import re
import time
from pathlib import Path

import pytest

from angarium.agents.bounce.interface import Event, expansion
from angarium.agents.bounce.main import BounceService
from angarium.agents.bounce.parameters import BounceParameters
from angarium.cleanup.received import mail_date
from angarium.mailqueue.interface import NewMessage, PendingRecipient, QueuedMessage, QueueName
from angarium.model.content import MemoryContent
from angarium.model.delivery import DeliveryResult, QueuedRecipient, Status
from angarium.model.dsn import Dsn
from angarium.model.envelope import Envelope, Notify, Origin, Recipient, Ret
from angarium.protocols.dsn import parse_delivery_status
from angarium.runtime.log import MemoryLog, ServiceLog

GOLDEN = Path(__file__).parent / "golden"
ORIGIN = Origin("ESMTP", "localhost", "127.0.0.1", 1, "client.example.test", "postfix/smtpd")
HEADER = (
    b"From: Alice <alice@example.test>\r\nTo: someone@example.test\r\nSubject: test\r\n"
    b"Message-Id: <orig@example.test>\r\nDate: Tue, 24 Nov 2026 08:00:00 +0000\r\n"
)
BODY = HEADER + b"\r\nhello\r\n.dot\r\n"
ID = "8375020C3D4"
LONG = (
    "11111 22222 33333 44444 55555 66666 77777 88888 99999 1111111 2222222 3333333 4444444 5555555 6666666 7777777"
    f" 8888888 9999999 {'w' * 100} tail of the text that is long enough to be folded again here and there"
)
CLOSED = "this domain is closed"
ALL = frozenset({"bounce", "2bounce", "delay", "resource", "software"})


class FakeCleanup:
    discard = False

    async def process(self, queue_id, envelope, content, *, hold=False):
        assert not envelope.origin.client_address
        prefix = f"Received: by mail.example.test (Postfix)\r\n\tid {queue_id}; {mail_date(1_795_507_422)}\r\n"
        return NewMessage(queue_id, envelope, prefix.encode(), content, hold, self.discard)


def received(for_="", protocol="ESMTP") -> bytes:
    tail = f"\r\n\tfor <{for_}>; DATE" if for_ else ";\r\n\tDATE"
    return (
        "Received: from client.example.test (localhost [127.0.0.1])\r\n"
        f"\tby mail.example.test (Postfix) with {protocol} id {ID}{tail}\r\n"
    ).encode()


def make(classes=frozenset(), **parameters):
    log = MemoryLog()
    service = BounceService(
        BounceParameters("mail.example.test", "example.test", notify_classes=frozenset(classes), **parameters),
        FakeCleanup(),
        lambda: "92D6920C17B",
        ServiceLog(log, "postfix/bounce"),
        clock=lambda: 1_795_507_422.5,
    )
    return service, log


def recipient(address, original="", notify=Notify.UNSAID, orcpt=""):
    return Recipient(address, original or address, notify, orcpt)


def result(number, to, dsn="5.7.1", text=CLOSED, **more):
    status = {"2": Status.SENT, "4": Status.DEFERRED, "5": Status.BOUNCED}[dsn[0]]
    return DeliveryResult(QueuedRecipient(number, to), status, Dsn.parse(dsn), more.pop("relay", "none"), text, **more)


def report(event, results, prefix, *, body=BODY, sender="alice@example.test", classes=(), parameters=None, **envelope):
    service, log = make(classes, **(parameters or {}))
    recipients = tuple(item.recipient.recipient for item in results)
    message = QueuedMessage(
        ID,
        QueueName.ACTIVE,
        Envelope(sender, recipients, 1_795_507_422.0, ORIGIN, **envelope),
        len(prefix) + len(body),
        0.0,
        0.0,
        1,
        tuple(PendingRecipient(item.recipient) for item in results),
    )
    return asyncio.run(service.report(event, message, prefix, MemoryContent(body), results)), log.lines


def normal(data: bytes) -> str:
    text = data.decode().replace("\r\n", "\n")
    text = re.sub(r"\b[0-9A-F]{11}\b", "QID", text)
    text = re.sub(r"QID\.\d{10}/", "QID.TIME/", text)
    text = re.sub(r"\d{14}\.QID", "TIME.QID", text)
    return re.sub(r"(Mon|Tue|Sun), \d\d Nov 2026 \d\d:\d\d:\d\d [+-]\d{4} \(\w+\)", "DATE", text)


def check(name, notices, index=0, count=1):
    assert len(notices) == count
    message = notices[index].message
    assert normal(message.prefix + message.content.read()) == (GOLDEN / f"{name}.txt").read_text()
    return message


def test_failure():
    notices, _ = report(Event.FAILURE, [result(0, recipient("x@err.test"))], received())
    message = check("failure", notices)
    assert message.envelope.sender == ""
    assert [item.address for item in message.envelope.recipients] == ["alice@example.test"]
    assert notices[0].text == "sender non-delivery notification"


def test_failure_of_an_alias():
    notices, _ = report(
        Event.FAILURE, [result(0, recipient("gone@err.test", "nobody@example.test"))], received("nobody@example.test")
    )
    check("failure-of-an-alias", notices)


def test_a_large_message_returns_its_header():
    notices, _ = report(
        Event.FAILURE, [result(0, recipient("x@err.test"))], received(), body=HEADER + b"\r\n" + b"x" * 60000 + b"\r\n"
    )
    check("failure-of-a-large-message", notices)


def test_ret_hdrs_envid_and_orcpt():
    to = recipient("y@err.test", notify=Notify.FAILURE, orcpt="rfc822;orig+y@err.test")
    notices, _ = report(Event.FAILURE, [result(0, to)], received("y@err.test"), ret=Ret.HDRS, envid="env+id")
    check("failure-headers-envid-orcpt", notices)


def test_smtputf8():
    results = [result(n, recipient(f"{name}@err.test", notify=Notify.FAILURE)) for n, name in enumerate(("a1", "b1"))]
    notices, _ = report(Event.FAILURE, results, received(protocol="UTF8SMTP"), smtputf8=True)
    check("failure-smtputf8", notices)


def test_a_peers_words():
    bad = (
        "550-5.1.1 <bad>: Recipient address rejected: User unknown in the 550 5.1.1 virtual mailbox table of this sink"
    )
    host = "host 127.0.0.1[127.0.0.1] said:"
    end = "(in reply to RCPT TO command)"
    peer = {"remote_mta": "127.0.0.1", "relay": "127.0.0.1[127.0.0.1]:2601"}
    results = [
        result(0, recipient("bad@sink.test"), "5.1.1", f"{host} {bad} {end}", remote_reply=bad, **peer),
        result(
            1, recipient("plain@sink.test"), "5.0.0", f"{host} 554 go away {end}", remote_reply="554 go away", **peer
        ),
    ]
    notices, _ = report(Event.FAILURE, results, received())
    check("failure-remote", notices)


def test_folding():
    address = "a-very-long-local-part-of-an-address-that-goes-on@err.test"
    notices, _ = report(Event.FAILURE, [result(0, recipient(address), text=LONG)], received(address))
    check("failure-folded", notices)


def test_success():
    to = recipient("bob@example.test", notify=Notify.SUCCESS | Notify.FAILURE)
    notices, _ = report(
        Event.SUCCESS,
        [result(0, to, "2.0.0", "delivered to maildir", relay="virtual")],
        received("bob@example.test"),
        ret=Ret.FULL,
    )
    check("success", notices)
    assert notices[0].text == "sender delivery status notification"


def test_success_of_a_relay():
    reply = "250 2.0.0 Ok: queued as SINK"
    to = recipient("good@sink.test", notify=Notify.SUCCESS)
    sent = result(0, to, "2.0.0", reply, relay="127.0.0.1[127.0.0.1]:2601", remote_mta="127.0.0.1", remote_reply=reply)
    notices, _ = report(Event.SUCCESS, [sent], received("good@sink.test"))
    check("success-relayed", notices)


def delayed(classes=()):
    refused = "connect to 127.0.0.1[127.0.0.1]:9: Connection refused"
    notify = Notify.DELAY | Notify.FAILURE
    results = [
        result(0, recipient("s1@slow.test", notify=notify), "4.4.1", "try again later"),
        result(1, recipient("t1@tmp.test", notify=notify), "4.4.1", refused),
    ]
    return report(Event.DELAY, results, received(), classes=classes)[0]


def test_delay():
    notices = delayed()
    check("delay", notices)
    assert notices[0].text == "sender delay notification"


def test_delay_copy_to_the_postmaster():
    notices = delayed(ALL)
    message = check("postmaster-delay", notices, 1, 2)
    assert message.envelope.sender == "double-bounce@mail.example.test"
    assert message.envelope.recipients[0].address == "postmaster"
    assert notices[1].text == "postmaster delay notification"


def test_mail_without_a_sender_goes_to_the_postmaster():
    results = [result(0, recipient("z@err.test"))]
    notices, _ = report(Event.FAILURE, results, received("z@err.test"), sender="", classes={"2bounce"})
    check("postmaster-null-sender", notices)


def test_mail_without_a_sender_is_not_answered():
    assert report(Event.FAILURE, [result(0, recipient("z@err.test"))], b"", sender="")[0] == []
    assert report(Event.SUCCESS, [result(0, recipient("z@x", notify=Notify.SUCCESS), "2.0.0")], b"", sender="")[0] == []


def test_notify_never_leaves_the_postmasters_copy():
    to = recipient("never@err.test", notify=Notify.NEVER)
    notices, _ = report(Event.FAILURE, [result(0, to)], received("never@err.test"), classes=ALL)
    check("postmaster-copy", notices)
    assert report(Event.FAILURE, [result(0, to)], b"")[0] == []


def test_a_double_bounce_ends_here():
    results = [result(0, recipient("postmaster@example.test"))]
    notices, lines = report(Event.FAILURE, results, b"", sender="double-bounce@mail.example.test", classes=ALL)
    assert notices == []
    assert lines == [f"postfix/bounce: warning: {ID}: undeliverable postmaster notification discarded"]


@pytest.mark.parametrize(
    ("event", "dsn", "notify", "told"),
    [
        (Event.FAILURE, "5.0.0", Notify.UNSAID, True),
        (Event.FAILURE, "5.0.0", Notify.FAILURE, True),
        (Event.FAILURE, "5.0.0", Notify.DELAY, False),
        (Event.FAILURE, "5.0.0", Notify.SUCCESS, False),
        (Event.FAILURE, "5.0.0", Notify.NEVER, False),
        (Event.DELAY, "4.0.0", Notify.UNSAID, True),
        (Event.DELAY, "4.0.0", Notify.FAILURE, False),
        (Event.DELAY, "4.0.0", Notify.DELAY, True),
        (Event.SUCCESS, "2.0.0", Notify.UNSAID, False),
        (Event.SUCCESS, "2.0.0", Notify.SUCCESS, True),
    ],
)
def test_notify(event, dsn, notify, told):
    notices, _ = report(event, [result(0, recipient("x@y", notify=notify), dsn)], b"")
    assert bool(notices) is told


def test_a_header_without_end_is_cut():
    body = b"X: " + b"y" * 70 + b"\r\n"
    notices, _ = report(Event.FAILURE, [result(0, recipient("x@y"))], b"", body=body * 2000)
    data = notices[0].message.content.read()
    assert 45_000 < len(data) < 55_000
    assert data.endswith(b"y\r\n\r\n--8375020C3D4.1795507422/mail.example.test--\r\n")


def test_words_with_line_breaks_cannot_forge_fields():
    text = "550 no\r\nAction: delivered\nX: y\x00"
    notices, _ = report(Event.FAILURE, [result(0, recipient("x@y"), text=text, remote_reply=text)], b"")
    data = notices[0].message.content.read()
    part = data.split(b"message/delivery-status\r\n\r\n")[1].split(b"\r\n\r\n--")[0]
    (status,) = parse_delivery_status(part).recipients
    assert status.action == "failed"
    assert status.diagnostic == "550 no Action: delivered X: y?"


def test_an_alias_that_wants_a_report_of_success_was_expanded():
    to = recipient("many@al.test", notify=Notify.SUCCESS | Notify.FAILURE, orcpt="rfc822;old@x.test")
    notices, _ = report(Event.SUCCESS, [expansion(to)], received("many@al.test"), sender="me@slow.test", envid="e1")
    check("success-expanded", notices)


def test_a_notice_that_a_check_throws_away_is_none(monkeypatch):
    monkeypatch.setattr(FakeCleanup, "discard", True)
    notices, _ = report(Event.FAILURE, [result(0, recipient("x@err.test"))], received(), classes={"bounce"})
    assert notices == []


def test_no_agent_is_named_where_none_delivered():
    to = recipient("self@sink.test", notify=Notify.SUCCESS)
    notices, _ = report(Event.SUCCESS, [result(0, to, "2.0.0", "thrown")], received())
    text = notices[0].message.content.read()
    assert b"\r\n<self@sink.test>: thrown\r\n" in text
    assert b"Diagnostic-Code: X-Postfix; thrown\r\n" in text


def test_the_sender_of_a_message_cannot_choose_the_parts_of_its_report():
    guessed = f"{ID}.1795507422/mail.example.test"
    body = HEADER + f"\r\n--{guessed}--\r\n--1.{guessed}\r\nContent-Type: text/html\r\n\r\n<p>forged\r\n".encode()
    notices, _ = report(Event.FAILURE, [result(0, recipient("x@err.test"))], received(), body=body)
    parsed = email.message_from_bytes(notices[0].message.content.read())
    kinds = [part.get_content_type() for part in parsed.get_payload()]
    assert kinds == ["text/plain", "message/delivery-status", "message/rfc822"]
    assert b"<p>forged" in parsed.get_payload()[2].as_bytes()


HOSTILE = "a\r\n\r\n--x\r\nBcc: victim@x.test\r\n\u2028\x85\x00\udcff --"


def test_nothing_that_others_choose_breaks_a_header_or_a_line():
    to = Recipient(HOSTILE + "@x.test", HOSTILE, orcpt="rfc822;" + HOSTILE)
    results = [result(0, to, "5.7.1", HOSTILE, remote_reply=HOSTILE, remote_mta=HOSTILE)]
    body = b"Message-Id: <" + b"i" * 5000 + b"@x>\r\nSubject: a\r\n\r\nx\r\n"
    notices, _ = report(
        Event.FAILURE, results, b"", body=body, envid=HOSTILE, parameters={"enable_threaded_bounces": True}
    )
    data = notices[0].message.content.read()
    head = data.partition(b"\r\n\r\n")[0]
    assert b"Bcc" not in head
    assert b"References" not in head
    parsed = email.message_from_bytes(data)
    parts = parsed.get_payload()
    assert len(parts) == 3
    assert b"\nBcc" not in data
    assert b"\r" not in data.replace(b"\r\n", b"")
    assert parse_delivery_status(_body(data, b"message/delivery-status")).recipients[0].action == "failed"


def _body(data, kind):
    return data.partition(b"Content-Type: " + kind + b"\r\n\r\n")[2].partition(b"\r\n\r\n--")[0]


def test_a_message_that_is_all_header_is_returned_in_part():
    body = b"".join(b"X-%d: %s\r\n" % (number, b"y" * 90) for number in range(100_000)) + b"\r\nx\r\n"
    begun = time.perf_counter()
    notices, _ = report(Event.FAILURE, [result(0, recipient("x@err.test"))], received(), body=body)
    assert time.perf_counter() - begun < 1.0
    assert len(notices[0].message.content.read()) < 60_000


PEOPLE = (
    recipient("a@err.test"),
    recipient("b@err.test", "all@alias.test"),
    recipient("c@err.test", notify=Notify.NEVER),
)


def verp_report(event=Event.FAILURE, dsn="5.7.1", sender="list@lists.test", **more):
    results = [result(number, each, dsn) for number, each in enumerate(PEOPLE)]
    notices, _ = report(event, results, received(), sender=sender, verp="+=", **more)
    return [
        (
            notice.text,
            notice.message.envelope.recipients[0].address,
            re.findall(r"Final-Recipient: rfc822; (\S+)", notice.message.content.read().decode()),
        )
        for notice in notices
    ]


def test_verp_failures_are_told_one_by_one():
    assert verp_report() == [
        ("sender non-delivery notification", "list+a=err.test@lists.test", ["a@err.test"]),
        ("sender non-delivery notification", "list+all=alias.test@lists.test", ["b@err.test"]),
    ]


def test_verp_failures_are_told_together_when_that_is_wanted():
    assert verp_report(parameters={"disable_verp_bounces": True}) == [
        ("sender non-delivery notification", "list@lists.test", ["a@err.test", "b@err.test"])
    ]


def test_the_postmaster_has_a_copy_of_each_verp_report():
    to_postmaster = [each for each in verp_report(classes=("bounce",)) if each[1] == "postmaster"]
    assert to_postmaster[:2] == [
        ("postmaster non-delivery notification", "postmaster", ["a@err.test"]),
        ("postmaster non-delivery notification", "postmaster", ["b@err.test"]),
    ]


def test_delays_of_verp_mail_are_told_together_to_its_own_sender():
    assert verp_report(Event.DELAY, "4.7.1") == [
        ("sender delay notification", "list@lists.test", ["a@err.test", "b@err.test"])
    ]


def test_a_verp_report_shows_the_messages_own_sender():
    (notice,), _ = report(Event.FAILURE, [result(0, PEOPLE[0])], received(), sender="list@lists.test", verp="-=")
    text = notice.message.content.read().decode()
    assert "\r\nTo: list-a=err.test@lists.test\r\n" in text
    assert "\r\nX-Postfix-Sender: rfc822; list@lists.test\r\n" in text
    assert "\r\nReturn-Path: <list@lists.test>\r\n" in text


def test_verp_of_nobody_is_told_to_nobody_but_the_postmaster():
    people = [recipient for _text, recipient, _final in verp_report(sender="", classes=("2bounce",))]
    assert people == ["postmaster"]
