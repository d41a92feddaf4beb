"""A Postfix of the machine asks our quota-status service by check_policy_service, at RCPT and at the end of data."""

from __future__ import annotations

import smtplib
import socket

import pytest
from tests.conftest import ServerFactory
from tests.interop.relaypeer import PostfixPeer, refusal

pytestmark = pytest.mark.interop

PORT = 12340


@pytest.fixture(scope="module")
def status(request):
    """A server with the service on an inet and a unix socket, and a Postfix that asks both."""
    if refusal():
        pytest.skip(refusal())
    factory = ServerFactory()
    server = factory.prepare({"mailstore_mail_limit": "1000000"}, "full")
    master = server.site.configuration / "master.cf"
    with master.open("a", encoding="utf-8") as file:
        file.write(f"{server.site.host}:{PORT} inet n - n - - quota-status\n")
        file.write("quota-status unix n - n - - quota-status -o quota_status_overquota=452\n")
    server.start()
    server.site.administer("angarium", "quota", "set", "full@example.test", "1K", "--messages", "1")
    server.site.administer("angarium", "alias", "add", "one@example.test", "full@example.test")
    server.site.administer("angarium", "alias", "add", "two@example.test", "full@example.test", "bob@example.test")
    with smtplib.SMTP(server.site.host, server.site.ports.smtp, timeout=30) as client:
        client.sendmail("a@b.test", ["full@example.test"], "Subject: x\n\nfills it\n")
    parameters = {
        "relay_domains": "example.test",
        "relay_recipient_maps": "",
        "smtpd_relay_restrictions": "permit_mynetworks, reject",
        "smtpd_recipient_restrictions": f"check_policy_service inet:{server.site.host}:{PORT}",
        "smtpd_end_of_data_restrictions": f"check_policy_service inet:{server.site.host}:{PORT}",
        "defer_transports": "relay",
    }
    with PostfixPeer(parameters) as peer:
        yield server, peer
    factory.close()


def rcpt(peer, recipient, size=0):
    with smtplib.SMTP("127.0.0.1", peer.port, timeout=30) as client:
        client.ehlo()
        client.mail("a@b.test", [f"size={size}"] if size else [])
        code, text = client.rcpt(recipient)
    return code, text.decode()


@pytest.mark.parametrize(
    ("recipient", "size", "code", "text"),
    [
        ("bob@example.test", 1000, 250, "2.1.5 Ok"),
        ("bob@example.test", 1_000_001, 552, "Message is too large for the mailbox"),
        ("full@example.test", 0, 552, "5.2.2 <full@example.test>: Recipient address rejected: Mailbox is full"),
        ("full+ext@example.test", 10, 552, "Mailbox is full"),
        ("one@example.test", 10, 552, "Mailbox is full"),
        ("two@example.test", 10, 250, "2.1.5 Ok"),
        ("nobody@example.test", 10, 250, "2.1.5 Ok"),
    ],
)
def test_postfix_is_told_at_rcpt(status, recipient, size, code, text):
    _server, peer = status
    answer = rcpt(peer, recipient, size)
    assert answer[0] == code
    assert text in answer[1]


def test_postfix_is_told_the_true_size_at_the_end(status):
    _server, peer = status
    with smtplib.SMTP("127.0.0.1", peer.port, timeout=30) as client:
        for size, code in ((1_100_000, 552), (10, 250)):
            client.ehlo()
            client.mail("a@b.test")
            client.rcpt("bob@example.test")
            answer = client.data("Subject: x\n\n" + ("x" * 99 + "\n") * (size // 100))
            assert answer[0] == code, answer


def test_a_service_has_texts_of_its_own(status):
    server, _peer = status
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(server.site.root / "spool" / "public" / "quota-status"))
        connection.sendall(b"recipient=full@example.test\nsize=5\n\n")
        assert connection.recv(1000) == b"action=452\n\n"


def test_room_is_told_at_once_when_there_is_some(status):
    server, peer = status
    assert rcpt(peer, "full@example.test")[0] == 552
    server.site.administer("angarium", "quota", "set", "full@example.test", "1M", "--messages", "0")
    assert rcpt(peer, "full@example.test")[0] == 250
    server.site.administer("angarium", "quota", "set", "full@example.test", "1K", "--messages", "1")
    assert rcpt(peer, "full@example.test")[0] == 552
