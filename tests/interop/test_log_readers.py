"""Programs that read mail logs count exactly what happened, from our log as it is."""

import contextlib
import imaplib
import re
import smtplib
import subprocess

import pytest

from angarium.demo import trial

pytestmark = pytest.mark.interop

ALICE, BOB = "alice@example.test", "bob@example.test"


@pytest.fixture(scope="module")
def busy():
    """A server's log after known transactions: three messages sent, two recipients refused, wrong passwords."""
    from tests.conftest import ServerFactory

    factory = ServerFactory()
    server = factory.start()
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
        for _look in iter(lambda: server.log().count(": removed"), 3):
            pass
        server.stop()
        yield server.site.log
    finally:
        factory.close()


def told(*words):
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_pflogsumm_counts_what_was_sent_and_refused(busy, peer):
    report = told(peer("pflogsumm"), str(busy))
    totals = {
        name: int(number) for number, name in re.findall(r"^ +(\d+)k? +([a-z ]+?)(?: \(|$)", report, re.MULTILINE)
    }
    assert totals["received"] == 3
    assert totals["delivered"] == 3
    assert totals["rejected"] == 2
    assert totals["bounced"] == 0
    assert totals["deferred"] == 0


@pytest.mark.parametrize(
    ("jail", "matches"),
    [("postfix[mode=auth]", 3), ("postfix[mode=normal]", 2), ("dovecot", 1)],
)
def test_fail2ban_sees_who_to_ban(busy, peer, jail, matches):
    report = told(peer("fail2ban-regex"), str(busy), jail)
    assert f"{matches} matched" in report, report


def test_logwatch_leaves_nothing_unmatched(busy, peer):
    peer("logwatch")
    script = "/usr/share/logwatch/scripts/services/postfix"
    done = subprocess.run(
        ["perl", "-I/usr/share/logwatch/lib", script, "--detail", "5"],
        input=busy.read_text(),
        capture_output=True,
        text=True,
        env={"LOGWATCH_DATE_RANGE": "all", "PATH": "/usr/bin:/bin"},
        timeout=120,
        check=False,
    )
    assert "Accepted" in done.stdout, done.stdout + done.stderr
    assert "Unmatched" not in done.stdout
