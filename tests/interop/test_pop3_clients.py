"""Real mail clients against pop3d over TLS: poplib, curl, fetchmail."""

from __future__ import annotations

import poplib
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.fakes.pop3_server import Pop3Server

from angarium.daemons.pop3d.lines import Peer, detail, handshake_failure, login, no_login
from angarium.daemons.pop3d.main import Pop3dParameters
from angarium.runtime.authority import Authority

pytestmark = pytest.mark.interop

ALICE = "alice@example.test"
MESSAGES = [
    b"From: Ann <ann@example.test>\r\nTo: alice@example.test\r\nSubject: %d\r\n"
    b"Date: Mon, 1 Jan 2024 10:00:00 +0100\r\nMessage-ID: <%d@example.test>\r\n\r\n.dot\r\n.\r\nLine %d.\r\n"
    % (number, number, number)
    for number in range(1, 31)
]


@pytest.fixture
def certificates(tmp_path: Path) -> tuple[Path, ssl.SSLContext]:
    authority = Authority.ensure(tmp_path, "Test CA")
    certificate, key = authority.issue(tmp_path, ("localhost", "127.0.0.1"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return authority.certificate, context


@pytest.fixture(params=["stls", "pop3s"])
def server(request, tmp_path: Path, certificates: tuple[Path, ssl.SSLContext]) -> Iterator[Pop3Server]:
    wrapped = request.param == "pop3s"
    parameters = Pop3dParameters(security_level="encrypt", wrappermode=wrapped)
    (tmp_path / "mail").mkdir()
    with Pop3Server(tmp_path / "mail", parameters, certificates[1]) as server:
        server.deliver(ALICE, *MESSAGES)
        yield server


def run(*command: str | Path, timeout: float = 60, status: int = 0, **environment: str) -> bytes:
    done = subprocess.run(
        [str(word) for word in command],
        capture_output=True,
        timeout=timeout,
        env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", **environment},
        check=False,
    )
    assert done.returncode == status, f"{command[0]}: {done.stdout!r}{done.stderr!r}"
    return done.stdout


def test_poplib(server, certificates):
    context = ssl.create_default_context(cafile=str(certificates[0]))
    client: poplib.POP3
    if server.parameters.wrappermode:
        client = poplib.POP3_SSL("localhost", server.port, context=context, timeout=20)
    else:
        client = poplib.POP3("localhost", server.port, timeout=20)
        client.stls(context)
    client.user("alice")
    with pytest.raises(poplib.error_proto, match="AUTH"):
        client.pass_("wrong")
    client.user("alice")
    client.pass_("secret")
    client.dele(1)
    client.rset()
    assert client.stat() == (30, sum(map(len, MESSAGES)))
    assert client.list()[1][0] == b"1 %d" % len(MESSAGES[0])
    assert len({line.split()[1] for line in client.uidl()[1]}) == 30
    assert client.top(3, 1)[1] == [*MESSAGES[2].split(b"\r\n\r\n")[0].split(b"\r\n"), b"", b".dot"]
    for number, message in enumerate(MESSAGES, 1):
        assert b"\r\n".join([*client.retr(number)[1], b""]) == message
    client.dele(2)
    client.noop()
    client.quit()
    assert len(server.flags(ALICE)) == 29
    assert set(server.flags(ALICE)) == {frozenset(("\\Seen",))}


def test_curl(server, peer, certificates):
    curl = [peer("curl"), "--silent", "--show-error", "--cacert", certificates[0], "--user", "alice:secret"]
    wrapped = server.parameters.wrappermode
    url = f"{'pop3s' if wrapped else 'pop3'}://localhost:{server.port}"
    if not wrapped:
        curl.append("--ssl-reqd")
    assert run(*curl, f"{url}/").count(b"\r\n") == 30
    assert run(*curl, f"{url}/7") == MESSAGES[6]
    assert run(*curl, "--login-options", "AUTH=PLAIN", "--sasl-ir", f"{url}/8") == MESSAGES[7]
    assert run(*curl, "--login-options", "AUTH=LOGIN", f"{url}/9") == MESSAGES[8]
    assert run(*curl, "--request", "UIDL", f"{url}/").count(b"\r\n") == 30
    assert run(*curl, "--request", "TOP 1 0", f"{url}/") == MESSAGES[0].split(b"\r\n\r\n")[0] + b"\r\n\r\n"
    run(*curl, "--request", "DELE 1", "--head", f"{url}/")
    assert len(server.flags(ALICE)) == 29
    run(*curl[:-2], "--user", "alice:wrong", *(curl[-1:] if not wrapped else ()), f"{url}/", status=67)


def test_fetchmail(server, peer, certificates, tmp_path):
    fetchmail = peer("fetchmail")
    got = tmp_path / "got"
    configuration = tmp_path / "fetchmailrc"
    tls = "ssl" if server.parameters.wrappermode else "sslproto tls1.2+"
    configuration.write_text(
        f"poll localhost service {server.port} protocol POP3 uidl\n"
        f"  user alice password secret {tls} sslcertck sslcertfile {certificates[0]}\n"
        f"  mda 'cat >> {got}' keep fetchall\n"
    )
    configuration.chmod(0o600)
    command = [fetchmail, "-f", configuration, "--pidfile", tmp_path / "pid", "--idfile", tmp_path / "ids", "-v"]
    run(*command, HOME=str(tmp_path), USER="root", LOGNAME="root")
    text = got.read_bytes()
    assert text.count(b"Message-ID: <") == 30
    assert all(b"Line %d." % number in text for number in range(1, 31))
    assert len(server.flags(ALICE)) == 30
    configuration.write_text(configuration.read_text().replace(" keep", " nokeep"))
    run(*command, HOME=str(tmp_path), USER="root", LOGNAME="root")
    assert server.flags(ALICE) == []


def test_fail2ban_bans_those_who_guess(peer, tmp_path):
    """The stock filter matches the lines of refused log-ins, and no others."""
    filters = Path("/etc/fail2ban/filter.d/dovecot.conf")
    command = peer("fail2ban-regex")
    guesser, user = Peer("192.0.2.66", "192.0.2.1", "abc"), Peer("192.0.2.7", "192.0.2.1", "abc")
    refused = [
        no_login(
            "Connection closed",
            detail("Connection closed", 3, 7, disallowed=False),
            "a@b.test",
            "PLAIN",
            guesser,
            "TLS",
        ),
        no_login("Connection closed", detail("", 1, 7, disallowed=False), "x>, rip=198.51.100.1", "PLAIN", guesser, ""),
        no_login("Inactivity", detail("Inactivity", 1, 180, disallowed=False), "a", "LOGIN", guesser, ""),
        no_login("Aborted login by logging out", detail("", 0, 1, disallowed=True), "", "", guesser, ""),
    ]
    harmless = [
        login("a@b.test", "PLAIN", user, 1, "TLS"),
        no_login("Connection closed", detail("", 0, 1, disallowed=False), "", "", user, ""),
        no_login(
            handshake_failure(OSError("x")),
            detail(handshake_failure(OSError()), 0, 1, disallowed=False),
            "",
            "",
            user,
            "",
        ),
    ]
    log = tmp_path / "mail.log"
    log.write_text("".join(f"Nov 24 08:10:03 mail dovecot: pop3-login: {line}\n" for line in refused + harmless))
    out = run(command, log, filters, "--print-all-matched", "--print-all-missed").decode()
    assert "Lines: 7 lines, 0 ignored, 4 matched, 3 missed" in out
    assert "192.0.2.7" not in out.partition("Matched line(s)")[2].partition("Missed line(s)")[0]
