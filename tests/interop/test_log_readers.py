"""Programs that read mail logs count exactly what happened, from our log as it is."""

import contextlib
import imaplib
import re
import smtplib
import subprocess
import time

import pytest

from angarium.commands import mailstats
from angarium.demo import trial

pytestmark = pytest.mark.interop

TRANSPORTS = "{ok.test=discard:} {slow.test=retry:4.4.1 try again later} {bad.test=error:5.1.1 no such user}"
ALICE, BOB = "alice@example.test", "bob@example.test"


@pytest.fixture(scope="module")
def busy():
    """A server's log after known transactions.

    In: one through submission, two through SMTP, one by the sendmail command with four recipients, one report of ours.
    Out: alice's two, bob's two, her report, one discarded by transport; one bounced, one deferred. Two recipients are
    refused.
    Three wrong passwords for SMTP, one for IMAP.
    """
    from tests.conftest import ServerFactory

    factory = ServerFactory()
    server = factory.start({"transport_maps": f"inline:{{{TRANSPORTS}}}"})
    try:
        trial.run(server.site, server.passwords)
        with smtplib.SMTP(server.site.host, server.site.ports.smtp, timeout=10) as client:
            for _message in range(2):
                client.sendmail("someone@elsewhere.example", [ALICE], b"Subject: x\r\n\r\nx\r\n")
            client.mail("someone@elsewhere.example")
            assert client.rcpt("nobody@example.test")[0] == 550
        stranger = ("127.0.0.66", 0)
        with smtplib.SMTP(server.site.host, server.site.ports.smtp, timeout=10, source_address=stranger) as client:
            client.ehlo("stranger.example")
            client.mail("someone@elsewhere.example")
            assert client.rcpt("victim@elsewhere.example")[0] == 454
        with smtplib.SMTP(
            server.site.host, server.site.ports.submission, timeout=30, source_address=stranger
        ) as client:
            client.starttls(context=server.tls)
            client.ehlo()
            for _attempt in range(3):
                assert client.docmd("AUTH", "PLAIN AGFsaWNlAHdyb25n")[0] == 535
        with contextlib.suppress(imaplib.IMAP4.error):
            client = imaplib.IMAP4_SSL(server.site.host, server.site.ports.imaps, ssl_context=server.tls, timeout=30)
            client.login(BOB, "wrong")
        client.shutdown()
        recipients = [BOB, "u@bad.test", "u@slow.test", "u@ok.test"]
        command = [server.site.command("sendmail")[0], "-C", str(server.site.configuration), "-f", ALICE, *recipients]
        subprocess.run(command, input=b"Subject: x\n\nx\n", check=True, timeout=60)
        deadline = time.monotonic() + 60
        while server.log().count(": removed") < 4 or "status=deferred" not in server.log():
            assert time.monotonic() < deadline, server.log()
            time.sleep(0.02)
        server.stop()
        yield server.site.log
    finally:
        factory.close()


def told(*words):
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_pflogsumm_counts_what_was_sent_refused_bounced_and_deferred(busy, peer):
    report = told(peer("pflogsumm"), str(busy))
    totals = {
        name: int(number) for number, name in re.findall(r"^ +(\d+)k? +([a-z ]+?)(?: +\(|$)", report, re.MULTILINE)
    }
    counted = ("received", "delivered", "forwarded", "deferred", "bounced", "rejected", "held", "discarded")
    assert {name: totals[name] for name in counted} == {
        "received": 4,
        "delivered": 6,
        "forwarded": 0,
        "deferred": 1,
        "bounced": 1,
        "rejected": 2,
        "held": 0,
        "discarded": 0,
    }
    assert re.search(r"^ +2 +senders$.*^ +2 +recipient hosts/domains$", report, re.MULTILINE | re.DOTALL)
    assert "no such user" in report
    assert "4.4.1" in report or "try again later" in report


@pytest.mark.parametrize(
    ("jail", "matches"),
    [("postfix[mode=auth]", 3), ("postfix[mode=normal]", 2), ("dovecot", 1)],
)
def test_fail2ban_sees_who_to_ban(busy, peer, jail, matches):
    report = told(peer("fail2ban-regex"), str(busy), jail)
    assert f"{matches} matched" in report, report


def logwatch(service, text):
    script = f"/usr/share/logwatch/scripts/services/{service}"
    environment = {"LOGWATCH_DATE_RANGE": "all", "LOGWATCH_DETAIL_LEVEL": "10", "PATH": "/usr/bin:/bin"}
    words = ["perl", "-I/usr/share/logwatch/lib", script, *(["--detail", "5"] if service == "postfix" else [])]
    done = subprocess.run(words, input=text, capture_output=True, text=True, env=environment, timeout=120, check=False)
    assert "Unmatched" not in done.stdout, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("number", "name"),
    [
        (3, "SASL authentication failed"),
        (4, "Accepted"),
        (1, "Rejected"),
        (1, "5xx Reject unknown user"),
        (1, "4xx Reject relay denied"),
        (4, "Connections"),
        (4, "Disconnections"),
        (4, "Removed from queue"),
        (6, "Delivered"),
        (1, "Deferred"),
        (1, "Bounced (local)"),
        (1, "Notifications sent"),
        (2, "TLS connections (server)"),
        (1, "SASL authenticated messages"),
    ],
)
def test_logwatch_counts_the_mail(busy, peer, number, name):
    peer("logwatch")
    report = logwatch("postfix", busy.read_text())
    assert re.search(rf"^ +{number} +{re.escape(name)} +\S+$", report, re.MULTILINE), report


def test_logwatch_counts_the_mailbox_sessions(busy, peer):
    """Its filters take time, host and program off before the service's script sees the lines."""
    peer("logwatch")
    lines = [line.split("dovecot: ", 1)[1] for line in busy.read_text().splitlines() if " dovecot: " in line]
    report = logwatch("dovecot", "\n".join(lines) + "\n")
    assert "Successful Logins: 2\n     2 bob@example.test (1 POP3, 1 IMAP)\n" in report
    assert "auth failed, 1 attempts in 0 secs: 1 Time(s)" in report


def test_mailstats_counts_the_same(busy, capsys):
    assert mailstats.main(["-P", "-f", str(busy)]) == 0
    ways = {row.split()[-1]: row.split()[1:-1] for row in capsys.readouterr().out.splitlines()[1:-2]}
    sent = {way: (int(row[0]), int(row[2]), int(row[4])) for way, row in ways.items()}  # in, out, rejected
    assert sent == {"discard": (0, 1, 0), "esmtp": (3, 0, 2), "local": (2, 5, 0)}
