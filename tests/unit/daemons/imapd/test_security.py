"""TLS, plain-text log-in, penalties, limits, time-outs, and faults of the store."""

from __future__ import annotations

import base64
import socket
import ssl

import pytest
from tests.fakes.imap_server import MESSAGE, ImapClient, ImapServer

from angarium.daemons.imapd.main import ImapdParameters
from angarium.runtime.authority import Authority


@pytest.fixture
def certificates(tmp_path):
    authority = Authority.ensure(tmp_path, "Test CA")
    certificate, key = authority.issue(tmp_path, ("localhost",))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return ssl.create_default_context(cafile=str(authority.certificate)), context


def start_tls(client, context):
    assert client.last("STARTTLS") == b"OK Begin TLS negotiation now."
    client.wrap(context)


def test_passwords_wait_for_tls(tmp_path, certificates):
    trust, context = certificates
    parameters = ImapdParameters(tls_security_level="may", secure_networks=())
    with ImapServer(tmp_path, parameters, context) as server, ImapClient(server.port) as client:
        assert b"LOGINDISABLED" in client.greeting
        assert b"AUTH=" not in client.greeting
        assert client.last("LOGIN alice secret").startswith(b"NO [PRIVACYREQUIRED]")
        assert client.last("AUTHENTICATE PLAIN").startswith(b"NO [PRIVACYREQUIRED]")
        start_tls(client, trust)
        assert b"AUTH=PLAIN" in client.ok("CAPABILITY")[0]
        assert b"STARTTLS" not in client.ok("CAPABILITY")[0]
        assert client.last("STARTTLS").startswith(b"BAD")
        client.ok("LOGIN alice secret")
        client.append(MESSAGE + b"x" * 500_000)
        client.ok("SELECT INBOX")
        assert len(client.ok("FETCH 1 BODY[]")[0]) > 500_000
        client.command("LOGOUT")
        client.close()
        lines = server.settled()
    assert "mpid=" in lines[0]
    assert ", TLS, session=<" in lines[0]


def test_what_came_before_tls_does_not_count(tmp_path, certificates):
    trust, context = certificates
    with ImapServer(tmp_path, ImapdParameters(tls_security_level="may"), context) as server:
        client = ImapClient(server.port)
        client.send(b"a STARTTLS\r\nb LOGIN mallory secret\r\n")
        assert client.line() == b"a OK Begin TLS negotiation now."
        client.wrap(trust)
        assert client.ok("NOOP") == [b"OK NOOP completed."]
        assert client.last("SELECT INBOX").startswith(b"BAD Command not valid in this state")
        client.close()


def test_no_handshake_ends_the_connection(tmp_path, certificates):
    with ImapServer(tmp_path, ImapdParameters(tls_security_level="may"), certificates[1]) as server:
        client = ImapClient(server.port)
        client.ok("STARTTLS")
        client.send(b"this is no handshake\r\n" * 10)
        client.rest()
        client.close()
        assert any("TLS handshaking failed" in line for line in server.settled())


def test_without_tls_there_is_no_starttls(server, connect):
    client = connect("")
    assert b"STARTTLS" not in client.greeting
    assert client.last("STARTTLS").startswith(b"BAD")


def test_wrong_passwords_are_delayed_and_counted(tmp_path):
    parameters = ImapdParameters(auth_penalty_exceptions=(), auth_failure_delay=0.01, hard_error_limit=1)
    with ImapServer(tmp_path, parameters) as server, ImapClient(server.port) as client:
        assert client.last("LOGIN alice wrong").startswith(b"NO [AUTHENTICATIONFAILED]")
        assert client.rest() == [b"* BYE Too many failed log-ins."]
        assert server.service.penalty.delay("127.0.0.1", server.service.now()) == 2.0


def test_connections_per_user_and_address(tmp_path):
    with ImapServer(tmp_path, ImapdParameters(max_userip_connections=2)) as server:
        with server.client(), server.client() as second, ImapClient(server.port) as third:
            assert third.last("LOGIN alice secret").startswith(b"NO [LIMIT]")
            third.ok("LOGIN bob secret")
            second.command("LOGOUT")
            second.rest()
            with ImapClient(server.port) as fourth:
                while server.service.statistics()["connections"] > 3:
                    fourth.ok("NOOP")
                fourth.ok("LOGIN alice secret")
        lines = server.settled()
    assert any("Maximum number of connections from user+IP exceeded" in line for line in lines)


def test_the_reason_is_logged_when_asked_for(tmp_path):
    with ImapServer(tmp_path, ImapdParameters(auth_verbose=True)) as server, ImapClient(server.port) as client:
        client.last("LOGIN alice wrong")
        assert server.log.lines[0].startswith("dovecot: auth: directory(alice,127.0.0.1,<")
        assert server.log.lines[0].endswith(": Password mismatch")


def test_the_oldest_who_has_not_logged_in_makes_room(tmp_path):
    with ImapServer(tmp_path, ImapdParameters(login_connection_limit=2)) as server:
        known, oldest, newer = server.client(), ImapClient(server.port), ImapClient(server.port)
        with known, oldest, newer, ImapClient(server.port) as newest:
            assert oldest.rest() == [b"* BYE Connection queue full"]
            for client in (known, newer, newest):
                client.ok("NOOP")
    assert any("Disconnected: Connection queue full (no auth attempts" in line for line in server.log.lines)


@pytest.mark.parametrize("known", [True, False])
def test_silence_ends_a_connection(tmp_path, known):
    parameters = ImapdParameters(timeout=0.01, login_timeout=0.01) if not known else ImapdParameters(timeout=0.01)
    with ImapServer(tmp_path, parameters) as server, ImapClient(server.port) as client:
        if known:
            client.ok("LOGIN alice secret")
        assert client.rest() == [b"* BYE Disconnected for inactivity."]
        reason = [line for line in server.settled() if "Disconnected: Inactivity" in line]
        assert len(reason) == 1


def test_idle_is_kept_alive(tmp_path):
    parameters = ImapdParameters(idle_keepalive_interval=0.01)
    with ImapServer(tmp_path, parameters) as server, server.client(select="INBOX") as client:
        client.command("IDLE")
        assert client.line() == b"* OK Still here"


def test_a_fault_of_ours_costs_one_command(server, connect):
    client = connect(select="INBOX")
    (connection,) = server.service._connections

    async def broken(*_arguments):
        raise RuntimeError("boom")

    connection.store = type("Store", (), {"quota": broken, "mailbox": broken})()
    assert client.last("GETQUOTAROOT INBOX").startswith(b"NO [SERVERBUG]")
    assert client.ok("NOOP") == [b"OK NOOP completed."]
    assert any("panic: RuntimeError: boom" in line for line in server.log.lines)


def test_a_full_disk_is_told_after_the_message(server, connect, monkeypatch):
    client = connect()

    def full(*_arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("angarium.runtime.spool.SpoolFile.write", full)
    message = MESSAGE + b"x" * 1_500_000
    assert client.append(message) == b"NO [UNAVAILABLE] Message cannot be stored now: No space left on device"
    assert client.ok("STATUS INBOX (MESSAGES)")[0].endswith(b"(MESSAGES 0)")


def test_a_message_over_the_limit_is_refused_before_it_is_sent(tmp_path):
    with ImapServer(tmp_path, ImapdParameters(message_size_limit=1000)) as server, server.client() as client:
        assert client.last(b"APPEND INBOX {1001}").startswith(b"NO [TOOBIG]")
        assert client.append(b"x" * 2000).startswith(b"NO [TOOBIG]")
        client.send(b"x APPEND INBOX {2000000+}\r\n")
        assert client.rest()[0].startswith(b"x NO [TOOBIG]")  # too large to be skipped: it hangs up


def test_sasl_garbage(connect):
    client = connect("")
    assert client.last("AUTHENTICATE NONSENSE").startswith(b"NO [CANNOT]")
    assert client.last("AUTHENTICATE PLAIN !!!").startswith(b"BAD")
    assert client.last(b"AUTHENTICATE PLAIN " + base64.b64encode(b"no nuls")).startswith(b"NO [AUTHENTICATIONFAILED]")
    client.command("AUTHENTICATE PLAIN")
    client.send(b"{5}\r\n")
    assert b" BAD " in client.line()
    client.ok("NOOP")


def test_a_command_in_the_segment_that_ends_the_handshake_is_answered(tmp_path, certificates):
    trust, context = certificates
    parameters = ImapdParameters(tls_security_level="may", secure_networks=())
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = trust.wrap_bio(incoming, outgoing, server_hostname="localhost")
    with (
        ImapServer(tmp_path, parameters, context) as server,
        socket.create_connection(("127.0.0.1", server.port), timeout=20) as plain,
    ):
        plain.recv(1000)
        plain.sendall(b"a STARTTLS\r\n")
        assert plain.recv(1000).startswith(b"a OK")
        while True:
            try:
                tls.do_handshake()
            except ssl.SSLWantReadError:
                plain.sendall(outgoing.read())
                incoming.write(plain.recv(65536))
            else:
                break
        tls.write(b"b NOOP\r\n")
        plain.sendall(outgoing.read())  # the client's Finished and its first command at once
        answer = b""
        while not answer.endswith(b"\r\n"):
            try:
                answer += tls.read(1000)
            except ssl.SSLWantReadError:
                incoming.write(plain.recv(65536))
        assert answer.startswith(b"b OK")
