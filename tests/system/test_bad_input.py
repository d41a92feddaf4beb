"""Hostile and broken input against the real server: each gets a clear answer, nobody else notices, nothing is lost."""

import contextlib
import imaplib
import os
import poplib
import signal
import smtplib
import socket
import subprocess
import time

import pytest

from angarium.demo import trial

ALICE, BOB = "alice@example.test", "bob@example.test"
PATIENCE = 20
MARKS = "\u0301\u0323".encode() * 200 + b"\r\n"


def worker_pids(server):
    """The master's children: none of them may be replaced by what a test sends."""
    master = (server.site.root / "spool" / "pid" / "master.pid").read_text().strip()
    found = subprocess.run(["pgrep", "-P", master], capture_output=True, text=True, check=True).stdout.split()
    return sorted(found)


@pytest.fixture
def unharmed(server):
    """After the test the same processes run, and mail still goes all the way."""
    before = worker_pids(server)
    yield server
    assert worker_pids(server) == before
    trial.run(server.site, server.passwords)


@pytest.fixture
def smtp(unharmed):
    with raw(unharmed, unharmed.site.ports.smtp) as file:
        assert file.readline().startswith(b"220 ")
        yield file


@contextlib.contextmanager
def raw(server, port):
    with (
        socket.create_connection((server.site.host, port), timeout=PATIENCE) as connection,
        connection.makefile("rwb") as file,
    ):
        yield file


def say(file, line):
    file.write(line + b"\r\n")
    file.flush()
    reply = file.readline()
    while reply[3:4] == b"-":
        reply = file.readline()
    return reply


def imap(server, user=BOB):
    client = imaplib.IMAP4_SSL(server.site.host, server.site.ports.imaps, ssl_context=server.tls, timeout=PATIENCE)
    client.login(user, server.passwords[user])
    client.select("INBOX")
    return client


def deliver(server, content):
    """Through SMTP, straight from bytes; the reply to the final dot."""
    with smtplib.SMTP(server.site.host, server.site.ports.smtp, timeout=PATIENCE) as client:
        client.ehlo("client.example")
        assert client.mail("someone@elsewhere.example")[0] == 250
        assert client.rcpt(BOB)[0] == 250
        code, _text = client.data(content)
    return code


def newest_in(server, token):
    """Wait for the message with this Subject, and fetch its structure and its size."""
    client = imap(server)
    try:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            client.noop()
            _status, found = client.uid("SEARCH", "HEADER", "Subject", token)
            if found[0]:
                uid = found[0].split()[-1].decode()
                _status, data = client.uid("FETCH", uid, "(BODYSTRUCTURE RFC822.SIZE ENVELOPE)")
                _status, body = client.uid("FETCH", uid, "(BODY.PEEK[])")
                return data, body[0][1]
        raise AssertionError("it did not come")
    finally:
        client.logout()


def test_nonsense_commands(smtp):
    assert say(smtp, b"\x00\x01\x02").startswith(b"5")
    assert say(smtp, b"EHLO client.example").startswith(b"250")
    assert say(smtp, b"XYZZY " + b"a" * 500).startswith(b"500 5.5.2")
    assert say(smtp, b"MAIL FROM:<a@b").startswith(b"501 5.1.7")
    assert say(smtp, b"MAIL FROM:<\xff\xfe@elsewhere.example>")[:1] in b"45"
    assert say(smtp, b"RCPT TO:<bob@example.test>").startswith(b"503 5.5.1")
    assert say(smtp, b"QUIT").startswith(b"221")


def test_a_line_of_a_megabyte(smtp):
    assert say(smtp, b"EHLO " + b"a" * 1_000_000)[:1] in b"25"
    assert say(smtp, b"NOOP").startswith(b"250")


def test_a_client_that_goes_in_the_middle_of_data(unharmed):
    with raw(unharmed, unharmed.site.ports.smtp) as file:
        file.readline()
        say(file, b"EHLO client.example")
        say(file, b"MAIL FROM:<a@elsewhere.example>")
        say(file, b"RCPT TO:<bob@example.test>")
        assert say(file, b"DATA").startswith(b"354")
        file.write(b"Subject: half\r\n\r\nhalf a mess")
        file.flush()
    deadline = time.monotonic() + PATIENCE
    while "lost connection after DATA" not in unharmed.log():
        assert time.monotonic() < deadline
    assert "Subject: half" not in str(newest_subjects(unharmed))


def newest_subjects(server):
    client = imap(server)
    try:
        return client.search(None, "SUBJECT", "half")[1] if client.search(None, "SUBJECT", "half")[1][0] else []
    finally:
        client.logout()


def test_smuggling_with_a_bare_newline(smtp):
    """RFC 5321 section 2.3.8: <LF>.<LF> is no end of data (CVE-2023-51764)."""
    say(smtp, b"EHLO client.example")
    say(smtp, b"MAIL FROM:<a@elsewhere.example>")
    say(smtp, b"RCPT TO:<bob@example.test>")
    say(smtp, b"DATA")
    reply = say(smtp, b"Subject: one\r\n\r\nbody\n.\nMAIL FROM:<forged@elsewhere.example>\r\n.")
    assert reply[:3] in (b"250", b"521", b"550")
    assert say(smtp, b"NOOP").startswith(b"250") or reply.startswith(b"521")


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        (
            "deep",
            b"".join(
                b'Content-Type: multipart/mixed; boundary="b%d"\r\n\r\n--b%d\r\n' % (level, level)
                for level in range(10_000)
            ),
        ),
        (
            "wide",
            b'Content-Type: multipart/mixed; boundary="b"\r\n\r\n' + b"--b\r\n\r\nx\r\n" * 100_000 + b"--b--\r\n",
        ),
        ("header", b"X-Long: " + b"a" * 900 + b"\r\n\t" + (b"b" * 900 + b"\r\n\t") * 9_900 + b"end\r\n\r\nbody\r\n"),
        ("nul", b"\r\nbefore\x00after\r\n"),
        # Normalising Unicode sorts marks by insertion: it held the worker, its interpreter and all, for hours.
        ("marks", b"Content-Type: text/plain; charset=utf-8\r\n\r\n" + "e\u0301\u0323".encode() + MARKS * 500),
        ("fields", b"X: y\r\n" * 300_000 + b"\r\nbody\r\n"),
        ("quotes", (b"To: " + b'"",' * 300 + b"\r\n") * 1000 + b"\r\nbody\r\n"),
    ],
)
def test_a_monstrous_message(unharmed, kind, content):
    token = f"monster-{kind}-{os.getpid()}"
    begun = time.monotonic()
    code = deliver(unharmed, b"Subject: %b\r\n%b" % (token.encode(), content))
    assert code == 250
    data, body = newest_in(unharmed, token)
    assert time.monotonic() - begun < PATIENCE
    assert data[0]
    if kind not in (
        "header",
        "fields",
    ):  # its over-long header is another test's affair: Postfix cuts it at header_size_limit
        assert body.endswith(content.replace(b"\x00", b"") if kind == "nul" else content) or kind == "nul"


def test_imap_noise_costs_one_command(unharmed):
    with raw(unharmed, unharmed.site.ports.imap) as file:
        assert file.readline().startswith(b"* OK")
        for noise in (b"\x00\x00", b"a1", b"a2 LOGIN {99999999999}", b"a3 FETCH 1:* (", b'a4 LOGIN "x', b"a" * 200_000):
            file.write(noise + b"\r\n")
        file.write(b"z NOOP\r\n")
        file.flush()
        answers = []
        while not answers or not answers[-1].startswith(b"z "):
            line = file.readline()
            assert line, answers
            answers.append(line)
        assert answers[-1].startswith(b"z OK")
        assert any(b" BAD " in answer for answer in answers)


def test_pop3_noise_costs_one_command(unharmed):
    client = poplib.POP3_SSL(unharmed.site.host, unharmed.site.ports.pop3s, context=unharmed.tls, timeout=PATIENCE)
    for noise in ("\0\0", "RETR", "TOP 1", "PASS x", "XYZZY"):
        with pytest.raises(poplib.error_proto, match="-ERR"):
            client._shortcmd(noise)
    client.user(BOB)
    client.pass_(unharmed.passwords[BOB])
    with pytest.raises(poplib.error_proto):
        client.retr(99_999_999)
    client.quit()


@pytest.mark.parametrize(
    ("port", "begin", "injected", "ask", "answer"),
    [
        ("smtp", b"EHLO client.example\r\nSTARTTLS\r\n", b"NOOP\r\n", b"HELP\r\n", b"5"),
        ("imap", b"a STARTTLS\r\n", b"b CAPABILITY\r\n", b"c XYZZY\r\n", b"c BAD"),
        ("pop3", b"STLS\r\n", b"CAPA\r\n", b"XYZZY\r\n", b"-ERR"),
    ],
)
def test_what_is_sent_behind_starttls_in_plain_text_is_not_obeyed(unharmed, port, begin, injected, ask, answer):
    """CVE-2011-0411 and its like: a man in the middle puts his commands before the client's."""
    site = unharmed.site
    plain = socket.create_connection((site.host, getattr(site.ports, port)), timeout=PATIENCE)
    plain.recv(4096)
    if port == "smtp":
        plain.sendall(begin.partition(b"STARTTLS")[0])
        plain.recv(4096)
        begin = b"STARTTLS\r\n"
    plain.sendall(begin + injected)
    assert b"egin TLS" in (said := plain.recv(4096)) or b"Ready to start TLS" in said
    with unharmed.tls.wrap_socket(plain, server_hostname=site.hostname) as secure:
        secure.sendall(ask)
        assert secure.recv(4096).startswith(answer)


@pytest.mark.slow
def test_a_crowd_that_says_nothing(unharmed):
    """Hundreds of connections that wait, some in the middle of something: others are served as before."""
    site, ports = unharmed.site, unharmed.site.ports
    begun = {
        ports.smtp: b"EHLO client.exa",
        ports.imap: b"a LOGIN {100}",
        ports.pop3: b"USER ali",
        ports.imaps: b"\x16\x03\x01",
        ports.pop3s: b"",
        ports.submissions: b"\x16",
    }
    with contextlib.ExitStack() as crowd:
        for number in range(40):
            for port, start in begun.items():
                client = socket.create_connection(
                    (site.host, port), timeout=PATIENCE, source_address=(f"127.66.0.{number + 1}", 0)
                )
                crowd.enter_context(client)
                client.sendall(start)
        before = time.monotonic()
        assert deliver(unharmed, b"Subject: in the crowd\r\n\r\nx\r\n") == 250
        imap(unharmed).logout()
        assert time.monotonic() - before < PATIENCE / 2


def test_a_damaged_mailbox_harms_its_owner_alone(servers):
    server = servers.start()
    trial.run(server.site, server.passwords)
    server.stop()
    database = server.site.root / "mail" / "example.test" / "bob" / "mail.sqlite"
    database.write_bytes(b"\xff" * database.stat().st_size)
    for leftover in database.parent.glob(database.name + "-*"):
        leftover.unlink()
    server.start()
    assert deliver(server, b"Subject: to the damaged\r\n\r\nx\r\n") in (250, 451)
    client = imaplib.IMAP4_SSL(server.site.host, server.site.ports.imaps, ssl_context=server.tls, timeout=PATIENCE)
    client.login(ALICE, server.passwords[ALICE])
    assert client.select("INBOX")[0] == "OK"
    client.logout()
    listed = server.site.administer("postqueue", "-p")
    assert "bob@example.test" in listed  # it waits


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("smtpd_recipient_limit = many", "bad numerical configuration: smtpd_recipient_limit = many"),
        ("smtpd_tls_cert_file = /nonexistent.pem", "/nonexistent.pem"),
        ("this is no setting", "missing '='"),
    ],
)
def test_a_bad_main_cf_line_is_named(servers, line, words):
    server = servers.prepare()
    with (server.site.configuration / "main.cf").open("a") as file:
        file.write(line + "\n")
    with pytest.raises(subprocess.CalledProcessError) as caught:
        server.start()
    told = caught.value.stderr + (server.log() if server.site.log.exists() else "")
    assert words in told


def test_a_killed_worker_is_replaced(servers):
    server = servers.start()
    before = worker_pids(server)
    os.kill(int(before[0]), signal.SIGKILL)
    deadline = time.monotonic() + PATIENCE
    while len(worker_pids(server)) < len(before) or before[0] in worker_pids(server):
        assert time.monotonic() < deadline
    trial.run(server.site, server.passwords)
