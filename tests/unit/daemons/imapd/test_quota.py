"""Quotas as IMAP tells them: GETQUOTA, GETQUOTAROOT, STATUS, and what APPEND, COPY and MOVE are refused (RFC 9208)."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.fakes.imap_server import MESSAGE, ImapClient, ImapServer

from angarium.daemons.imapd.main import ImapdParameters
from angarium.model.quota import QuotaLimit, QuotaPlan, parse_rules

SIZE = len(MESSAGE)
KIB = 1024
LARGE = MESSAGE + b"x" * (1100 * KIB)


@pytest.fixture
def talk(tmp_path: Path):
    """``talk(plan)``: a client of a server with that quota."""
    opened = []

    def start(plan: QuotaPlan, **parameters: object) -> ImapClient:
        server = ImapServer(tmp_path, ImapdParameters(max_userip_connections=0, **parameters))
        opened.append(server)
        server.__enter__()

        async def plan_of(_account: str) -> QuotaPlan:
            return plan

        server.service.mailstore.plan = plan_of
        client = server.client(select="INBOX")
        opened.append(client)
        return client

    yield start
    for each in reversed(opened):
        each.__exit__(None, None, None)


def test_what_is_used_of_what(talk):
    client = talk(QuotaPlan(QuotaLimit(10 * KIB, 5), domain=QuotaLimit(messages=9)))
    client.append()
    assert client.ok("GETQUOTAROOT INBOX")[:-1] == [
        b'* QUOTAROOT INBOX "User quota"',
        b'* QUOTA "User quota" (STORAGE 1 10 MESSAGE 1 5)',
    ]
    assert client.ok('GETQUOTA "User quota"')[0] == b'* QUOTA "User quota" (STORAGE 1 10 MESSAGE 1 5)'
    assert client.last('GETQUOTA "Domain quota"').startswith(b"NO [NONEXISTENT]")
    assert client.last('SETQUOTA "User quota" (STORAGE 1000)').startswith(b"NO [NOPERM]")


def test_the_domain_is_a_root_when_users_may_know(talk):
    client = talk(QuotaPlan(domain=QuotaLimit(messages=9)), quota_domain=True)
    client.append()
    assert client.ok("GETQUOTAROOT missing")[:-1] == [
        b'* QUOTAROOT missing "User quota" "Domain quota"',
        b'* QUOTA "User quota" ()',
        b'* QUOTA "Domain quota" (MESSAGE 1 9)',
    ]


def test_a_mailbox_that_does_not_count_has_no_root(talk):
    client = talk(QuotaPlan(QuotaLimit(SIZE), rules=parse_rules("Junk:ignore")))
    assert client.ok("GETQUOTAROOT Junk")[:-1] == [b"* QUOTAROOT Junk"]
    assert client.append(mailbox="Junk").startswith(b"OK")
    assert client.append(LARGE, mailbox="Junk").startswith(b"OK")
    assert client.append().startswith(b"OK")
    client.ok("SELECT Junk")
    assert client.last("COPY 1 INBOX") == b"NO [OVERQUOTA] Quota exceeded (mailbox for user is full)"
    assert client.last("MOVE 1 INBOX").startswith(b"NO [OVERQUOTA]")
    client.ok("SELECT INBOX")
    assert any(line.startswith(b"* OK [COPYUID ") for line in client.ok("MOVE 1 Junk"))


def test_a_full_mailbox_takes_nothing_more(talk):
    client = talk(QuotaPlan(QuotaLimit(SIZE + 1), rules=parse_rules("Trash:storage=+1K")))
    assert client.append().startswith(b"OK")
    assert client.append() == b"NO [OVERQUOTA] Quota exceeded (mailbox for user is full)"
    assert client.last("COPY 1 Sent").startswith(b"NO [OVERQUOTA]")
    assert client.last("COPY 1 Trash").startswith(b"OK [COPYUID")
    assert client.ok("MOVE 1 Sent")[-1].startswith(b"OK")
    client.send(b"x APPEND INBOX {%d}\r\n" % len(LARGE))
    assert client.line() == b"x NO [OVERQUOTA] Quota exceeded (mailbox for user is full)"


def test_a_message_may_be_too_large_for_the_mailbox(talk):
    client = talk(QuotaPlan(mail=SIZE))
    assert client.append().startswith(b"OK")
    assert client.append(MESSAGE + b"x") == b"NO [LIMIT] Message is too large for the mailbox"
    client.send(b"x APPEND INBOX {%d}\r\n" % len(LARGE))
    assert client.line() == b"x NO [LIMIT] Message is too large for the mailbox"


def test_what_an_expunge_would_free(talk):
    client = talk(QuotaPlan())
    client.append(LARGE, options="(\\Deleted)")
    client.append()
    assert client.ok("STATUS INBOX (DELETED DELETED-STORAGE)")[0] == b"* STATUS INBOX (DELETED 1 DELETED-STORAGE 1101)"
    listed = client.ok('LIST "" INBOX RETURN (STATUS (MESSAGES DELETED-STORAGE))')
    assert listed[1] == b"* STATUS INBOX (MESSAGES 2 DELETED-STORAGE 1101)"
    client.ok("EXPUNGE")
    assert client.ok("STATUS INBOX (DELETED-STORAGE)")[0] == b"* STATUS INBOX (DELETED-STORAGE 0)"
