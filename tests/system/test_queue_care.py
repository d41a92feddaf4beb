"""postsuper -r, and reports of aliases, on a running server."""

from __future__ import annotations

import json
import re
import smtplib
import subprocess
import time

SECONDS = 20.0


def until(server, check):
    deadline = time.monotonic() + SECONDS
    while not (value := check()):
        assert time.monotonic() < deadline, server.log()
        time.sleep(0.02)
    return value


def send(server, recipient, options=(), sender="alice@example.test"):
    with smtplib.SMTP(server.site.host, server.site.ports.smtp, timeout=20) as client:
        client.ehlo("client.test")
        assert client.mail(sender)[0] == 250
        assert client.rcpt(recipient, list(options))[0] == 250
        code, text = client.data("Subject: care\r\nMessage-Id: <care@x>\r\n\r\nhello\r\n")
        assert code == 250
        return text.decode().rpartition(" ")[2]


def test_a_requeued_message_has_a_new_id_and_new_addresses(servers):
    server = servers.start({"defer_transports": "virtual"})
    old = send(server, "bob@example.test")
    until(server, lambda: f"{old}: to=<bob@example.test>" in server.log())
    server.stop()
    with (server.site.configuration / "main.cf").open("a") as file:
        file.write("virtual_alias_maps = inline:{ bob@example.test=alice@example.test }\n")
    server.start()
    server.site.administer("postsuper", "-r", old)
    pattern = rf"pickup\[\d+\]: (\w+): uid=\d+ from=<alice@example\.test> orig_id={old}"
    new = until(server, lambda: re.search(pattern, server.log()))[1]
    until(server, lambda: f"{new}: to=<alice@example.test>, orig_to=<bob@example.test>" in server.log())
    (listed,) = server.site.administer("postqueue", "-j").splitlines()
    assert (json.loads(listed)["queue_id"], json.loads(listed)["recipients"][0]["address"]) == (
        new,
        "alice@example.test",
    )


def test_success_through_an_alias_is_reported_as_expanded(servers):
    server = servers.start()
    server.site.administer("angarium", "alias", "add", "team@example.test", "bob@example.test")
    queue_id = send(server, "team@example.test", ["NOTIFY=SUCCESS"])
    line = until(server, lambda: re.search(rf"{queue_id}: sender delivery status notification: (\w+)", server.log()))
    until(server, lambda: f"{line[1]}: removed" in server.log())
    (report,) = [
        text
        for path in (server.site.root / "mail").rglob("*")
        if path.is_file() and b"Action: expanded" in (text := path.read_bytes())
    ][:1]
    assert b"Final-Recipient: rfc822; team@example.test" in report


def test_bounces_of_bounces_end(servers):
    """A message from nobody to nobody, of which a postmaster shall hear who is nobody either."""
    server = servers.start(
        {
            "transport_maps": "inline:{ bad.test=error:5.1.1 }",
            "notify_classes": "bounce, 2bounce, delay",
            "bounce_notice_recipient": "x@bad.test",
            "2bounce_notice_recipient": "y@bad.test",
        }
    )
    command = [*server.site.command("sendmail")[:1], "-C", str(server.site.configuration)]
    for sender in ("<>", "z@bad.test"):
        done = subprocess.run([*command, "-f", sender, "w@bad.test"], input=b"Subject: x\n\ny\n", capture_output=True)
        assert done.returncode == 0
    until(server, lambda: server.log().count("undeliverable postmaster notification discarded") >= 3)
    until(server, lambda: "Mail queue is empty" in server.site.administer("postqueue", "-p"))
    bounced = re.findall(r"from=<(.*?)>, size=", server.log())
    # two messages, the bounce of the second, and to the postmaster: its copy, and the two that had no sender
    assert sorted(bounced) == ["", "", *["double-bounce@mail.example.test"] * 3, "z@bad.test"]
