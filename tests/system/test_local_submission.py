"""The sendmail command on a running server: from standard input to a mailbox, and over a stop of the server."""

from __future__ import annotations

import imaplib
import subprocess
import time

SECONDS = 20.0


def sendmail(server, *words: str, text: bytes) -> subprocess.CompletedProcess[bytes]:
    command = server.site.command("sendmail")
    return subprocess.run([command[0], "-C", str(server.site.configuration), *words], input=text, capture_output=True)


def received(server, subject: str) -> bytes:
    """Bob's message of that subject, once it is there."""
    deadline = time.monotonic() + SECONDS
    host, port = server.site.host, server.site.ports.imaps
    with imaplib.IMAP4_SSL(host, port, ssl_context=server.tls, timeout=30) as client:
        client.login("bob@example.test", server.passwords["bob@example.test"])
        client.select("INBOX")
        while True:
            _, (found,) = client.search(None, "SUBJECT", f'"{subject}"')
            if found:
                _, rows = client.fetch(found.split()[-1], "(BODY[])")
                return rows[0][1]
            assert time.monotonic() < deadline, server.log()
            client.noop()


def test_a_local_user_writes_to_a_mailbox(server):
    text = b"To: Bob <bob+lists@example.test>\nBcc: nobody-sees@example.test\nSubject: from here\n\n.dot\nlast"
    done = sendmail(server, "-t", "-i", "-F", "The Writer", "-f", "alice@example.test", text=text)
    assert (done.returncode, done.stderr) == (0, b"")
    message = received(server, "from here")
    header, _, body = message.partition(b"\r\n\r\n")
    assert body == b".dot\r\nlast\r\n"
    assert b"\r\nFrom: The Writer <alice@example.test>" in header
    assert b"(Postfix, from userid " in header
    assert b"Bcc" not in header
    assert "from=<alice@example.test>" in server.log()


def test_mail_written_while_the_server_is_down_arrives_when_it_is_up(servers):
    server = servers.start()
    server.stop()
    done = sendmail(server, "bob@example.test", text=b"Subject: patient\n\nhello\n")
    assert (done.returncode, done.stderr) == (0, b"")
    server.start()
    assert received(server, "patient").endswith(b"\r\n\r\nhello\r\n")


def test_smtp_on_standard_input(server):
    commands = b"EHLO here\r\nMAIL FROM:<alice@example.test>\r\nRCPT TO:<bob@example.test>\r\nDATA\r\n"
    done = sendmail(server, "-bs", text=commands + b"Subject: by hand\r\n\r\nhello\r\n.\r\nQUIT\r\n")
    assert done.returncode == 0
    assert b"250 2.0.0 Ok: queued as " in done.stdout
    assert received(server, "by hand").endswith(b"hello\r\n")
