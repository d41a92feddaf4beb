"""What the connection itself does: time limits, TLS, back-pressure, limits, draining, faults."""

from __future__ import annotations

import asyncio
import ssl
import time

import pytest

from angarium.daemons.smtpd.client import ClientName
from angarium.daemons.smtpd.collaborators import Exemptions
from angarium.model.content import MemoryContent
from angarium.model.reply import Reply
from angarium.model.verdict import Action, Verdict
from angarium.runtime.spool import Spool, SpooledContent

CLIENT = "client.example.test[127.0.0.1]"
TIMEOUT = "421 4.4.2 mail.example.test Error: timeout exceeded"


async def ready(server, *commands):
    talk = await server.connect()
    await talk.say("EHLO c.test")
    if commands:
        await talk.say(*commands)
    return talk


TRANSACTION = ("MAIL FROM:<a@x.test>", "RCPT TO:<b@y.test>", "DATA")


@pytest.mark.parametrize("sent", [b"", b"NOO", b"MAIL FROM:<a@x.test>\r\n"])
def test_a_silent_client_is_told_and_dropped(server, sent):
    server.configure(timeout=0.05)

    async def test():
        talk = await ready(server)
        if sent.endswith(b"\n"):
            assert (await talk.send(sent)).startswith("250")
        else:
            talk.writer.write(sent)
        assert await talk.reply() == TIMEOUT
        assert await talk.closed()

    server.run(test)
    after = "MAIL" if sent.endswith(b"\n") else "EHLO"
    assert f"timeout after {after} from {CLIENT}" in server.lines


def test_a_client_that_trickles_is_dropped_when_deadlines_are_per_request(server):
    server.configure(timeout=0.1, per_request_deadline=True)

    async def test():
        talk = await ready(server)
        waiting = asyncio.get_running_loop().create_task(talk.reply())
        while not waiting.done():
            talk.writer.write(b"x")
            await asyncio.wait([waiting], timeout=0.01)
        assert await waiting == TIMEOUT

    server.run(test)


def test_a_client_that_trickles_within_the_limit_is_served(server):
    server.configure(timeout=5.0, per_request_deadline=True)

    async def test():
        talk = await ready(server)
        for octet in b"NOOP\r":
            talk.writer.write(bytes([octet]))
            await talk.writer.drain()
        assert await talk.send(b"\n") == "250 2.0.0 Ok"

    server.run(test)


def test_starttls_forgets_the_session_and_what_came_before_it(server, tls_context):
    server.tls = tls_context
    server.configure(tls_security_level="may", sasl_auth_enable=True, helo_required=True)

    async def test():
        talk = await ready(server)
        assert (await talk.say("AUTH PLAIN AGFsaWNlAHNlY3JldA==")).startswith("235")
        assert await talk.send(b"STARTTLS\r\nMAIL FROM:<injected@x.test>\r\n") == "220 2.0.0 Ready to start TLS"
        await talk.start_tls()
        assert await talk.say("MAIL FROM:<a@x.test>") == "503 5.5.1 Error: send HELO/EHLO first"
        assert "STARTTLS" not in await talk.say("EHLO c.test")
        assert (await talk.say("MAIL FROM:<a@x.test>")).startswith("250")
        await talk.say("RCPT TO:<b@y.test>", "DATA")
        assert (await talk.send(b"x\r\n.\r\n")).startswith("250")

    server.run(test)
    origin = server.queue.messages[0].envelope.origin
    assert (origin.protocol, origin.sasl_username) == ("ESMTPS", "")
    assert origin.tls.startswith("TLSv1.3 with cipher ")


def test_nothing_is_read_between_starttls_and_the_handshake(server, tls_context):
    """What comes in while the 220 is held back is the handshake's; in plain text it is no command over TLS."""
    server.tls = tls_context
    server.configure(tls_security_level="may", soft_error_limit=1, error_sleep_time=0.1, starttls_timeout=1.0)

    async def test():
        talk = await ready(server)
        for _ in range(3):
            assert (await talk.say("XYZZY")).startswith("5")
        talk.writer.write(b"STARTTLS\r\n")
        [connection] = server.service._connections
        while not connection._talk.tls_requested:
            await asyncio.sleep(0)
        talk.writer.write(b"EHLO injected.test\r\nMAIL FROM:<injected@x.test>\r\n")
        assert await talk.reply() == "220 2.0.0 Ready to start TLS"
        assert b"250" not in await talk.reader.read()  # an alert, and the end

    server.run(test)
    assert f"SSL_accept error from {CLIENT}: -1" in server.lines


def test_authenticated_over_implicit_tls(server, tls_context):
    server.tls = tls_context
    server.configure(tls_wrappermode=True, tls_auth_only=True, sasl_auth_enable=True)

    async def test():
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        talk = await server.connect(tls=context)
        assert "AUTH PLAIN LOGIN" in await talk.say("EHLO c.test")
        assert (await talk.say("AUTH PLAIN AGFsaWNlAHNlY3JldA==")).startswith("235")
        await talk.say(*TRANSACTION)
        assert (await talk.send(b"x\r\n.\r\n")).startswith("250")

    server.run(test)
    origin = server.queue.messages[0].envelope.origin
    assert (origin.protocol, origin.sasl_method, origin.sasl_username) == ("ESMTPSA", "PLAIN", "alice")
    assert f"A000001: client={CLIENT}, sasl_method=PLAIN, sasl_username=alice" in server.lines


@pytest.mark.parametrize(("size", "kind"), [(1000, MemoryContent), (3_000_000, SpooledContent)])
def test_a_large_message_goes_to_the_spool(server, tmp_path, size, kind):
    server.spool = Spool(tmp_path)
    body = (b"." + b"x" * 76 + b"\r\n") * (size // 79)

    async def test():
        talk = await ready(server, *TRANSACTION)
        talk.writer.write(body.replace(b"\r\n.", b"\r\n..").replace(b".", b"..", 1))
        await talk.writer.drain()
        assert (await talk.send(b".\r\n")).startswith("250")

    server.run(test)
    content = server.queue.messages[0].content
    assert isinstance(content, kind)
    assert content.read() == body
    if isinstance(content, SpooledContent):
        content.close()
    assert list(tmp_path.iterdir()) == []


def test_a_message_over_the_limit_leaves_nothing_in_the_spool(server, tmp_path):
    server.spool = Spool(tmp_path)
    server.configure(message_size_limit=2_000_000)

    async def test():
        talk = await ready(server, *TRANSACTION)
        talk.writer.write(b"x" * 70 + b"\r\n" * 2_000_000)
        assert await talk.send(b"\r\n.\r\n") == "552 5.3.4 Error: message file too big"
        assert (await talk.say("MAIL FROM:<a@x.test>")).startswith("250")

    server.run(test)
    assert list(tmp_path.iterdir()) == []


def test_a_client_that_goes_in_the_middle_of_a_large_message_leaves_nothing(server, tmp_path):
    server.spool = Spool(tmp_path)

    async def test():
        talk = await ready(server, *TRANSACTION)
        talk.writer.write((b"x" * 70 + b"\r\n") * 30_000)
        await talk.writer.drain()
        await talk.close()

    server.run(test)
    assert list(tmp_path.iterdir()) == []
    assert server.queue.messages == []


def test_reading_pauses_while_the_session_works(server):
    release = asyncio.Event()

    async def slow(facts):
        await release.wait()
        return Verdict(Action.PERMIT, "", "test")

    server.policy.mail = slow

    async def test():
        talk = await ready(server)
        talk.writer.write(b"MAIL FROM:<a@x.test>\r\n" + b"NOOP x\r\n" * 2_000_000)
        connection = next(iter(server.service._connections))
        while not connection._paused:
            await asyncio.sleep(0)
        assert connection._input_size < 1_000_000
        release.set()
        talk.writer.transport.abort()

    server.run(test)


def test_a_client_that_does_not_read_is_dropped(server):
    server.configure(timeout=0.05, junk_command_limit=10_000_000, helo_required=False)

    async def test():
        talk = await ready(server)
        talk.writer.transport.pause_reading()
        talk.writer.write(b"RSET\r\n" * 1_000_000)
        while server.service.statistics()["sessions"]:
            await asyncio.sleep(0.01)

    server.run(test)
    assert f"timeout after RSET from {CLIENT}" in server.lines


def test_too_many_connections(server):
    server.configure(client_connection_count_limit=1)

    async def test():
        first = await server.connect()
        second = await server.connect(greeting=False)
        assert await second.reply() == "421 4.7.0 mail.example.test Error: too many connections from 127.0.0.1"
        assert await second.closed()
        await first.say("QUIT")
        assert await first.closed()
        while server.service.statistics()["sessions"]:
            await asyncio.sleep(0)
        await server.connect()

    server.run(test)
    assert f"warning: Connection concurrency limit exceeded: 2 from {CLIENT} for service smtp" in server.lines


def test_too_many_connections_in_a_unit_of_time_unless_exempt(server):
    server.configure(client_connection_rate_limit=1)

    async def test():
        await server.connect()
        second = await server.connect(greeting=False)
        assert (await second.reply()).startswith("421 4.7.0 ")
        server.exempt = Exemptions(limits=True)
        await server.connect()

    server.run(test)
    assert f"warning: Connection rate limit exceeded: 2 from {CLIENT} for service smtp" in server.lines


def test_draining_ends_quiet_sessions_and_lets_transactions_finish(server, monkeypatch):
    monkeypatch.setattr("angarium.daemons.smtpd.connection.DRAIN_QUIET", 0.1)

    async def test():
        idle = await ready(server)
        busy = await ready(server, *TRANSACTION)
        server.service.drain()
        assert (await idle.reply()).startswith("421 4.3.2 ")
        assert await idle.closed()
        assert (await busy.send(b"x\r\n.\r\n")).startswith("250")
        assert (await busy.reply()).startswith("421 4.3.2 ")

    server.run(test)
    assert len(server.queue.messages) == 1


def test_draining_keeps_nobody_from_what_he_came_for(server):
    async def test():
        fresh = await server.connect()
        server.service.drain()
        assert (await fresh.say("EHLO x")).startswith("250")
        for line in TRANSACTION:
            await fresh.say(line)
        assert (await fresh.send(b"x\r\n.\r\n")).startswith("250")
        assert (await fresh.say("QUIT")).startswith("221")

    server.run(test)
    assert len(server.queue.messages) == 1


@pytest.mark.parametrize("stage", ["helo", "mail", "rcpt", "data", "end_of_data", "vrfy", "etrn"])
def test_a_fault_of_ours_is_temporary_and_the_session_goes_on(server, stage):
    server.policy.verdicts[stage] = ZeroDivisionError("bug")

    async def test():
        talk = await server.connect()
        said = [await talk.say("EHLO c"), await talk.say("VRFY x"), await talk.say("ETRN x.test")]
        said += [await talk.say("MAIL FROM:<a@x.test>"), await talk.say("RCPT TO:<b@y.test>")]
        data = await talk.say("DATA")
        said.append(data)
        if data.startswith("354"):
            said.append(await talk.send(b"x\r\n.\r\n"))
        assert "451 4.3.0 Error: internal server error" in said
        assert await talk.say("NOOP") == "250 2.0.0 Ok"

    server.run(test)
    assert any("ZeroDivisionError: bug at conftest.py:" in line for line in server.lines)
    assert len(server.queue.messages) == (0 if stage in ("mail", "rcpt", "data", "end_of_data") else 1)


def test_a_fault_at_the_greeting_closes_the_connection(server):
    server.policy.verdicts["connect"] = ZeroDivisionError("bug")

    async def test():
        talk = await server.connect(greeting=False)
        assert await talk.closed()
        server.policy.verdicts.clear()
        await server.connect()

    server.run(test)


def test_a_refusal_of_421_closes(server):
    reply = Reply.of(421, "4.7.1", "go away")
    server.policy.verdicts["rcpt"] = Verdict(Action.DEFER, "", "test", reply, disconnect=True)

    async def test():
        talk = await ready(server, "MAIL FROM:<a@x.test>")
        assert await talk.say("RCPT TO:<b@y.test>") == "421 4.7.1 go away"
        assert await talk.closed()

    server.run(test)


def test_a_name_that_does_not_fit_is_logged(server):
    server.resolver.name = ClientName("unknown", "hostname x.test does not resolve to address 127.0.0.1")

    async def test():
        await server.connect()

    server.run(test)
    assert server.lines[:2] == [
        "warning: hostname x.test does not resolve to address 127.0.0.1",
        "connect from unknown[127.0.0.1]",
    ]


def test_errors_slow_the_client_down(server):
    server.configure(error_sleep_time=0.05, soft_error_limit=2)

    async def test():
        talk = await ready(server)
        loop = asyncio.get_running_loop()
        started = loop.time()
        await talk.say("FOO")
        assert loop.time() - started < 0.04
        await talk.say("FOO")
        await talk.say("NOOP")
        assert loop.time() - started >= 0.05

    server.run(test)


@pytest.mark.parametrize("forbidden", [True, False])
def test_a_client_that_speaks_before_the_banner(server, forbidden):
    server.configure(forbid_unauth_pipelining=forbidden)
    spoken = asyncio.Event()

    async def slow_name(address):
        await spoken.wait()
        return ClientName("unknown")

    server.resolver.client_name = slow_name

    async def test():
        talk = await server.connect(greeting=False)
        talk.writer.write(b"HELO x\r\nQUIT\r\n")
        connection = next(iter(server.service._connections))
        while not connection._input:
            await asyncio.sleep(0)
        spoken.set()
        first = await talk.reply()
        if forbidden:
            assert first == "554 5.5.0 Error: SMTP protocol synchronization"
            assert await talk.closed()
        else:
            assert [first[:4], (await talk.reply())[:4], (await talk.reply())[:4]] == ["220 ", "250 ", "221 "]

    server.run(test)
    said = "improper command pipelining after CONNECT from unknown[127.0.0.1]: HELO x\\r\\nQUIT\\r\\n"
    assert server.lines[1] == said


def test_too_many_new_tls_sessions(server, tls_context):
    server.tls = tls_context
    server.configure(tls_security_level="may", client_new_tls_session_rate_limit=1)

    async def test():
        first = await ready(server, "STARTTLS")
        await first.start_tls()
        assert await first.say("NOOP") == "250 2.0.0 Ok"
        second = await ready(server, "STARTTLS")
        await second.start_tls()
        assert await second.reply() == f"421 4.7.0 mail.example.test Error: too many new TLS sessions from {CLIENT}"
        third = await ready(server)
        assert await third.say("STARTTLS") == f"454 4.7.0 Error: too many new TLS sessions from {CLIENT}"

    server.run(test)
    assert f"warning: New TLS session rate limit exceeded: 2 from {CLIENT} for service smtp" in server.lines
    assert f"warning: Refusing STARTTLS request from {CLIENT} for service smtp" in server.lines


def test_a_handshake_that_does_not_come(server, tls_context):
    server.tls = tls_context
    server.configure(tls_security_level="may", starttls_timeout=0.05)

    async def test():
        talk = await ready(server, "STARTTLS")
        assert await talk.closed()

    server.run(test)
    assert server.lines[1:3] == [
        f"SSL_accept error from {CLIENT}: Connection timed out",
        f"lost connection after STARTTLS from {CLIENT}",
    ]


def test_an_implicit_tls_service_survives_clients_that_do_not_speak_tls(server, tls_context):
    server.tls = tls_context
    server.configure(tls_wrappermode=True)

    async def test():
        for octets in (b"EHLO x\r\n", b"", b"\x16\x03\x01"):
            talk = await server.connect(greeting=False)
            talk.writer.write(octets)
            talk.writer.write_eof()
            await talk.reader.read()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        talk = await server.connect(tls=context)
        await talk.say("QUIT")
        while server.service.statistics()["sessions"]:
            await asyncio.sleep(0)

    server.run(test)
    assert len([line for line in server.lines if line == f"lost connection after CONNECT from {CLIENT}"]) == 3


def test_the_queue_id_is_there_from_mail_on_when_asked_for(server):
    server.configure(delay_open_until_valid_rcpt=False)

    async def test():
        await ready(server, "MAIL FROM:<a@x.test>")

    server.run(test)
    assert server.lines[1] == f"A000001: client={CLIENT}"


def test_the_port_is_shown_when_asked_for(server):
    server.configure(client_port_logging=True)

    async def test():
        talk = await server.connect()
        server.port = talk.writer.get_extra_info("sockname")[1]

    server.run(test)
    assert server.lines[0] == f"connect from {CLIENT}:{server.port}"


def test_a_service_that_is_drained_before_it_runs_returns(server):
    async def test():
        server.service.drain()

    server.run(test)
    assert server.lines == []


def test_more_sessions_than_file_descriptors_allow(server, monkeypatch):
    """The rest of them is for mailboxes and the queue."""
    monkeypatch.setattr("angarium.daemons.smtpd.main._most_sessions", lambda: 2)
    busy = "421 4.3.2 mail.example.test Error: all server ports are busy"

    async def test():
        first = await server.connect()
        second = await server.connect()
        for _ in range(2):
            third = await server.connect(greeting=False)
            assert await third.reply() == busy
            assert await third.closed()
        assert await first.say("QUIT") == "221 2.0.0 Bye"
        assert await first.closed()
        while server.service.statistics()["sessions"] > 1:
            await asyncio.sleep(0)
        await ready(server)
        assert (await second.say("NOOP")).startswith("250")

    server.run(test)
    assert sum("all server ports are busy" in line for line in server.lines) == 1


def test_pipelined_commands_let_others_go_first(server):
    """Thousands of chunks of one octet in one segment do not hold the process for all of them."""
    stalls = []

    async def watch():
        last = time.perf_counter()
        while True:
            await asyncio.sleep(0.001)
            now = time.perf_counter()
            stalls.append(now - last)
            last = now

    async def test():
        watching = asyncio.get_running_loop().create_task(watch())
        talk = await ready(server, "MAIL FROM:<a@x.test>", "RCPT TO:<b@y.test>")
        count = 20_000
        talk.writer.write(b"BDAT 1\r\nx" * count + b"BDAT 0 LAST\r\n")
        for _ in range(count):
            assert await talk.reply() == "250 2.0.0 Ok: 1 bytes"
        assert (await talk.reply()).startswith(f"250 2.0.0 Ok: {count + 2} bytes queued")
        watching.cancel()

    server.run(test, seconds=30)
    assert max(stalls) < 0.25


def test_the_policy_is_closed_when_the_service_is_over(server):
    async def test():
        await server.connect()
        assert not server.policy.closed

    server.run(test)
    assert server.policy.closed


@pytest.mark.parametrize("wrapper", [False, True])
def test_a_proxy_that_hangs_up_within_its_header_costs_nothing(server, tls_context, wrapper):
    server.tls = tls_context
    server.configure(upstream_proxy_protocol="haproxy", tls_wrappermode=wrapper)

    async def test():
        talk = await server.connect(greeting=False)
        talk.writer.write(b"PROXY TCP4 192.0.2.7")
        await talk.writer.drain()
        talk.writer.write_eof()
        await talk.reader.read()

    server.run(test)
    assert server.lines[0] == "warning: haproxy read: short protocol header: PROXY TCP4 192.0.2.7"


def test_a_proxy_header_may_come_in_pieces(server):
    server.configure(upstream_proxy_protocol="haproxy")

    async def test():
        talk = await server.connect(greeting=False)
        for octet in b"PROXY TCP4 192.0.2.7 192.0.2.25 4711 25\r\n":
            talk.writer.write(bytes([octet]))
            await talk.writer.drain()
            await asyncio.sleep(0)
        assert (await talk.reply()).startswith("220 ")

    server.run(test)
    assert server.lines[0].startswith("connect from client.example.test[192.0.2.7]")
