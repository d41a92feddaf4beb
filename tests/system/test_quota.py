"""Quotas in a running server: what SMTP, the queue, IMAP and the administrator's commands make of one and the same."""

from __future__ import annotations

import contextlib
import email
import imaplib
import json
import re
import smtplib
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from email.header import decode_header, make_header

import pytest

FULL = "552 5.2.2 <bob@example.test>: Recipient address rejected: Mailbox is full"


def send(server, recipients, size, declare=True):
    """What SMTP says to a message of so many bytes in all: the last reply."""
    head = "Subject: sized\r\n\r\n"
    body = head + "x" * (size - len(head) - 2) + "\r\n"
    with smtplib.SMTP(server.site.host, server.site.ports.smtp, timeout=30) as client:
        client.ehlo()
        client.mail("sender@elsewhere.test", [f"size={len(body)}"] if declare else [])
        answers = [client.rcpt(recipient) for recipient in recipients]
        if not any(code == 250 for code, _text in answers):
            return str(answers[-1][0]) + " " + answers[-1][1].decode()
        code, text = client.data(body)
        return f"{code} {text.decode()}"


@contextlib.contextmanager
def imap(server, name):
    address = f"{name}@example.test"
    with imaplib.IMAP4_SSL(server.site.host, server.site.ports.imaps, ssl_context=server.tls, timeout=30) as client:
        client.login(address, server.passwords[address])
        client.select("INBOX")
        yield client


def subjects(server, name):
    with imap(server, name) as client:
        _ok, data = client.fetch("1:*", "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
        return [email.message_from_bytes(one[1])["subject"] for one in data if isinstance(one, tuple)]


def used(server, name):
    return json.loads(server.site.administer("angarium", "quota", "show", f"{name}@example.test", "--json"))["used"]


def wait(server, text, count=1):
    end = time.monotonic() + 30
    while server.log().count(text) < count:
        assert time.monotonic() < end, server.log()
        time.sleep(0.02)


def set_quota(server, *words):
    server.site.administer("angarium", "quota", "set", *words)


@pytest.fixture
def warned(servers):
    return servers.start(
        {
            "mailstore_quota_warnings": "80%, 95%, -80%",
            "mailstore_quota_warning_postmaster": "yes",
            "mailstore_quota_rules": "Junk:ignore, Trash:storage=+10K",
        },
        "carol",
    )


def test_a_mailbox_fills_up(warned):
    server = warned
    server.site.administer("angarium", "alias", "add", "postmaster@example.test", "alice@example.test")
    set_quota(server, "bob@example.test", "20K", "--mail", "9K")
    assert send(server, ["bob@example.test"], 8000).startswith("250")
    assert send(server, ["bob@example.test"], 10_000) == (
        "552 5.2.3 <bob@example.test>: Recipient address rejected: Message is too large for the mailbox"
    )
    assert send(server, ["bob@example.test"], 10_000, declare=False).startswith("552 5.2.3 <bob@example.test>: ")
    assert "quota-warning" not in server.log()
    assert send(server, ["bob@example.test"], 8500).startswith("250")
    wait(server, "status=sent", 4)  # two mails, the warning, and the postmaster's
    assert [subject for subject in subjects(server, "bob") if "full" in subject] == ["Your mailbox is 83% full"]
    assert subjects(server, "alice") == ["Mailbox of bob@example.test is 83% full"]
    assert server.log().count("quota-warning[") == 2

    # one delivery more may exceed the limit by a tenth, and then no other
    assert send(server, ["bob@example.test"], 3200).startswith("250")
    wait(server, "status=sent", 7)
    assert send(server, ["bob@example.test"], 600) == FULL
    assert send(server, ["bob@example.test"], 600, declare=False) == FULL
    # an alias for him alone is refused, one for others too is not
    server.site.administer("angarium", "alias", "add", "one@example.test", "bob@example.test")
    server.site.administer("angarium", "alias", "add", "two@example.test", "bob@example.test", "carol@example.test")
    assert send(server, ["one@example.test"], 600).startswith("552 5.2.2 <one@example.test>: ")
    assert send(server, ["two@example.test"], 600).startswith("250")
    wait(server, "to=<bob@example.test>, orig_to=<two@example.test>, relay=virtual")
    wait(server, "status=bounced (Quota exceeded (mailbox for user is full))")
    assert used(server, "carol")["messages"] == 1

    with imap(server, "bob") as client:
        assert b"[OVERQUOTA]" in client.append("INBOX", None, None, b"Subject: x\r\n\r\n" + b"x" * 99)[1][0]
        assert client.append("Junk", None, None, b"Subject: x\r\n\r\n" + b"x" * 8000)[0] == "OK"
        assert client.copy("1", "Sent")[0] == "NO"
        assert client.copy("1", "Trash")[0] == "OK"
        assert b"STORAGE" in client.getquotaroot("INBOX")[1][1][0]
        client.store("1:*", "+FLAGS", "\\Deleted")
        client.expunge()
    wait(server, "bob@example.test is below 80% of its quota")
    wait(server, "status=sent", 10)
    assert subjects(server, "bob") == ["Your mailbox has room again"]
    assert "warning:" not in server.log().replace("quota-warning[", "").replace("quota-warning:", "")
    assert send(server, ["bob@example.test"], 600).startswith("250")


def test_a_full_mailbox_may_be_temporary_everywhere(servers):
    server = servers.start({"over_quota_reject_code": "452"})
    set_quota(server, "bob@example.test", "0", "--messages", "1")
    assert send(server, ["bob@example.test"], 100).startswith("250")
    answer = "452 4.2.2 <bob@example.test>: Recipient address rejected: Mailbox is full"
    assert send(server, ["bob@example.test"], 100) == answer
    command = [server.site.command("sendmail")[0], "-C", str(server.site.configuration), "bob@example.test"]
    subprocess.run(command, input=b"Subject: x\n\nx\n", check=True)
    wait(server, "dsn=4.2.2, status=deferred (Quota exceeded (too many messages in the mailbox))")
    set_quota(server, "bob@example.test", "--messages", "2")
    server.site.administer("postqueue", "-f")
    wait(server, "status=sent (delivered to mailbox)", 2)


def test_the_end_of_a_message_finds_a_mailbox_full(servers):
    """The recipient was accepted when there was room; another was faster."""
    server = servers.start({"mailstore_quota_grace": "0"})
    set_quota(server, "bob@example.test", "1K")
    with smtplib.SMTP(server.site.host, server.site.ports.smtp, timeout=30) as client:
        client.ehlo()
        client.mail("sender@elsewhere.test")
        assert client.rcpt("bob@example.test")[0] == 250
        assert send(server, ["bob@example.test"], 600).startswith("250")
        code, text = client.data("Subject: x\r\n\r\n" + "x" * 500)
    assert f"{code} {text.decode()}" == FULL
    assert re.search(r"postfix/smtpd\[\d+\]: \w+: reject: END-OF-MESSAGE from", server.log())
    assert "status=bounced" not in server.log()
    assert server.site.administer("mailq") == "Mail queue is empty\n"


def test_workers_that_fill_a_mailbox_together_take_no_more_than_fits_and_warn_once(servers):
    server = servers.start(
        {"mailstore_quota_warnings": "50%, 90%", "mailstore_quota_grace": "0", "worker_processes": "3"}
    )
    set_quota(server, "bob@example.test", "100K")
    set_quota(server, "alice@example.test", "105K")  # or she may take so much that bob never comes to 90%
    set_quota(server, "example.test", "--total", "200K")
    with ThreadPoolExecutor(8) as senders:
        both = ("bob@example.test", "alice@example.test")
        answers = list(senders.map(lambda number: send(server, [both[number % 2]], 4000), range(120)))
    assert {answer[:9] for answer in answers} == {"250 2.0.0", "552 5.2.2"}
    wait(server, "quota-warning[", 4)
    wait(server, "status=sent", sum(answer.startswith("250") for answer in answers) + 2)
    log = server.log()
    for threshold in (50, 90):
        assert log.count(f"bob@example.test is at {threshold}% of its quota: storage") == 1
        assert log.count(f"domain example.test is at {threshold}% of its quota: storage") == 1
    assert "panic" not in log
    shown = json.loads(server.site.administer("angarium", "quota", "show", "example.test", "--json"))
    held = {name: used(server, name)["bytes"] for name in ("alice", "bob")}
    assert shown["domain_used"]["bytes"] == sum(held.values())
    assert 90 << 10 < held["bob"] < 102 << 10  # with two warnings, which are always taken; alice may have been faster
    assert 195 << 10 < sum(held.values()) < 202 << 10
    counted = json.loads(server.site.administer("angarium", "quota", "recalculate", "--all", "--json"))
    assert all(one["wrong"] == [] for one in counted)


def test_a_domain_is_full(servers):
    server = servers.prepare({"mailstore_quota_warnings": "90%", "mailstore_quota_template_directory": "/nowhere"})
    site = server.site
    templates = site.root / "templates"
    templates.mkdir()
    (templates / "domain-warning.example.test").write_text("Subject: پر $domain\n\n$used\n", encoding="utf-8")
    site.administer("postconf", f"mailstore_quota_template_directory={templates}")
    server.start()
    assert send(server, ["bob@example.test"], 4000).startswith("250")
    assert site.administer("angarium", "quota", "set", "example.test", "--total", "10K") == (
        "example.test  none  together 10K\n"
    )
    site.administer("angarium", "alias", "add", "postmaster@example.test", "alice@example.test")
    assert send(server, ["alice@example.test"], 5200).startswith("250")
    wait(server, "domain example.test is at 90% of its quota")
    wait(server, "status=sent", 3)
    assert str(make_header(decode_header(subjects(server, "alice")[1]))) == "پر example.test"
    for name in ("alice", "bob"):
        assert send(server, [f"{name}@example.test"], 1000).startswith("552 5.2.2")
    with imap(server, "bob") as client:
        assert b"[OVERQUOTA]" in client.append("INBOX", None, None, b"Subject: x\r\n\r\n" + b"x" * 2000)[1][0]
        client.store("1:*", "+FLAGS", "\\Deleted")
        client.expunge()
    assert send(server, ["alice@example.test"], 1000).startswith("250")
    shown = json.loads(site.administer("angarium", "quota", "show", "example.test", "--json"))
    assert shown["domain_used"]["messages"] == 3
    held = used(server, "alice")["bytes"] + used(server, "bob")["bytes"]
    assert shown["domain_used"]["bytes"] == held


def test_a_directory_that_is_missing_limits_nobody_a_damaged_one_defers(servers):
    server = servers.prepare(
        {
            "virtual_mailbox_domains": "inline:{example.test=x}",
            "virtual_mailbox_maps": "static:x",
            "virtual_alias_maps": "",
            "mailstore_messages_limit": "1",
            "mailstore_quota_maps": "inline:{ {carol@example.test=1K 2}, dan@example.test=nonsense }",
        }
    )
    database = server.site.root / "lib" / "directory.sqlite"
    for each in database.parent.glob("directory.sqlite*"):
        each.unlink()
    server.start()
    assert send(server, ["bob@example.test"], 100).startswith("250")
    assert send(server, ["bob@example.test"], 100) == FULL
    assert send(server, ["carol@example.test"], 100).startswith("250")
    assert send(server, ["carol@example.test"], 600).startswith("552 5.2.2")
    assert send(server, ["dan@example.test"], 100) == "451 4.3.0 <dan@example.test>: Temporary lookup failure"
    assert "dan@example.test: not a size: 'nonsense'" in server.log()
    database.write_bytes(b"no database" * 1000)
    end = time.monotonic() + 30
    while (answer := send(server, ["bob@example.test"], 100)) == FULL:
        assert time.monotonic() < end
        time.sleep(0.1)
    assert answer == "451 4.3.0 <bob@example.test>: Temporary lookup failure"
