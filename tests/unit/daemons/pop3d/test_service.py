"""The service on real sockets, with the real mailstore: TLS both ways, draining, cancelling."""

from __future__ import annotations

import asyncio
import poplib
import socket
import ssl
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.fakes.mailstore import FakeMailStore
from tests.fakes.pop3_server import Passwords, Pop3Server

from angarium.config.config import Config
from angarium.daemons.pop3d.main import Pop3dParameters, Pop3dService
from angarium.runtime.authority import Authority
from angarium.runtime.log import MemoryLog, ServiceLog

MESSAGES = [b"Subject: %d\r\n\r\n.dot\r\n%b" % (number, b"line\r\n" * 10 * number) for number in range(1, 101)]
LETTERS = Path(__file__).parents[3] / "data" / "messages"
BIG = b"Subject: big\r\n\r\n" + b".0123456789\r\n" * 200_000


@pytest.fixture(scope="module")
def contexts(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """The server's, the client's."""
    directory = tmp_path_factory.mktemp("tls")
    authority = Authority.ensure(directory, "Test CA")
    certificate, key = authority.issue(directory, ("localhost", "127.0.0.1"))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate, key)
    return server, ssl.create_default_context(cafile=str(authority.certificate))


@pytest.fixture
def stls(tmp_path: Path, contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> Iterator[Pop3Server]:
    with Pop3Server(tmp_path, Pop3dParameters(security_level="encrypt"), contexts[0]) as server:
        yield server


@pytest.fixture
def pop3s(tmp_path: Path, contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> Iterator[Pop3Server]:
    with Pop3Server(tmp_path, Pop3dParameters(security_level="may", wrappermode=True), contexts[0]) as server:
        yield server


def _raw(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=20)


def _line(server: Pop3Server) -> str:
    """The one line of the log, when it is there."""
    while not server.log.lines:
        server.on_loop(asyncio.sleep(0))
    [line] = server.settled()
    return line


def test_a_whole_session_under_stls(stls, contexts):
    stls.deliver("alice@example.test", *MESSAGES, BIG)
    client = poplib.POP3("localhost", stls.port, timeout=20)
    with pytest.raises(poplib.error_proto, match="AUTH"):
        client.user("alice")
    assert "STLS" in client.capa()
    client.stls(contexts[1])
    assert "STLS" not in client.capa()
    client.user("alice")
    client.pass_("secret")
    assert client.stat() == (101, sum(map(len, MESSAGES)) + len(BIG))
    for number, message in enumerate([*MESSAGES, BIG], 1):
        assert b"\r\n".join([*client.retr(number)[1], b""]) == message
    client.dele(1)
    client.quit()
    assert len(stls.flags("alice@example.test")) == 100
    assert set(stls.flags("alice@example.test")) == {frozenset(("\\Seen",))}
    assert any(
        "Login: user=<alice@example.test>, method=PLAIN" in line and ", TLS, " in line for line in stls.settled()
    )


def test_messages_made_by_others_come_back_byte_for_byte(tmp_path):
    letters = [path.read_bytes() for path in sorted(LETTERS.rglob("*.eml"))]
    assert len(letters) >= 16
    with Pop3Server(tmp_path, Pop3dParameters()) as server:
        server.deliver("alice@example.test", *letters)
        with _raw(server.port) as client, client.makefile("rb") as answers:
            client.sendall(b"USER alice\r\nPASS secret\r\n")
            assert [answers.readline()[:3] for _ in range(3)] == [b"+OK"] * 3
            for number, letter in enumerate(letters, 1):
                client.sendall(b"RETR %d\r\n" % number)
                assert answers.readline() == b"+OK %d octets\r\n" % len(letter)
                lines = []
                while (line := answers.readline()) != b".\r\n":
                    lines.append(line.removeprefix(b".") if line.startswith(b".") else line)
                assert b"".join(lines) == letter + (b"" if letter.endswith(b"\r\n") else b"\r\n")
            client.sendall(b"QUIT\r\n")
            assert answers.readline() == b"+OK Logging out.\r\n"


def test_pop3s(pop3s, contexts):
    pop3s.deliver("alice@example.test", MESSAGES[0])
    client = poplib.POP3_SSL("localhost", pop3s.port, context=contexts[1], timeout=20)
    client.user("alice@example.test")
    client.pass_("secret")
    assert client.stat()[0] == 1
    client.quit()


def test_what_is_pipelined_behind_stls_is_void(stls, contexts):
    with _raw(stls.port) as plain:
        plain.recv(100)
        plain.sendall(b"STLS\r\nUSER mallory\r\nCAPA\r\n")
        assert plain.recv(1000) == b"+OK Begin TLS negotiation now.\r\n"
        with contexts[1].wrap_socket(plain, server_hostname="localhost") as tls:
            tls.sendall(b"PASS secret\r\n")
            assert tls.recv(1000) == b"-ERR No username given.\r\n"


@pytest.mark.parametrize("mode", ["stls", "pop3s"])
def test_a_handshake_that_fails(mode, request):
    server = request.getfixturevalue(mode)
    with _raw(server.port) as plain:
        if mode == "stls":
            plain.recv(100)
            plain.sendall(b"STLS\r\n")
            plain.recv(100)
        plain.sendall(b"GET / HTTP/1.0\r\n\r\n" * 10)
        while plain.recv(1000):
            pass
    line = _line(server)
    assert line.startswith("dovecot: pop3-login: Disconnected: Connection closed: TLS handshaking: ")
    assert "(disconnected during TLS handshake): user=<>, rip=127.0.0.1, lip=127.0.0.1, " in line


def test_a_client_that_goes_in_the_handshake(pop3s):
    _raw(pop3s.port).close()
    line = _line(pop3s)
    assert "(disconnected during TLS handshake)" in line


def test_draining_lets_sessions_end(tmp_path):
    with Pop3Server(tmp_path, Pop3dParameters()) as server:
        client = poplib.POP3("127.0.0.1", server.port, timeout=20)
        client.user("alice")
        client.pass_("secret")
        server.loop.call_soon_threadsafe(server.service.drain)
        assert client.stat() == (0, 0)
        client.quit()


def test_cancelling_closes_all():
    async def run() -> tuple[bytes, list[str]]:
        log = MemoryLog()
        listener = socket.create_server(("127.0.0.1", 0))
        listener.setblocking(False)
        port = listener.getsockname()[1]
        service = Pop3dService(
            Pop3dParameters(),
            store=FakeMailStore(),  # type: ignore[arg-type]
            authenticator=Passwords(),
            log=ServiceLog(log, "x"),
        )
        task = asyncio.create_task(service.run([listener]))
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await reader.readline()
        assert service.statistics() == {"connections": 1}
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        rest = await reader.read()
        writer.close()
        await writer.wait_closed()
        return rest, log.lines

    rest, lines = asyncio.run(run())
    assert rest == b"-ERR [SYS/TEMP] Server shutting down.\r\n"
    assert "Disconnected: Server shutting down (no auth attempts in 0 secs)" in lines[0]


def test_wrappermode_needs_a_certificate():
    with pytest.raises(ValueError, match="certificate"):
        Pop3dService(
            Pop3dParameters(wrappermode=True),
            store=FakeMailStore(),  # type: ignore[arg-type]
            authenticator=Passwords(),
            log=ServiceLog(MemoryLog(), "x"),
        )


def test_parameters_from_main_cf():
    conf = Config.of(
        {
            "myhostname": "mail.example.test",
            "smtpd_tls_cert_file": "/c.pem",
            "smtpd_tls_key_file": "/k.pem",
            "smtpd_tls_security_level": "may",
            "pop3d_timeout": "20m",
            "pop3d_sasl_mechanisms": "plain",
            "pop3d_tls_wrappermode": "yes",
        }
    )
    parameters = Pop3dParameters.from_config(conf)
    assert parameters.tls.cert_file == "/c.pem"
    assert parameters.tls.key_file == "/k.pem"
    assert parameters == replace(
        Pop3dParameters(),
        banner="mail.example.test POP3 server ready",
        timeout=1200.0,
        sasl_mechanisms=("PLAIN",),
        wrappermode=True,
        security_level="may",
        tls=parameters.tls,
    )
    assert replace(
        Pop3dParameters.from_config(Config.of({"myhostname": "x"})), banner="", tls=Pop3dParameters().tls
    ) == (replace(Pop3dParameters(), banner=""))


def test_the_oldest_who_has_not_logged_in_makes_room(tmp_path):
    with Pop3Server(tmp_path, Pop3dParameters(login_connection_limit=1)) as server:
        known = poplib.POP3("127.0.0.1", server.port)
        known.user("alice")
        known.pass_("secret")
        oldest = poplib.POP3("127.0.0.1", server.port)
        newer = poplib.POP3("127.0.0.1", server.port)
        with pytest.raises(poplib.error_proto, match="Connection queue full"):
            oldest._getresp()
        for client in (known, newer):
            client.capa()
            client.quit()
        oldest.close()


def test_pipelined_commands_let_others_go_first(tmp_path):
    """A client that sends thousands of commands at once does not hold the process for all of them."""
    with Pop3Server(tmp_path, Pop3dParameters()) as server:
        server.deliver("alice@example.test", *[b"Subject: x\r\n\r\n"] * 2000)

        async def watch(stalls: list[float]) -> None:
            last = time.perf_counter()
            while True:
                await asyncio.sleep(0.001)
                now = time.perf_counter()
                stalls.append(now - last)
                last = now

        stalls: list[float] = []
        watching = asyncio.run_coroutine_threadsafe(watch(stalls), server.loop)
        marks = b"".join(b"DELE %d\r\n" % number for number in range(1, 1001))
        commands = [b"USER alice", b"PASS secret", *[b"STAT"] * 8000, b"QUIT", b""]
        with _raw(server.port) as client, client.makefile("rb") as answers:
            client.sendall(b"\r\n".join(commands[:2]) + b"\r\n" + marks + b"\r\n".join(commands[2:]))
            lines = answers.read().splitlines()
        watching.cancel()
        assert lines[1003:-1] == [b"+OK 1000 14000"] * 8000
        assert lines[-1].startswith(b"+OK Logging out")
        assert max(stalls) < 0.5


def test_a_client_that_does_not_take_the_last_words_is_cut_off(tmp_path, monkeypatch):
    monkeypatch.setattr("angarium.daemons.pop3d.connection.LINGER", 0.05)
    with Pop3Server(tmp_path, Pop3dParameters()) as server:
        server.deliver("alice@example.test", BIG * 3)
        with _raw(server.port) as client:
            client.sendall(b"USER alice\r\nPASS secret\r\nRETR 1\r\n")
            ending = time.monotonic() + 10
            while not server.service._connections:
                assert time.monotonic() < ending
            [connection] = server.service._connections
            while connection._writable.is_set():
                assert time.monotonic() < ending
            server.loop.call_soon_threadsafe(connection.give_way)
            while server.service.statistics()["connections"]:
                assert time.monotonic() < ending
                server.on_loop(asyncio.sleep(0))
