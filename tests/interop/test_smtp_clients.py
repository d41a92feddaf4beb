"""Programs that administrators and their users send mail with, against the real server over TLS."""

import subprocess
import uuid

import pytest

from angarium.demo import trial

pytestmark = pytest.mark.interop

ALICE, BOB = "alice@example.test", "bob@example.test"


@pytest.fixture
def idler(server):
    """bob, waiting for mail; ``received(token)`` is the message that carries the token."""
    session = trial.Idler(server.site, server.tls, BOB, server.passwords[BOB])
    session.begin()

    def received(token):
        session.wait()
        content = session.newest()
        while token.encode() not in content:
            session.begin()
            session.wait()
            content = session.newest()
        return content

    yield received
    session.client.shutdown()  # also when the test failed and left it in IDLE


def run(*words, text=""):
    done = subprocess.run(words, input=text, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def letter(token):
    return f"From: {ALICE}\nTo: {BOB}\nSubject: {token}\n\nHello\n.\n..dots\n"


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_swaks_with_starttls(server, peer, idler, mechanism):
    token = uuid.uuid4().hex
    told = run(
        peer("swaks"), "--server", server.site.host, "--port", str(server.site.ports.submission), "--tls",
        "--tls-ca-path", str(server.site.authority), "--auth", mechanism, "--auth-user", ALICE,
        "--auth-password", server.passwords[ALICE], "--from", ALICE, "--to", BOB, "--header", f"Subject: {token}",
    )  # fmt: skip
    assert "250 2.0.0 Ok: queued as" in told
    assert f"Subject: {token}".encode() in idler(token)


def test_swaks_with_tls_from_the_start(server, peer, idler):
    token = uuid.uuid4().hex
    run(
        peer("swaks"), "--server", server.site.host, "--port", str(server.site.ports.submissions), "--tls-on-connect",
        "--auth", "PLAIN", "--auth-user", ALICE, "--auth-password", server.passwords[ALICE], "--from", ALICE,
        "--to", BOB, "--header", f"Subject: {token}",
    )  # fmt: skip
    assert b"ESMTPSA" in idler(token)


def test_msmtp(server, peer, idler):
    token = uuid.uuid4().hex
    run(
        peer("msmtp"), f"--host={server.site.host}", f"--port={server.site.ports.submission}", "--tls=on",
        "--tls-starttls=on", f"--tls-trust-file={server.site.authority}", "--auth=plain", f"--user={ALICE}",
        f"--passwordeval=echo {server.passwords[ALICE]}", f"--from={ALICE}", "--file=/dev/null", BOB,
        text=letter(token),
    )  # fmt: skip
    assert b"\r\n.\r\n..dots\r\n" in idler(token)


def test_curl_sends(server, peer, idler, tmp_path):
    token = uuid.uuid4().hex
    (tmp_path / "letter").write_bytes(letter(token).replace("\n", "\r\n").encode())
    run(
        peer("curl"), "--silent", "--show-error", "--ssl-reqd", "--cacert", str(server.site.authority),
        f"smtp://{server.site.host}:{server.site.ports.submission}", "--mail-from", ALICE, "--mail-rcpt", BOB,
        "--user", f"{ALICE}:{server.passwords[ALICE]}", "--upload-file", str(tmp_path / "letter"),
    )  # fmt: skip
    assert f"Subject: {token}".encode() in idler(token)


def test_swaks_sees_the_extensions_that_postfix_offers(server, peer):
    told = run(
        peer("swaks"), "--server", server.site.host, "--port", str(server.site.ports.smtp), "--quit-after", "EHLO"
    )
    offered = {line.split()[-1] if "250" in line else "" for line in told.splitlines() if line.startswith("<-")}
    for word in (
        "PIPELINING",
        "VRFY",
        "ETRN",
        "STARTTLS",
        "ENHANCEDSTATUSCODES",
        "8BITMIME",
        "DSN",
        "SMTPUTF8",
        "CHUNKING",
    ):
        assert any(word in item for item in offered), (word, told)
    assert "SIZE 10240000" in told
