"""The sendmail command on a running server: from standard input to a mailbox, and over a stop of the server."""

from __future__ import annotations

import imaplib
import os
import pwd
import shutil
import subprocess
import time

import pytest

from angarium.commands import postqueue, postsuper, sendmail_script

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


def test_v_reports_the_first_attempt_however_it_ends(servers):
    """The report is Postfix's for the same mail, but for the way (its discard(8) and error(8) name no relay, too)."""
    transports = "{ok.test=discard:} {slow.test=retry:4.4.1 later} {bad.test=error:5.1.1 no such}"
    parameters = {"transport_maps": f"inline:{{{transports}}}", "virtual_alias_domains": "a.test"}
    parameters["virtual_alias_maps"] = "inline:{x@a.test=y@ok.test}"
    server = servers.start(parameters)
    recipients = ("u@ok.test", "u@slow.test", "u@bad.test", "x@a.test")
    done = sendmail(server, "-v", "-f", "bob@example.test", *recipients, text=b"Subject: a\n\nbody\n")
    assert done.returncode == 0
    assert done.stdout == b"Mail Delivery Status Report will be mailed to <bob@example.test>.\n"
    text = received(server, "Mail Delivery Status Report").decode().replace("\r\n", "\n")
    assert "Enclosed is the mail delivery report that you requested.\n\n                   The mail system\n\n" in text
    for line in ("<u@ok.test>: ok.test", "<u@slow.test>: later", "<u@bad.test>: no such"):
        assert f"\n{line}\n" in text
    assert "<y@ok.test> (expanded from <x@a.test>): ok.test\n" in text
    for address, action, status in (
        ("u@ok.test", "delivered", "2.0.0"),
        ("u@slow.test", "delayed", "4.4.1"),
        ("u@bad.test", "failed", "5.1.1"),
    ):
        original = f"Original-Recipient: rfc822;{address}\n"
        assert f"Final-Recipient: rfc822; {address}\n{original}Action: {action}\nStatus: {status}\n" in text
    assert "Content-Description: Message Headers\n" in text
    assert received(server, "Undelivered Mail Returned to Sender")
    assert server.log().count(": sender delivery status notification: ") == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_other_users_see_and_flush_the_queue_as_they_are_allowed(servers):
    """authorized_mailq_users and authorized_flush_users, by who is at the other end of the server's sockets."""
    python = shutil.which("python3", path="/usr/bin:/usr/local/bin")
    if python is None:
        pytest.skip("no interpreter that is open to other users")
    parameters = {
        "authorized_mailq_users": "!nobody, static:all",
        "authorized_flush_users": "!nobody, static:all",
        "transport_maps": "inline:{{slow.test=retry:4.4.1 later}}",
    }
    server = servers.start(parameters)
    assert sendmail(server, "-f", "alice@example.test", "a@slow.test", text=b"Subject: x\n\nx\n").returncode == 0
    server.site.root.chmod(0o755)
    spool = server.site.root / "spool"
    script = (
        "import socket, sys\nc = socket.socket(socket.AF_UNIX)\nc.connect(sys.argv[1])\n"
        "if sys.argv[2]: c.sendall(sys.argv[2].encode())\nwhile d := c.recv(65536): sys.stdout.buffer.write(d)"
    )

    def ask(user: str, path: str, data: str) -> str:
        who = pwd.getpwnam(user)
        words = [python, "-c", script, str(spool / "public" / path), data]
        rights = {"user": who.pw_uid, "group": who.pw_gid, "extra_groups": []}
        done = subprocess.run(words, capture_output=True, text=True, timeout=60, **rights)
        assert done.returncode == 0, done.stderr
        return done.stdout

    number = pwd.getpwnam("nobody").pw_uid
    flush = "V000000011q00000001f"
    assert ask("daemon", "showq", "").startswith("protocol\0mail_queue_list_protocol\0")
    assert "a@slow.test" in ask("daemon", "showq", "")
    assert ask("nobody", "showq", "") == ""
    assert ask("daemon", "pickup", flush) == "250 2.0.0 Ok\n"
    assert ask("nobody", "pickup", flush) == f"550 5.7.1 User nobody({number}) is not allowed to flush the mail queue\n"


def test_mailq_is_the_clients_own(servers, tmp_path, capfd):
    """The script lists the queue by itself, as the whole command does; what it cannot do, it leaves to that."""
    server = servers.start({"transport_maps": "inline:{{slow.test=retry:4.4.1 later}}"})
    for sender, recipients in (("alice@example.test", ["a@slow.test", "b@slow.test"]), ("", ["é@slow.test"])):
        assert sendmail(server, "-f", sender, *recipients, text=b"Subject: x\n\nx\n").returncode == 0
    etc = str(server.site.configuration)
    script = tmp_path / "sendmail"
    sendmail_script.write(script)
    (tmp_path / "mailq").symlink_to(script)

    def listed(*words: str) -> str:
        done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True)
        assert done.stderr == ""
        return done.stdout

    whole = ""
    deadline = time.monotonic() + SECONDS
    while whole.count("(later)") < 2:
        assert time.monotonic() < deadline, whole
        assert postqueue.main(["-c", etc, "-p"]) == 0
        whole = capfd.readouterr().out
    assert listed(str(tmp_path / "mailq"), "-C", etc) == whole
    assert listed(str(script), "-C", etc, "-bp") == whole
    held = whole.splitlines()[1].split()[0].rstrip("*!#")
    assert postsuper.main(["-c", etc, "-h", held]) == 0
    capfd.readouterr()
    assert postqueue.main(["-c", etc, "-p"]) == 0
    whole = capfd.readouterr().out
    assert f"{held}!" in whole
    assert listed(str(tmp_path / "mailq"), "-c", etc) == whole
    for out, status, said in (
        (">/dev/full", 69, "postqueue: fatal: output write error: No space left on device\n"),
        (">&-", 0, ""),
    ):
        command = ["sh", "-c", f'"$0" -C "$1" {out}', tmp_path / "mailq", etc]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode, done.stderr) == (status, said)
    assert postsuper.main(["-c", etc, "-d", "ALL"]) == 0
    assert listed(str(tmp_path / "mailq"), "-C", etc) == "Mail queue is empty\n"
    server.stop()
    done = subprocess.run([str(tmp_path / "mailq"), "-C", etc], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "Mail queue is empty\n"
    assert "Mail system is down -- accessing queue directly" in done.stderr
