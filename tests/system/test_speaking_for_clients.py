"""XFORWARD, XCLIENT and a before-queue filter through the real server: of whom the log and the restrictions speak."""

from __future__ import annotations

import imaplib
import runpy
import smtplib
import time
from pathlib import Path

FILTERS = runpy.run_path(str(Path(__file__).parents[1] / "fakes" / "smtp_filter.py"))

MESSAGE = "Subject: seen\r\nFrom: <joe@far.example>\r\n\r\ntext\r\n"


def logged(server, text):
    for _ in range(100):
        lines = [line for line in server.site.log.read_text().splitlines() if text in line]
        if lines:
            return lines[-1]
        time.sleep(0.05)
    raise AssertionError(f"not in the log: {text}")


def test_a_filter_and_a_proxy_speak_for_clients(servers):
    server = servers.start(
        {
            "smtpd_authorized_xforward_hosts": "127.0.0.0/8",
            "smtpd_authorized_xclient_hosts": "127.0.0.0/8",
            "smtpd_client_restrictions": "check_client_access inline:{{192.0.2.8 = REJECT not you}}",
            "header_checks": "regexp:{{/^Subject: seen/ WARN was here}}",
        }
    )
    account = next(iter(server.passwords))
    with smtplib.SMTP(server.site.host, server.site.ports.smtp, timeout=20) as client:
        client.ehlo("filter.test")
        assert client.docmd("XFORWARD NAME=far.example ADDR=192.0.2.8 PROTO=SMTP HELO=hi.example IDENT=ABC")[0] == 250
        assert client.sendmail("joe@far.example", [account], MESSAGE) == {}
        assert client.docmd("XCLIENT NAME=near.example ADDR=192.0.2.7")[0] == 220
        client.ehlo("hello.example")
        assert client.sendmail("joe@far.example", [account], MESSAGE) == {}
    with smtplib.SMTP(server.site.host, server.site.ports.smtp, timeout=20) as client:
        client.ehlo("proxy.test")
        assert client.docmd("XCLIENT NAME=[UNAVAILABLE] ADDR=192.0.2.8")[0] == 220
        client.ehlo("x")
        client.mail("joe@far.example")
        assert client.rcpt(account) == (554, b"5.7.1 <unknown[192.0.2.8]>: Client host rejected: not you")
    assert logged(server, "orig_queue_id=ABC, orig_client=far.example[192.0.2.8]")
    checked = logged(server, "header Subject: seen from far.example[192.0.2.8]")
    assert checked.endswith("proto=SMTP helo=<hi.example>: was here")
    with imaplib.IMAP4(server.site.host, server.site.ports.imap) as reader:
        reader.starttls(ssl_context=server.tls)
        reader.login(account, server.passwords[account])
        reader.select()
        headers = [reader.fetch(str(number), "(BODY[HEADER.FIELDS (Received)])")[1][0][1] for number in (1, 2)]
    assert b"from filter.test (" in headers[0]
    assert b"from hello.example (near.example [192.0.2.7])" in headers[1]


def test_a_before_queue_filter_gets_the_mail_and_hears_of_the_client(servers):
    proxy = FILTERS["Filter"](**FILTERS["KINDS"]["XFORWARD"])
    server = servers.start({"smtpd_proxy_filter": f"127.0.0.1:{proxy.port}"})
    account = next(iter(server.passwords))
    try:
        with smtplib.SMTP(server.site.host, server.site.ports.smtp, timeout=20) as client:
            client.ehlo("client.example")
            assert client.sendmail("joe@far.example", [account], MESSAGE) == {}
    finally:
        server.stop()
        proxy.close()
    said = [line for line in proxy.said if not line.startswith("Received: ")]
    assert said[0] == f"EHLO {server.site.hostname}"
    assert " ADDR=127.0.0.1 " in said[1]
    assert " HELO=client.example " in said[1]
    assert f"rcpt TO:<{account}>" in said
    assert said[-2:] == [".", "QUIT"]
    assert "proxy-accept: END-OF-MESSAGE: 250 2.0.0 filter took it; from=<joe@far.example>" in server.log()


def test_mail_through_an_after_queue_filter_keeps_its_client(servers):
    """As amavisd does it: out with XFORWARD, and back in with what was heard."""
    scanner = FILTERS["Filter"](**FILTERS["KINDS"]["XFORWARD"])
    server = servers.prepare({"content_filter": f"scan:[127.0.0.1]:{scanner.port}"})
    with (server.site.configuration / "master.cf").open("a") as file:
        file.write("scan unix - - n - - smtp\n  -o smtp_send_xforward_command=yes\n")
        file.write(
            f"{server.site.host}:10025 inet n - n - - smtpd\n  -o content_filter=\n  -o syslog_name=postfix/back\n"
        )
        file.write("  -o smtpd_authorized_xforward_hosts=127.0.0.0/8\n")
    server.start()
    account = next(iter(server.passwords))
    try:
        with smtplib.SMTP(server.site.host, server.site.ports.smtp, timeout=20) as client:
            client.ehlo("client.example")
            assert client.sendmail("joe@far.example", [account], MESSAGE) == {}
        first = logged(server, "removed").partition(": removed")[0].rpartition(" ")[2]
    finally:
        scanner.close()
    told = [line for line in scanner.said if line.startswith("XFORWARD ")]
    assert any(f" IDENT={first}" in f" {line}" for line in told)
    with smtplib.SMTP(server.site.host, 10025, timeout=20) as back:
        back.ehlo("scanner.test")
        for line in told:
            assert back.docmd(line)[0] == 250
        assert back.sendmail("joe@far.example", [account], MESSAGE) == {}
    line = logged(server, "orig_queue_id=")
    assert "postfix/back/smtpd" in line
    assert f"orig_queue_id={first}, orig_client=" in line
    assert line.endswith("[127.0.0.1]")
