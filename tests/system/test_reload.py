"""Reloads while clients come and go: nobody is refused, and nobody is sent away."""

from __future__ import annotations

import smtplib
import threading
import time

import pytest

RELOADS = 20


def visit(site, troubles, number, visits, over):
    """Come again and again, some with mail and some with a pause, until it is over."""
    while not over.is_set():
        try:
            with smtplib.SMTP(site.host, site.ports.smtp, timeout=30) as client:
                assert client.ehlo("client.example")[0] == 250
                if number % 2:
                    time.sleep(0.05)
                if number % 3 == 0:
                    assert client.sendmail("a@far.example", [f"alice@{site.domain}"], "Subject: x\r\n\r\n") == {}
                assert client.noop()[0] == 250
                assert client.quit()[0] == 221
            visits.append(number)
        except (OSError, AssertionError, smtplib.SMTPException) as error:
            troubles.append(repr(error))


@pytest.mark.slow
def test_no_client_notices_twenty_reloads(servers):
    server = servers.start({"smtpd_client_connection_rate_limit": "0"})
    troubles, visits, over = [], [], threading.Event()
    clients = [
        threading.Thread(target=visit, args=(server.site, troubles, number, visits, over)) for number in range(6)
    ]
    for client in clients:
        client.start()
    try:
        for number in range(1, RELOADS + 1):
            server.site.administer("postfix", "reload")
            seen = len(visits)
            deadline = time.monotonic() + 20
            while (server.log().count("reload -- version") < number or len(visits) < seen + 6) and not troubles:
                assert time.monotonic() < deadline
                time.sleep(0.02)
    finally:
        over.set()
        for client in clients:
            client.join()
    assert troubles == []
    assert len(visits) > 6 * RELOADS
    assert "Service shutting down" not in server.log()
