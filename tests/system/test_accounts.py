"""What ``angarium`` changes is in force at once, in every process and protocol of a running server."""

from __future__ import annotations

import imaplib
import json
import poplib
import smtplib
import subprocess

import pytest

ADDRESS = "carol@example.test"


def _smtp(server, user: str, password: str) -> None:
    with smtplib.SMTP(server.site.host, server.site.ports.submission, timeout=30) as client:
        client.starttls(context=server.tls)
        client.login(user, password)


def _imap(server, user: str, password: str) -> None:
    with imaplib.IMAP4_SSL(server.site.host, server.site.ports.imaps, ssl_context=server.tls, timeout=30) as client:
        client.login(user, password)


def _pop3(server, user: str, password: str) -> None:
    client = poplib.POP3_SSL(server.site.host, server.site.ports.pop3s, context=server.tls, timeout=30)
    try:
        client.user(user)
        client.pass_(password)
    finally:
        client.quit()


WAYS = (_smtp, _imap, _pop3)
REFUSALS = (smtplib.SMTPAuthenticationError, imaplib.IMAP4.error, poplib.error_proto)


def _opens(server, user: str, password: str) -> None:
    for way in WAYS:
        way(server, user, password)


def _refuses(server, user: str, password: str) -> None:
    for way in WAYS:
        with pytest.raises(REFUSALS):
            way(server, user, password)


def _recipient(server, address: str) -> int:
    with smtplib.SMTP(server.site.host, server.site.ports.smtp, timeout=30) as client:
        client.ehlo()
        client.mail("sender@elsewhere.test")
        return client.rcpt(address)[0]


def test_an_account_from_its_making_to_its_end(server):
    site = server.site
    _refuses(server, ADDRESS, "first word")
    assert _recipient(server, ADDRESS) == 550
    site.administer("angarium", "account", "add", ADDRESS, text="first word\n")
    _opens(server, ADDRESS, "first word")
    _opens(server, "Carol@Example.Test", "first word")
    _opens(server, "carol", "first word")
    assert _recipient(server, ADDRESS) == 250

    site.administer("angarium", "account", "set", ADDRESS, "--password", text="second word\n")
    _refuses(server, ADDRESS, "first word")
    _opens(server, ADDRESS, "second word")

    site.administer("angarium", "account", "set", ADDRESS, "--disable")
    _refuses(server, ADDRESS, "second word")
    assert _recipient(server, ADDRESS) == 250
    site.administer("angarium", "account", "set", ADDRESS, "--enable")
    _opens(server, ADDRESS, "second word")

    assert _recipient(server, "sales@example.test") == 550
    site.administer("angarium", "alias", "add", "sales@example.test", ADDRESS)
    assert _recipient(server, "sales@example.test") == 250
    site.administer("angarium", "alias", "remove", "sales@example.test")
    assert _recipient(server, "sales@example.test") == 550

    site.administer("angarium", "account", "remove", ADDRESS)
    _refuses(server, ADDRESS, "second word")
    assert _recipient(server, ADDRESS) == 550
    assert "first word" not in server.log()
    assert "second word" not in server.log()


def test_a_quota_is_seen_in_imap(server):
    site = server.site
    site.administer("angarium", "quota", "set", "bob@example.test", "5M")
    try:
        shown = json.loads(site.administer("angarium", "quota", "show", "bob@example.test", "--json"))
        assert shown["quota"] == {"bytes": 5 << 20, "messages": 0}
        assert set(shown["used"]) == {"bytes", "messages"}
        password = server.passwords["bob@example.test"]
        with imaplib.IMAP4_SSL(site.host, site.ports.imaps, ssl_context=server.tls, timeout=30) as client:
            client.login("bob@example.test", password)
            answer = client.getquotaroot("INBOX")[1]
        assert b"5120" in repr(answer).encode()
    finally:
        site.administer("angarium", "quota", "remove", "bob@example.test")


def test_the_exit_status_says_what_is_wrong(server):
    with pytest.raises(subprocess.CalledProcessError) as caught:
        server.site.administer("angarium", "account", "show", "nobody@example.test")
    assert caught.value.returncode == 67
    assert caught.value.stderr == "angarium: no such account: nobody@example.test\n"
