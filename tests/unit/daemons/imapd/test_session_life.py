"""Greeting, log-in, capabilities, log-out, the log's lines, and clients that misbehave."""

from __future__ import annotations

import base64

import pytest


def test_greeting_has_the_capabilities(connect):
    client = connect("")
    assert client.greeting.startswith(b"* OK [CAPABILITY IMAP4rev1 ")
    assert b"AUTH=PLAIN" in client.greeting  # loopback counts as secure


def test_login_select_fetch_idle_logout(server, connect):
    client = connect()
    assert client.append(options="(\\Flagged)").startswith(b"OK [APPENDUID ")
    assert b"* 1 EXISTS" in client.ok("select INBOX")
    assert client.ok("fetch 1 (flags rfc822.size)")[0] == b"* 1 FETCH (FLAGS (\\Flagged \\Recent) RFC822.SIZE %d)" % 117
    client.command("IDLE")
    server.deliver("alice@example.test")
    assert client.line() == b"* 2 EXISTS"
    assert client.line() == b"* 2 RECENT"
    client.send(b"DONE\r\n")
    assert client.line().endswith(b" OK Idle completed.")
    assert client.command("LOGOUT") == [b"* BYE Logging out", b"OK Logout completed."]
    assert client.rest() == []


def test_wrong_password_and_its_log_line(server, connect):
    client = connect("")
    assert client.last("LOGIN alice wrong") == b"NO [AUTHENTICATIONFAILED] Authentication failed."
    client.command("LOGOUT")
    assert client.rest() == []
    (line,) = [line for line in server.settled() if "Aborted" in line]
    assert line.startswith(
        "dovecot: imap-login: Aborted login (auth failed, 1 attempts in 0 secs): user=<alice>, method=PLAIN, "
        "rip=127.0.0.1, lip=127.0.0.1, secured, session=<"
    )


def test_lines_of_a_good_session(server, connect):
    client = connect()
    client.command("LOGOUT")
    login, logout = server.settled()
    assert login.startswith(
        "dovecot: imap-login: Login: user=<alice@example.test>, method=PLAIN, rip=127.0.0.1, lip=127.0.0.1, mpid="
    )
    assert logout.startswith("dovecot: imap(alice@example.test)<")
    assert ">: Disconnected: Logged out in=" in logout


@pytest.mark.parametrize("initial", [True, False])
def test_authenticate_plain(connect, initial):
    client = connect("")
    token = base64.b64encode(b"\0alice\0secret")
    if initial:
        answer = client.last(b"AUTHENTICATE plain " + token)
    else:
        assert client.command("AUTHENTICATE PLAIN") == [b"+ "]
        client.send(token + b"\r\n")
        answer = client.line()
    assert b"OK [CAPABILITY " in answer


def test_authenticate_login_and_cancel(connect):
    client = connect("")
    client.command("AUTHENTICATE LOGIN")
    client.send(b"*\r\n")
    assert client.line().endswith(b"BAD Authentication aborted by client.")
    client.command("AUTHENTICATE LOGIN")
    client.send(base64.b64encode(b"alice") + b"\r\n")
    assert client.line() == b"+ UGFzc3dvcmQ6"
    client.send(base64.b64encode(b"secret") + b"\r\n")
    assert b" OK [CAPABILITY" in client.line()


def test_authentication_that_is_away_is_temporary(connect):
    assert connect("").last("LOGIN later secret") == b"NO [UNAVAILABLE] Temporary authentication failure."


def test_one_bad_command_costs_one_command(connect):
    client = connect()
    assert client.last("FETCH").startswith(b"BAD Command not valid in this state")
    assert client.last("NOSUCH").startswith(b"BAD Unknown command")
    assert client.last("STATUS INBOX (NONSENSE)").startswith(b"BAD ")
    assert client.last(b"STATUS IN\0BOX (MESSAGES)").startswith(b"BAD ")
    assert client.last(b"STATUS " + b"x" * 100_000).startswith(b"BAD Command line too long")
    assert client.last(b"STATUS {2000000}").startswith(b"BAD Literal too large")
    assert client.ok("STATUS INBOX (MESSAGES)")[0] == b"* STATUS INBOX (MESSAGES 0)"


def test_somebody_elses_protocol_is_hung_up_on(connect):
    client = connect("")
    client.send(b"GET / HTTP/1.0\r\nHost: x\r\n\r\n" + b"foo\r\n" * 20)
    assert client.rest()[-1] == b"* BYE Too many invalid IMAP commands."


def test_pipelined_commands_are_answered_in_order(connect):
    client = connect()
    client.send(b"a SELECT INBOX\r\nb NOOP\r\nc STATUS INBOX (MESSAGES)\r\nd LOGOUT\r\n")
    tags = [line[:1] for line in client.rest() if not line.startswith(b"*")]
    assert tags == [b"a", b"b", b"c", b"d"]


def test_byte_by_byte(connect):
    client = connect()
    for byte in b"x APPEND INBOX {5}\r\n":
        client.send(bytes([byte]))
    assert client.line() == b"+ OK"
    for byte in b"A: b\n\r\n":
        client.send(bytes([byte]))
    assert client.line().startswith(b"x OK [APPENDUID ")


def test_a_client_that_says_all_and_closes_its_side_is_answered(connect):
    client = connect("")
    client.send(b"a LOGIN alice secret\r\nb STATUS INBOX (MESSAGES)\r\n")
    client.socket.shutdown(1)
    assert client.rest()[-2:] == [b"* STATUS INBOX (MESSAGES 0)", b"b OK Status completed."]


def test_empty_lines_are_passed_over(connect):
    client = connect("")
    client.send(b"\r\n\r\n")
    assert client.ok("NOOP") == [b"OK NOOP completed."]


def test_an_overlong_line_ends_idle_and_authenticate(connect):
    client = connect("")
    client.command("AUTHENTICATE PLAIN")
    client.send(b"x" * 70_000 + b"\r\n")
    assert client.line().endswith(b"BAD Command line too long")
    client.ok("LOGIN alice secret")
    client.command("IDLE")
    client.send(b"x" * 70_000 + b"\r\n")
    assert client.line() == b"t3 BAD Command line too long"
    assert client.ok("NOOP") == [b"OK NOOP completed."]
