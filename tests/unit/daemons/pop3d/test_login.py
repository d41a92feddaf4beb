"""Who may come in: USER and PASS, AUTH, without TLS and with it, refusals, limits, log lines."""

from __future__ import annotations

import base64
import ssl

import pytest

from angarium.auth.penalty import LoginPenalty, Networks
from angarium.auth.sessions import UserSessions
from angarium.daemons.pop3d.parameters import Pop3dParameters

PLAIN = base64.b64encode(b"\0alice\0secret")
FAR = ("192.0.2.7", "192.0.2.1")


def test_greeting(connect):
    assert connect(Pop3dParameters(banner="mail.example.test POP3")).greeting == b"+OK mail.example.test POP3\r\n"


@pytest.mark.parametrize(
    "lines",
    [
        [b"USER alice", b"PASS secret"],
        [b"user alice@example.test", b"pass secret"],
        [b"AUTH PLAIN " + PLAIN],
        [b"AUTH PLAIN", PLAIN],
        [b"auth login", base64.b64encode(b"alice"), base64.b64encode(b"secret")],
        [b"AUTH LOGIN " + base64.b64encode(b"alice"), base64.b64encode(b"secret")],
        [b"AUTH LOGIN =", base64.b64encode(b"alice"), base64.b64encode(b"secret")],
        [b"AUTH PLAIN " + base64.b64encode(b"alice\0alice\0secret")],
    ],
)
def test_ways_in(connect, lines):
    wire = connect()
    for line in lines:
        answer = wire(line + b"\r\n")
    assert answer == b"+OK Logged in.\r\n"
    assert wire(b"STAT\r\n") == b"+OK 3 75\r\n"


def test_everything_pipelined_at_once(connect):
    answer = connect()(b"AUTH PLAIN\r\n" + PLAIN + b"\r\nSTAT\r\nQUIT\r\nSTAT\r\n")
    assert answer == b"+ \r\n+OK Logged in.\r\n+OK 3 75\r\n+OK Logging out.\r\n"


@pytest.mark.parametrize(
    ("lines", "answer"),
    [
        ([b"USER alice", b"PASS wrong"], b"-ERR [AUTH] Authentication failed.\r\n"),
        ([b"PASS secret"], b"-ERR No username given.\r\n"),
        ([b"USER alice", b"PASS wrong", b"PASS secret"], b"-ERR No username given.\r\n"),
        ([b"USER alice", b"PASS"], b"-ERR [AUTH] Authentication failed.\r\n"),
        ([b"USER later", b"PASS secret"], b"-ERR [SYS/TEMP] Temporary authentication failure.\r\n"),
        ([b"AUTH CRAM-MD5"], b"-ERR [AUTH] Unsupported authentication mechanism.\r\n"),
        ([b"APOP alice 0123"], b"-ERR [AUTH] Unsupported authentication mechanism.\r\n"),
        ([b"AUTH PLAIN", b"*"], b"-ERR [AUTH] Authentication aborted by client.\r\n"),
        ([b"AUTH PLAIN", b"xx"], b"-ERR [AUTH] Invalid base64 data in continued response\r\n"),
        ([b"AUTH PLAIN " + base64.b64encode(b"bob\0alice\0secret")], b"-ERR [AUTH] Authentication failed.\r\n"),
        ([b"AUTH PLAIN " + b"A" * 13000], b"-ERR Line too long.\r\n"),
        ([b"AUTH PLAIN", b"A" * 13000], b"-ERR [AUTH] Authentication response is too long.\r\n"),
        ([b"AUTH"], b"+OK\r\nPLAIN\r\nLOGIN\r\n.\r\n"),
        ([b"STAT"], b"-ERR Unknown command.\r\n"),
    ],
)
def test_ways_that_lead_nowhere(connect, lines, answer):
    wire = connect()
    for line in lines:
        got = wire(line + b"\r\n")
    assert got == answer
    wire.login()  # and the session goes on


def test_a_refusal_is_held_back_from_others_than_loopback(connect):
    parameters = Pop3dParameters(failure_delay=3600, tls_auth_only=False)
    far = connect(parameters, *FAR)
    assert far(b"USER alice\r\nPASS wrong\r\nCAPA\r\n", settle=False) == b"+OK\r\n"
    assert connect(parameters)(b"USER alice\r\nPASS wrong\r\n").startswith(b"+OK\r\n-ERR")
    far.disconnect()
    assert far.gone


def test_an_address_that_guessed_waits_before_its_next_log_in(connect):
    penalty = LoginPenalty(Networks(()))
    penalty.failed(FAR[0], 0)
    parameters = Pop3dParameters(tls_auth_only=False)
    guesser = connect(parameters, *FAR, penalty=penalty)
    assert guesser(b"USER alice\r\nPASS secret\r\n", settle=False) == b"+OK\r\n"
    connect(parameters, "192.0.2.8", FAR[1], penalty=penalty).login()
    guesser.disconnect()
    guesser = connect(parameters, *FAR, penalty=penalty)
    guesser.now = 3600
    guesser.login()  # it is forgotten by now
    assert penalty.delay(FAR[0], 1) == 0


def test_networks_that_are_trusted_need_no_tls(connect):
    wire = connect(Pop3dParameters(secure_networks=("192.0.2.0/24",)), *FAR).login()
    assert ", secured, session=" in wire.log.lines[0]


def test_no_password_without_tls(connect):
    wire = connect(Pop3dParameters(security_level="may"), *FAR)
    capabilities = wire(b"CAPA\r\n")
    assert b"USER" not in capabilities
    assert b"SASL" not in capabilities
    for line in (b"USER alice", b"PASS secret", b"AUTH PLAIN " + PLAIN):
        assert wire(line + b"\r\n").startswith(b"-ERR [AUTH] Plaintext authentication disallowed")
    assert wire(b"AUTH\r\n") == b"+OK\r\n.\r\n"
    wire.now = 5
    wire(b"QUIT\r\n")
    wire.disconnect()
    [line] = wire.log.lines
    assert line.startswith(
        "dovecot: pop3-login: Disconnected: Aborted login by logging out (tried to use disallowed plaintext auth): "
        "user=<>, rip=192.0.2.7, lip=192.0.2.1, session=<"
    )


def test_encrypt_means_nobody_without_tls(connect):
    wire = connect(Pop3dParameters(security_level="encrypt"))
    assert wire(b"USER alice\r\n").startswith(b"-ERR [AUTH]")


def test_stls_needs_a_certificate(connect):
    assert connect(Pop3dParameters(security_level="may"))(b"STLS\r\n") == b"-ERR TLS support isn't enabled.\r\n"


def test_nothing_is_read_between_stls_and_the_handshake(connect):
    """The handshake begins in a task; what comes before it runs may not be taken for said over TLS."""
    wire = connect(Pop3dParameters(security_level="may"), tls=ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
    assert wire(b"STLS\r\nUSER mallory\r\n", settle=False) == b"+OK Begin TLS negotiation now.\r\n"
    assert not wire.transport.reading
    assert wire.connection._conversation.session.held == 0
    wire.disconnect()


def test_too_many_refusals_end_the_session(connect):
    wire = connect(Pop3dParameters(hard_error_limit=3))
    for _ in range(3):
        assert not wire.transport.closed
        wire(b"USER alice\r\nPASS wrong\r\n")
    assert wire.transport.closed
    wire.now = 7.5
    wire.disconnect()
    [line] = wire.log.lines
    assert line.startswith(
        "dovecot: pop3-login: Disconnected: Too many failed log-ins (auth failed, 3 attempts in 7 secs): "
        "user=<alice>, method=PLAIN, rip=127.0.0.1, lip=127.0.0.1, secured, session=<"
    )


def test_too_many_bad_commands_end_the_session(connect):
    wire = connect(Pop3dParameters(hard_error_limit=3))
    answer = wire(b"X\r\nY\r\nZ\r\nCAPA\r\n")
    assert answer == b"-ERR Unknown command.\r\n" * 3 + b"-ERR Too many invalid bad commands.\r\n"
    assert wire.transport.closed


def test_sessions_of_an_account_are_limited(connect):
    sessions, parameters = UserSessions("pop3", 1), Pop3dParameters(connection_count_limit=1)
    first = connect(parameters, sessions=sessions).login()
    second = connect(parameters, sessions=sessions)
    assert b"-ERR [IN-USE]" in second(b"USER alice\r\nPASS secret\r\n")
    assert second.transport.closed
    assert any(
        "dovecot: pop3(alice@example.test): Maximum number of connections from user+IP exceeded" in line
        for line in second.log.lines
    )
    second.disconnect()
    first.disconnect()
    assert sessions.statistics() == {"sessions": 0}
    connect(parameters, sessions=sessions).login()


def test_a_store_that_fails_is_a_temporary_error(connect, alice):
    alice.fail["states"] = OSError("no disk")
    wire = connect()
    assert wire(b"USER alice\r\nPASS secret\r\n") == b"+OK\r\n-ERR [SYS/TEMP] Internal error, try again later.\r\n"
    assert any("OSError: no disk" in line for line in wire.log.lines)
    assert wire.shared.sessions.statistics() == {"sessions": 0}
    alice.fail.clear()
    wire.login()


def test_log_lines_of_a_session(connect):
    wire = connect().login()
    wire(b"RETR 1\r\nTOP 2 0\r\nDELE 3\r\nQUIT\r\n")
    wire.disconnect()
    login, end = wire.log.lines
    session = login.rpartition("session=<")[2].rstrip(">")
    pid = login.partition("mpid=")[2].partition(",")[0]
    assert login == (
        "dovecot: pop3-login: Login: user=<alice@example.test>, method=PLAIN, rip=127.0.0.1, lip=127.0.0.1, "
        f"mpid={pid}, secured, session=<{session}>"
    )
    assert end == (
        f"dovecot: pop3(alice@example.test)<{pid}><{session}>: "
        "Disconnected: Logged out top=1/19, retr=1/41, del=1/3, size=75"
    )


def test_why_a_log_in_was_refused_is_said_when_asked_for(connect):
    wire = connect(Pop3dParameters(auth_verbose=True))
    wire(b"USER alice\r\nPASS wrong\r\n")
    assert wire.log.lines[0].startswith("dovecot: auth: directory(alice,127.0.0.1,<")
    assert wire.log.lines[0].endswith(">): Password mismatch")


def test_passwords_are_in_no_log_line(connect):
    wire = connect(Pop3dParameters(auth_verbose=True))
    wire(b"USER alice\r\nPASS hunter2hunter2\r\nAUTH PLAIN " + base64.b64encode(b"\0alice\0hunter2hunter2") + b"\r\n")
    wire.disconnect()
    assert "hunter2" not in "".join(wire.log.lines) + repr(wire.log.events)


def test_a_client_that_goes_while_its_password_is_checked(connect):
    wire = connect()
    wire(b"USER alice\r\nPASS secret\r\n", settle=False)
    wire.disconnect()
    assert wire.gone
    assert wire.shared.sessions.statistics() == {"sessions": 0}


def test_a_client_that_does_not_log_in_in_time(connect):
    wire = connect()
    wire.now = 181
    wire.connection._check_idle()
    assert wire.transport.take() == b"-ERR Disconnected for inactivity.\r\n"
    assert wire.transport.closed
    wire.disconnect()
    assert "Disconnected: Inactivity (no auth attempts in 181 secs): user=<>, rip=" in wire.log.lines[0]


def test_an_idle_session_gives_back_what_was_read_ahead(connect, alice):
    wire = connect().login()
    wire(b"RETR 1\r\n")
    assert wire.connection._conversation.drop._ready
    wire.connection._last = wire.loop.time() - 31
    wire.connection._check_idle()
    assert not wire.connection._conversation.drop._ready
    assert wire(b"RETR 2\r\n").startswith(b"+OK 25 octets")


def test_a_client_that_stalls_after_the_log_in(connect):
    wire = connect(Pop3dParameters(timeout=600)).login()
    wire.now = 10_000  # the time that counts after the log-in is that of the last command, on the loop's clock
    wire.connection._check_idle()
    assert not wire.transport.closed
    wire.connection._last = wire.loop.time() - 601
    wire.connection._check_idle()
    assert wire.transport.closed
    wire.disconnect()
    assert "Disconnected: Inactivity top=0/0, retr=0/0, del=0/3, size=75" in wire.log.lines[-1]
