"""The LMTP client: what is different from SMTP's (RFC 2033)."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.unit.agents.smtp.fakes import CLOSE, SILENCE, Bench, FakeServer, request

from angarium.agents.smtp.destination import destinations
from angarium.agents.smtp.main import SmtpAgent
from angarium.agents.smtp.parameters import SmtpParameters, Timeouts
from angarium.config.config import Config
from angarium.model.delivery import Status
from angarium.model.lookup import NOT_FOUND, Found
from angarium.protocols.smtp.dialect import LMTP
from angarium.runtime.authority import Authority
from angarium.runtime.dns import StaticResolver
from angarium.runtime.log import MemoryLog, ServiceLog
from angarium.runtime.tls import ServerTls, server_context

NAMES = [f"{name}@example.org" for name in ("ann", "bob", "cy", "dee")]


def run(scenario):
    return asyncio.run(asyncio.wait_for(scenario(), 30))


def deliver(script, *recipients, **parameters):
    async def scenario():
        async with FakeServer(script, lmtp=True) as server, Bench(dialect=LMTP, **parameters) as bench:
            results = await bench.agent.deliver(request(f"inet:127.0.0.1:{server.port}", *recipients))
            return server, results

    return run(scenario)


def test_one_reply_for_each_recipient():
    script = {
        "RCPT TO:<bob@example.org>": "550 5.1.1 no such user",
        "DOT <cy@example.org>": "552-5.2.2 over\r\n552 5.2.2 quota",
        "DOT <dee@example.org>": "452 4.3.1 disk full",
    }
    server, (ann, bob, cy, dee) = deliver(script, *NAMES)
    assert server.commands[0] == "LHLO client.test"
    assert (ann.status, ann.text) == (Status.SENT, "250 2.0.0 <ann@example.org> saved")
    assert (bob.status, str(bob.dsn)) == (Status.BOUNCED, "5.1.1")
    assert bob.text.endswith("(in reply to RCPT TO command)")
    assert (cy.status, str(cy.dsn)) == (Status.BOUNCED, "5.2.2")
    peer = "127.0.0.1[127.0.0.1]"
    assert cy.text == f"host {peer} said: 552-5.2.2 over 552 5.2.2 quota (in reply to end of DATA command)"
    assert (dee.status, str(dee.dsn)) == (Status.DEFERRED, "4.3.1")


@pytest.mark.parametrize(
    ("end", "words"),
    [
        (CLOSE, "lost connection with 127.0.0.1[127.0.0.1] while sending end of data -- message may be sent more than"),
        ("what?", "Protocol error: host 127.0.0.1[127.0.0.1] said: what?"),
        (SILENCE, "conversation with 127.0.0.1[127.0.0.1] timed out while sending end of data -- message may be sent"),
    ],
)
def test_what_was_answered_stands_when_the_server_goes_away(end, words):
    script = {"DOT <ann@example.org>": "452 4.2.2 full", "DOT <cy@example.org>": end}
    _, (ann, bob, cy, dee) = deliver(script, *NAMES, timeouts=Timeouts(data_done=0.05))
    assert (ann.status, str(ann.dsn)) == (Status.DEFERRED, "4.2.2")
    assert "452 4.2.2 full" in ann.text
    assert bob.status is Status.SENT
    for rest in (cy, dee):
        assert rest.status is Status.DEFERRED
        assert rest.text.startswith(words)


def test_no_other_greeting_than_lhlo():
    server, (result,) = deliver({"LHLO": "500 5.5.1 SMTP is spoken here"})
    assert [command for command in server.commands if command != "QUIT"] == ["LHLO client.test"]
    assert (result.status, str(result.dsn)) == (Status.BOUNCED, "5.5.1")
    assert "refused to talk to me: 500 5.5.1 SMTP is spoken here" in result.text


def test_a_unix_socket_relative_to_the_queue(tmp_path):
    path = tmp_path / "private" / "Dovecot-lmtp"
    path.parent.mkdir()

    async def scenario():
        parameters = {"dialect": LMTP, "queue_directory": str(tmp_path), "myhostname": "mail.test"}
        async with FakeServer(lmtp=True, path=str(path)) as server, Bench(**parameters) as bench:
            first = await bench.one("unix:private/Dovecot-lmtp")
            second = await bench.one("unix:private/Dovecot-lmtp")
            absolute = await bench.one(f"unix:{path}")
            missing = await bench.one("unix:private/none")
            return server.connections, first, second, absolute, missing, bench.log.lines

    connections, first, second, absolute, missing, lines = run(scenario)
    assert connections == 2
    assert (first.status, first.relay, first.remote_mta) == (
        Status.SENT,
        "mail.test[private/Dovecot-lmtp]",
        "mail.test",
    )
    assert second.conn_use == 2
    assert absolute.relay == f"mail.test[{path}]"
    assert (str(missing.dsn), missing.relay, missing.destination_broken) == ("4.4.1", "none", True)
    assert missing.text == "connect to mail.test[private/none]: No such file or directory"
    assert lines == [f"postfix/smtp: {missing.text}"]


def test_ten_thousand_recipients():
    people = [f"user{number}@example.org" for number in range(10_000)]
    script = {f"DOT <{people[7]}>": "550 5.2.1 closed", f"DOT <{people[9000]}>": CLOSE}
    _, results = deliver(script, *people)
    count = {status: sum(result.status is status for result in results) for status in Status}
    assert count == {Status.SENT: 8999, Status.BOUNCED: 1, Status.DEFERRED: 1000}
    assert results[7].status is Status.BOUNCED


def test_destinations():
    unix, inet, port, literal = destinations("unix:a/B, inet:[host] inet:host:2003 [::1]:24", 24, LMTP)
    assert (unix.path, unix.text) == ("a/B", "a/B")
    assert (inet.host, inet.port, inet.exchangers, inet.text) == ("host", 24, False, "[host]")
    assert (port.host, port.port, port.exchangers) == ("host", 2003, False)
    assert (literal.host, literal.port) == ("::1", 24)
    with pytest.raises(ValueError, match="malformed destination"):
        destinations("unix:", 24, LMTP)


def test_parameters_are_the_twins_of_smtps(tmp_path):
    (tmp_path / "main.cf").write_text(
        "lmtp_lhlo_name = me.test\nsmtp_helo_name = not.me\nlmtp_lhlo_timeout = 7s\nlmtp_tcp_port = 2400\n"
        "lmtp_discard_lhlo_keywords = dsn\nlmtp_assume_final = yes\nlmtp_tls_security_level = encrypt\n"
    )
    (tmp_path / "master.cf").write_text("lmtp unix - - n - - lmtp\n")
    conf = Config.load(tmp_path)
    parameters = SmtpParameters.from_config(conf, LMTP)
    assert (parameters.helo_name, parameters.timeouts.helo, parameters.tcp_port) == ("me.test", 7, 2400)
    assert parameters.discard_ehlo_keywords == ("dsn",)
    assert parameters.tls_level.value == "encrypt"
    assert parameters.assume_final
    assert not parameters.skip_quit_response
    assert not SmtpParameters.from_config(conf).assume_final
    assert Path(parameters.queue_directory).is_absolute()


def test_tls_and_a_log_in(tmp_path):
    """The same code as over SMTP, by the names of LMTP's parameters."""
    authority = Authority.ensure(tmp_path, "CA of the test")
    authority.issue(tmp_path, ("mail.test",))
    (tmp_path / "main.cf").write_text(
        f"myhostname = mail.test\nqueue_directory = {tmp_path}\nlmtp_tls_security_level = verify\n"
        f"lmtp_tls_CAfile = {tmp_path}/ca.pem\nlmtp_tls_loglevel = 1\n"
        "lmtp_sasl_auth_enable = yes\nlmtp_sasl_tls_verified_security_options = noanonymous\n"
    )
    (tmp_path / "master.cf").write_text("lmtp unix - - n - - lmtp\n")
    parameters = SmtpParameters.from_config(Config.load(tmp_path), LMTP)

    async def passwords(key):
        return Found("user:secret", "t") if key == "store" else NOT_FOUND

    async def scenario():
        log = MemoryLog()
        server = FakeServer(lmtp=True, path=str(tmp_path / "store"), ehlo=["STARTTLS", "AUTH PLAIN"])
        server.context = server_context(
            ServerTls(cert_file=str(tmp_path / "server.pem"), key_file=str(tmp_path / "server.key"))
        )
        async with server:
            agent = SmtpAgent(parameters, ServiceLog(log, "postfix/lmtp"), StaticResolver(), passwords)
            (result,) = await agent.deliver(request("unix:store"))
            await agent.close()
        return server, result, log.lines

    server, result, lines = run(scenario)
    assert result.status is Status.SENT, result
    assert server.commands[:3] == ["LHLO mail.test", "STARTTLS", "LHLO mail.test"]
    assert server.commands[3].startswith("AUTH PLAIN ")
    assert lines[0].startswith("postfix/lmtp: Verified TLS connection established to mail.test[store]: TLSv1.3")
