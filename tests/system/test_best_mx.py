"""best_mx_transport through the real server: mail that would come back goes to another transport."""

from __future__ import annotations

import smtplib
import time


def test_mail_that_would_loop_goes_to_another_transport(servers):
    server = servers.prepare({"relay_domains": "loop.test", "best_mx_transport": "discard:kept here"})
    with (server.site.configuration / "main.cf").open("a") as file:
        file.write(f"transport_maps = inline:{{{{loop.test=smtp:[{server.site.host}]}}}}\n")
    server.start()
    with smtplib.SMTP(server.site.host, server.site.ports.smtp, timeout=20) as client:
        client.ehlo("client.example")
        assert client.sendmail("a@far.example", ["u@loop.test"], "Subject: x\r\n\r\n") == {}
    for _ in range(200):
        lines = [line for line in server.log().splitlines() if "to=<u@loop.test>" in line]
        if lines:
            break
        time.sleep(0.05)
    assert "status=sent (kept here)" in lines[0]
