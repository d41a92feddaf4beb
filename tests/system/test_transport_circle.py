"""Transports that hand on to each other, through the real server: the mail waits, with Postfix's words, and no more.

Postfix goes on until all processes of both transports wait for each other, and gives up after ipc_timeout.
"""

from __future__ import annotations

import re
import smtplib
import time

CIRCLE = "relay=none, .*dsn=4.3.0, status=deferred \\(unknown mail transport error\\)"


def outcome(server, recipient):
    """The log line of the recipient's first attempt."""
    with smtplib.SMTP(server.site.host, server.site.ports.smtp, timeout=20) as client:
        client.ehlo("client.example")
        assert client.sendmail("a@far.example", [recipient], "Subject: x\r\n\r\n") == {}
    for _ in range(400):
        for line in server.log().splitlines():
            if f"to=<{recipient}>" in line:
                return line
        time.sleep(0.05)
    raise AssertionError(server.log())


def test_local_and_its_double(servers):
    server = servers.prepare({"mydestination": "here.test", "local_recipient_maps": ""})
    with (server.site.configuration / "master.cf").open("a") as file:
        file.write("local unix - n n - - local -o mailbox_transport=other\n")
        file.write("other unix - n n - - local -o fallback_transport=local -o mailbox_transport=local\n")
    server.start()
    assert re.search(CIRCLE, outcome(server, "root@here.test"))
    assert "transports hand on to each other: local -> other -> local -> other" in server.log()
    assert "recursion" not in server.log().lower()


def test_two_smtp_clients(servers):
    server = servers.prepare({"relay_domains": "loop.test", "best_mx_transport": "second"})
    with (server.site.configuration / "main.cf").open("a") as file:
        file.write(f"transport_maps = inline:{{{{loop.test=smtp:[{server.site.host}]}}}}\n")
    with (server.site.configuration / "master.cf").open("a") as file:
        file.write("second unix - - n - - smtp -o best_mx_transport=smtp\n")
    server.start()
    assert re.search(CIRCLE, outcome(server, "u@loop.test"))
