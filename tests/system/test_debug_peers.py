"""debug_peer_list: conversations in the log, of the peers that it names and of no others."""

from __future__ import annotations

import runpy
import smtplib
import time
from pathlib import Path

TESTS = Path(__file__).parents[1]
SINKS = runpy.run_path(str(TESTS / "fakes" / "smtp_sinks.py"))


def logged(server, *texts):
    end = time.monotonic() + 20
    while not all(text in server.log() for text in texts):
        missing = [text for text in texts if text not in server.log()]
        assert time.monotonic() < end, f"{missing} not in\n{server.log()}"
        time.sleep(0.02)


def test_a_session_is_logged_without_its_secrets(servers):
    server = servers.start({"debug_peer_list": "127.0.0.0/30", "debug_peer_level": "1"})
    with smtplib.SMTP(server.site.host, server.site.ports.submission, timeout=20, source_address=("127.0.0.2", 0)) as c:
        c.starttls(context=server.tls)
        c.login("alice@example.test", server.passwords["alice@example.test"])
        c.sendmail("alice@example.test", ["bob@example.test"], "Subject: hello\n\na secret of the body\n")
    logged(
        server,
        "postfix/submission/smtpd[", "]: > unknown[127.0.0.2]: 220 mail.example.test ESMTP",
        "]: < unknown[127.0.0.2]: ehlo ",
        "]: < unknown[127.0.0.2]: STARTTLS\n",
        "]: > unknown[127.0.0.2]: 220 2.0.0 Ready to start TLS\n",
        "]: < unknown[127.0.0.2]: AUTH PLAIN...\n",
        "]: > unknown[127.0.0.2]: 235 2.7.0 Authentication successful\n",
        "]: < unknown[127.0.0.2]: mail FROM:<alice@example.test>",
        "]: > unknown[127.0.0.2]: 354 End data with <CR><LF>.<CR><LF>\n",
        "]: < unknown[127.0.0.2]: QUIT\n",
        "]: > unknown[127.0.0.2]: 221 2.0.0 Bye\n",
    )  # fmt: skip
    assert "a secret of the body" not in server.log()
    with smtplib.SMTP(server.site.host, server.site.ports.smtp, timeout=20, source_address=("127.0.0.9", 0)) as c:
        c.ehlo("other.example")
    logged(server, "disconnect from unknown[127.0.0.9]")
    assert " unknown[127.0.0.9]: " not in server.log()


def test_a_password_that_comes_unasked_is_not_shown(servers):
    server = servers.start({"debug_peer_list": "127.0.0.1"})
    with smtplib.SMTP(server.site.host, server.site.ports.smtp, timeout=20, source_address=("127.0.0.1", 0)) as c:
        c.ehlo("client.example")
        c.docmd("AUTH", "LOGIN")
        c.docmd("c2VjcmV0")
        c.docmd("NOOP")
    logged(server, "]: < localhost[127.0.0.1]: AUTH LOGIN\n", "]: < localhost[127.0.0.1]: ...\n", ": NOOP\n")
    assert "c2VjcmV0" not in server.log()


def test_level_zero_logs_nobody(servers):
    server = servers.start({"debug_peer_list": "127.0.0.0/8", "debug_peer_level": "0"})
    with smtplib.SMTP(server.site.host, server.site.ports.smtp, timeout=20) as c:
        c.ehlo("other.example")
    logged(server, "disconnect from ")
    assert "]: < " not in server.log()


def test_mail_that_leaves_is_logged_by_its_nexthop(servers):
    sinks = SINKS["Sinks"]({"127.68.0.30": {}, "127.68.0.31": {}})
    try:
        server = servers.start(
            {
                "debug_peer_list": "127.68.0.30",
                "transport_maps": f"inline:{{{{good.test=smtp:[127.68.0.30]:{sinks.port}}}, "
                f"{{quiet.test=smtp:[127.68.0.31]:{sinks.port}}}}}",
                "smtp_tls_security_level": "none",
            }
        )
        with smtplib.SMTP(server.site.host, server.site.ports.smtp, timeout=20) as c:
            c.sendmail("a@example.test", ["b@good.test", "b@quiet.test"], "Subject: hello\n\nbody\n")
        relay = f"127.68.0.30[127.68.0.30]:{sinks.port}"
        logged(
            server,
            f"]: > {relay}: EHLO mail.example.test\n",
            f"]: < {relay}: 250",
            f"]: > {relay}: MAIL FROM:<a@example.test>",
            f"]: > {relay}: RCPT TO:<b@good.test>",
            f"]: > {relay}: DATA\n",
            f"]: < {relay}: 354 ",
            "to=<b@quiet.test>",
        )
        assert " > 127.68.0.31" not in server.log()
    finally:
        sinks.close()
