"""virtual(8): headers, lookups, outcomes and words are those of Postfix's, recorded from 3.7."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

import pytest

from angarium.agents.virtual.headers import delivery_headers
from angarium.agents.virtual.lookup import find_account, keys
from angarium.agents.virtual.main import virtual_agent
from angarium.agents.virtual.parameters import VirtualParameters
from angarium.mailstore.interface import Column, MailstoreUnavailableError
from angarium.mailstore.main import open_mailstore
from angarium.mailstore.parameters import MailstoreParameters
from angarium.model.content import MemoryContent
from angarium.model.delivery import DeliveryRequest, QueuedRecipient, Status
from angarium.model.envelope import Envelope, Origin, Recipient
from angarium.model.lookup import NOT_FOUND, Found, TemporaryError
from angarium.model.quota import WARNING_SERVICE, QuotaLimit, QuotaPlan
from angarium.runtime.log import MemoryLog, ServiceLog

CONTENT = b"From: s@x\r\nSubject: t\r\n\r\nhello\r\n"
TABLE = {
    "alice@example.test": "example.test/alice/",
    "bob@example.test": "bob@example.test",
    '"quo ted"@example.test': "odd/path/to/q/",
    "@catch.test": "all@example.test",
    "@broken.test": "one/two/three",
}


async def locate(key):
    if "down" in key:
        return TemporaryError("connection refused", "mysql:users")
    return Found(TABLE[key], "hash:users") if key in TABLE else NOT_FOUND


def request_for(*addresses, sender="bob@x.test", queue_id="4F2A", content=CONTENT):
    recipients = tuple(QueuedRecipient(n, Recipient(*pair)) for n, pair in enumerate(addresses))
    envelope = Envelope(sender, tuple(one.recipient for one in recipients), 1.0, Origin("ESMTP"))
    return DeliveryRequest(
        queue_id,
        "virtual",
        "example.test",
        envelope,
        recipients,
        b"Received: by us\r\n",
        MemoryContent(content),
        1.0,
        2.0,
    )


class Scene:
    def __init__(self, tmp_path, *, original=True, over_quota_action="bounce", **parameters):
        self.log = MemoryLog()
        self.store = open_mailstore(MailstoreParameters(tmp_path, **parameters), ServiceLog(self.log, "test"))
        self.agent = virtual_agent(
            VirtualParameters("+", original, over_quota_action),
            self.store,
            locate,
            ServiceLog(self.log, "postfix/virtual"),
            lambda: 1_795_500_000.0,
        )

    async def messages(self, account):
        handle = await self.store.open(account)
        inbox = (await handle.mailbox("INBOX")).id
        uids = [state.uid for state in await handle.states(inbox)]
        return [content.read() for _uid, content in await handle.bodies(inbox, uids)]


@pytest.fixture
def play(tmp_path):
    def run(test, **parameters):
        async def body():
            scene = Scene(tmp_path, **parameters)
            try:
                return await test(scene)
            finally:
                await scene.store.close()

        return asyncio.run(body())

    return run


def outcome(result):
    return result.status, str(result.dsn), result.relay, result.text


SENT = (Status.SENT, "2.0.0", "virtual", "delivered to mailbox")


def test_headers_as_postfix_writes_them(play):
    async def test(scene):
        request = request_for(("Alice+News@Example.test", "al@example.test"), sender="b ob@x.test")
        (result,) = await scene.agent.deliver(request)
        assert outcome(result) == SENT
        assert result.recipient is request.recipients[0]
        assert result.agent_ready == result.finished == 1_795_500_000.0
        assert await scene.messages("alice@example.test") == [
            b'Return-Path: <"b ob"@x.test>\r\nX-Original-To: al@example.test\r\n'
            b"Delivered-To: Alice+News@Example.test\r\nReceived: by us\r\n" + CONTENT
        ]

    play(test)


def test_the_original_address_is_not_told_without_enable_original_recipient(play):
    async def test(scene):
        await scene.agent.deliver(request_for(("bob@example.test", "al@example.test")))
        (message,) = await scene.messages("bob@example.test")
        assert message.startswith(b"Return-Path: <bob@x.test>\r\nDelivered-To: bob@example.test\r\nReceived: ")

    play(test, original=False)


def test_the_date_is_in_the_local_zone(play, monkeypatch):
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    time.tzset()

    async def test(scene):
        await scene.agent.deliver(request_for(("bob@example.test", "bob@example.test")))
        account = await scene.store.open("bob@example.test")
        inbox = (await account.mailbox("INBOX")).id
        assert await account.columns(inbox, [1], [Column.INTERNALDATE]) == [(1, b'"24-Nov-2026 11:30:00 +0530"')]

    try:
        play(test)
    finally:
        monkeypatch.undo()
        time.tzset()


def test_headers_of_odd_addresses():
    assert delivery_headers("", "a@b", "a@b") == b"Return-Path: <>\r\nX-Original-To: a@b\r\nDelivered-To: a@b\r\n"
    assert b'Delivered-To: "Quo ted"@example.test\r\n' in delivery_headers("", "x@y", "Quo ted@example.test")
    assert "Delivered-To: ü@b\r\n".encode() in delivery_headers("", "x@y", "ü@b")


def test_keys():
    assert list(keys("Alice+News@Example.Test", "+")) == [
        "alice+news@example.test",
        "alice@example.test",
        "@example.test",
    ]
    assert list(keys("alice@example.test", "+-")) == ["alice@example.test", "@example.test"]
    assert list(keys("a-b@x", "")) == ["a-b@x", "@x"]


@pytest.mark.parametrize(
    ("recipient", "account"),
    [
        ("alice@example.test", "alice@example.test"),
        ("alice+x@example.test", "alice@example.test"),
        ("BOB@example.test", "bob@example.test"),
        ("quo ted@example.test", "quo ted@example.test"),
        ("anyone@catch.test", "all@example.test"),
    ],
)
def test_accounts(recipient, account):
    found = asyncio.run(find_account(locate, recipient, "+"))
    assert isinstance(found, Found)
    assert found.value == account


def test_an_unknown_user_bounces(play):
    async def test(scene):
        (result,) = await scene.agent.deliver(request_for(("Nobody@example.test", "x@y")))
        assert outcome(result) == (Status.BOUNCED, "5.1.1", "virtual", 'unknown user: "Nobody@example.test"')

    play(test)


@pytest.mark.parametrize("address", ["down@example.test", "x@broken.test"])
def test_a_lookup_that_fails_defers(play, address):
    async def test(scene):
        (result,) = await scene.agent.deliver(request_for((address, address)))
        assert outcome(result) == (Status.DEFERRED, "4.3.5", "virtual", "mail system configuration error")
        assert any(f"warning: table virtual_mailbox_maps: lookup {address}: " in line for line in scene.log.lines)

    play(test)


def test_a_full_mailbox_bounces(play):
    async def test(scene):
        request = request_for(("bob@example.test", "bob@example.test"))
        (result,) = await scene.agent.deliver(request)
        assert outcome(result) == (
            Status.BOUNCED, "5.2.2", "virtual", "Quota exceeded (mailbox for user is full)"
        )  # fmt: skip
        assert await scene.messages("bob@example.test") == []

    play(test, quota=QuotaPlan(QuotaLimit(50)))


def test_a_full_mailbox_defers_when_that_is_wanted(play):
    async def test(scene):
        (result,) = await scene.agent.deliver(request_for(("bob@example.test", "bob@example.test")))
        assert outcome(result)[:2] == (Status.DEFERRED, "4.2.2")

    play(test, over_quota_action="defer", quota=QuotaPlan(QuotaLimit(50)))


def test_a_message_larger_than_the_mailbox_takes_bounces(play):
    async def test(scene):
        (result,) = await scene.agent.deliver(request_for(("bob@example.test", "bob@example.test")))
        assert outcome(result) == (Status.BOUNCED, "5.2.3", "virtual", "Message is too large for the mailbox")

    play(test, over_quota_action="defer", quota=QuotaPlan(mail=50))


def test_a_warning_about_the_quota_is_taken(play):
    async def test(scene):
        request = request_for(("bob@example.test", "bob@example.test"), sender="")
        origin = replace(request.envelope.origin, service=WARNING_SERVICE)
        (result,) = await scene.agent.deliver(replace(request, envelope=replace(request.envelope, origin=origin)))
        assert result.status is Status.SENT

    play(test, quota=QuotaPlan(QuotaLimit(50)))


def test_an_unavailable_mailbox_defers(play, monkeypatch):
    async def test(scene):
        async def fail(_account):
            raise MailstoreUnavailableError("/secret/path: damaged")

        monkeypatch.setattr(scene.store, "open", fail)
        (result,) = await scene.agent.deliver(request_for(("bob@example.test", "bob@example.test")))
        assert (result.status, str(result.dsn)) == (Status.DEFERRED, "4.3.0")
        assert "/secret" not in result.text
        assert any("/secret/path: damaged" in line for line in scene.log.lines)

    play(test)


def test_many_recipients_are_delivered_at_once_and_again_is_no_duplicate(play):
    addresses = [(f"u{n}@catch.test", f"u{n}@catch.test") for n in range(20)]
    addresses += [("alice@example.test", "alice@example.test"), ("no@example.test", "no@example.test")]

    async def test(scene):
        for _time in range(2):
            results = await scene.agent.deliver(request_for(*addresses))
            assert [result.recipient.number for result in results] == list(range(22))
            assert [result.status for result in results[:21]] == [Status.SENT] * 21
            assert results[21].status is Status.BOUNCED
        assert len(await scene.messages("all@example.test")) == 20
        assert len(await scene.messages("alice@example.test")) == 1
        await scene.agent.deliver(request_for(*addresses, queue_id="4F2B"))
        assert len(await scene.messages("all@example.test")) == 40

    play(test)
