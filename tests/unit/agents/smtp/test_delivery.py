from __future__ import annotations

import asyncio
import dataclasses
import time

import pytest
from tests.unit.agents.smtp.fakes import CLOSE, SILENCE, Bench, FakeServer, request

from angarium.agents.smtp.outgoing import Rules, make_checks
from angarium.agents.smtp.parameters import Timeouts
from angarium.cleanup.generic import make_generic
from angarium.config.config import Config
from angarium.model.content import ContentLostError
from angarium.model.delivery import Status
from angarium.model.envelope import BodyType
from angarium.protocols.smtp.client_states import Step
from angarium.runtime.dns import DnsFailure, Mx, NoRecords, Records
from angarium.runtime.log import ServiceLog
from angarium.tables.opener import TableOpener


def run(scenario):
    return asyncio.run(asyncio.wait_for(scenario(), 20))


def test_sent_with_the_peers_words():
    async def scenario():
        async with FakeServer() as server, Bench() as bench:
            result = await bench.one(f"[127.0.0.1]:{server.port}", body=BodyType.EIGHTBITMIME)
            return server, result

    server, result = run(scenario)
    assert result.status is Status.SENT
    assert str(result.dsn) == "2.0.0"
    assert result.text == "250 2.0.0 Ok: queued as F00"
    assert result.relay == f"127.0.0.1[127.0.0.1]:{server.port}"
    assert result.remote_mta == "127.0.0.1"
    assert not result.relayed_dsn
    assert result.agent_ready <= result.connected <= result.finished
    assert server.commands[:2] == ["EHLO client.test", "MAIL FROM:<a@example.org> SIZE=39 BODY=8BITMIME"]
    assert server.messages == [b"Received: by us\r\nSubject: x\r\n\r\n..hello\r\n.\r\n"]


def test_each_recipient_has_its_own_outcome():
    async def scenario():
        script = {
            "RCPT TO:<bad@example.org>": "550 5.1.1 no such user",
            "RCPT TO:<full@example.org>": "452 4.2.2 full",
        }
        async with FakeServer(script) as server, Bench() as bench:
            return await bench.agent.deliver(
                request(f"[127.0.0.1]:{server.port}", "bad@example.org", "good@example.org", "full@example.org")
            )

    bad, good, full = run(scenario)
    assert (bad.status, str(bad.dsn)) == (Status.BOUNCED, "5.1.1")
    assert bad.text == "host 127.0.0.1[127.0.0.1] said: 550 5.1.1 no such user (in reply to RCPT TO command)"
    assert bad.remote_reply == "550 5.1.1 no such user"
    assert good.status is Status.SENT
    assert (full.status, str(full.dsn)) == (Status.DEFERRED, "4.2.2")
    assert not full.destination_broken


@pytest.mark.parametrize(
    ("script", "status", "dsn", "words"),
    [
        (
            {"MAIL": "550 5.7.1 go away"},
            Status.BOUNCED,
            "5.7.1",
            "said: 550 5.7.1 go away (in reply to MAIL FROM command)",
        ),
        ({"DATA": "451 busy"}, Status.DEFERRED, "4.0.0", "said: 451 busy (in reply to DATA command)"),
        ({"DOT": "552 5.3.4 big"}, Status.BOUNCED, "5.3.4", "said: 552 5.3.4 big (in reply to end of DATA command)"),
        ({"DOT": "550-5.7.1 one\r\n550 5.7.1 two"}, Status.BOUNCED, "5.7.1", "said: 550-5.7.1 one 550 5.7.1 two (in"),
        ({"GREETING": "421 4.3.2 later"}, Status.DEFERRED, "4.3.2", "refused to talk to me: 421 4.3.2 later"),
        ({"GREETING": "554 no"}, Status.DEFERRED, "4.0.0", "refused to talk to me: 554 no"),
        (
            {"GREETING": CLOSE},
            Status.DEFERRED,
            "4.4.2",
            "lost connection with 127.0.0.1[127.0.0.1] while receiving the init",
        ),
        (
            {"GREETING": "HTTP/1.1 400"},
            Status.DEFERRED,
            "4.5.0",
            "Protocol error: host 127.0.0.1[127.0.0.1] said: HTTP/1",
        ),
        ({"EHLO": CLOSE}, Status.DEFERRED, "4.4.2", "while performing the EHLO handshake"),
        ({"EHLO": "500 x", "HELO": CLOSE}, Status.DEFERRED, "4.4.2", "while performing the HELO handshake"),
        ({"EHLO": "500 x", "HELO": "554 5.7.1 no"}, Status.BOUNCED, "5.7.1", "refused to talk to me: 554 5.7.1 no"),
        ({"MAIL": CLOSE}, Status.DEFERRED, "4.4.2", "while sending MAIL FROM"),
        ({"RCPT": CLOSE}, Status.DEFERRED, "4.4.2", "while sending RCPT TO"),
        ({"DATA": CLOSE}, Status.DEFERRED, "4.4.2", "while sending DATA command"),
        ({"DOT": CLOSE}, Status.DEFERRED, "4.4.2", "while sending end of data -- message may be sent more than once"),
    ],
)
def test_what_goes_wrong_is_said_as_postfix_says_it(script, status, dsn, words):
    async def scenario():
        async with FakeServer(script) as server, Bench() as bench:
            return await bench.one(f"[127.0.0.1]:{server.port}")

    result = run(scenario)
    assert (result.status, str(result.dsn)) == (status, dsn)
    assert words in result.text


def test_helo_after_refused_ehlo():
    async def scenario():
        async with FakeServer({"EHLO": "502 what"}) as server, Bench() as bench:
            return server, await bench.one(f"[127.0.0.1]:{server.port}")

    server, result = run(scenario)
    assert result.status is Status.SENT
    assert server.commands[:3] == ["EHLO client.test", "HELO client.test", "MAIL FROM:<a@example.org>"]


@pytest.mark.parametrize(
    ("step", "words"),
    [
        ("GREETING", "receiving the initial server greeting"),
        ("MAIL", "sending MAIL FROM"),
        ("DOT", "sending end of data -- message may be sent more than once"),
    ],
)
def test_silence_ends_by_the_steps_time_limit(step, words):
    async def scenario():
        timeouts = Timeouts(helo=0.05, mail=0.05, data_done=0.05)
        async with FakeServer({step: SILENCE}) as server, Bench(timeouts=timeouts) as bench:
            return await bench.one(f"[127.0.0.1]:{server.port}")

    result = run(scenario)
    assert result.text == f"conversation with 127.0.0.1[127.0.0.1] timed out while {words}"
    assert str(result.dsn) == "4.4.2"
    assert result.destination_broken


def test_connection_refused():
    async def scenario():
        async with FakeServer() as server:
            port = server.port
        async with Bench() as bench:
            return bench.log.lines, port, await bench.one(f"[127.0.0.1]:{port}")

    lines, port, result = run(scenario)
    assert result.text == f"connect to 127.0.0.1[127.0.0.1]:{port}: Connection refused"
    assert (str(result.dsn), result.relay, result.destination_broken) == ("4.4.1", "none", True)
    assert lines == [f"postfix/smtp: connect to 127.0.0.1[127.0.0.1]:{port}: Connection refused"]


def test_connection_is_reused_and_counted():
    async def scenario():
        async with FakeServer() as server, Bench() as bench:
            results = [await bench.one(f"[127.0.0.1]:{server.port}") for _ in range(3)]
            return server, [result.conn_use for result in results], bench.agent.statistics()

    server, uses, statistics = run(scenario)
    assert uses == [1, 2, 3]
    assert server.connections == 1
    assert statistics == (1, 1)


def test_reuse_is_limited():
    async def scenario():
        async with FakeServer() as server, Bench(reuse_count_limit=1) as bench:
            for _ in range(3):
                await bench.one(f"[127.0.0.1]:{server.port}")
            counted = server.connections
            async with Bench(cache_on_demand=False) as uncached:
                for _ in range(2):
                    await uncached.one(f"[127.0.0.1]:{server.port}")
            return counted, server.connections

    assert run(scenario) == (2, 4)


def test_idle_connection_is_closed_in_time():
    async def scenario():
        async with FakeServer() as server, Bench(cache_time_limit=0.05) as bench:
            await bench.one(f"[127.0.0.1]:{server.port}")
            while bench.agent.statistics() != (0, 0) or "QUIT" not in server.commands:
                await asyncio.sleep(0.01)
            return server.commands[-1]

    assert run(scenario) == "QUIT"


def test_stale_connection_is_replaced_without_blame():
    async def scenario():
        async with FakeServer({"MAIL": ["250 ok", CLOSE, "250 ok"]}) as server, Bench() as bench:
            first = await bench.one(f"[127.0.0.1]:{server.port}")
            second = await bench.one(f"[127.0.0.1]:{server.port}")
            return server.connections, first.status, second.status, second.conn_use, len(server.messages)

    assert run(scenario) == (2, Status.SENT, Status.SENT, 1, 2)


def test_who_says_later_over_an_open_connection_is_not_asked_at_once_over_a_new_one():
    async def scenario():
        async with FakeServer({"RCPT": ["250 ok", "450 4.2.1 later", "250 ok"]}) as server, Bench() as bench:
            first = await bench.one(f"[127.0.0.1]:{server.port}")
            second = await bench.one(f"[127.0.0.1]:{server.port}")
            return server.connections, first.status, second.status, second.conn_use

    assert run(scenario) == (1, Status.SENT, Status.DEFERRED, 2)


def test_refused_transaction_is_reset_before_the_next():
    async def scenario():
        async with (
            FakeServer({"RCPT": ["550 no", "250 ok"], "DATA": ["554 none", "354 go"]}) as server,
            Bench() as bench,
        ):
            first = await bench.one(f"[127.0.0.1]:{server.port}")
            second = await bench.one(f"[127.0.0.1]:{server.port}")
            return server.commands, server.connections, first.status, second.status

    commands, connections, first, second = run(scenario)
    assert (connections, first, second) == (1, Status.BOUNCED, Status.SENT)
    assert commands[4] == "RSET"


def test_next_host_after_trouble_with_the_first():
    async def scenario():
        async with FakeServer({"GREETING": "421 busy"}) as busy, FakeServer() as free, Bench() as bench:
            return await bench.one(f"[127.0.0.1]:{busy.port}, [127.0.0.1]:{free.port}"), bench.log.lines, free.port

    result, lines, port = run(scenario)
    assert result.status is Status.SENT
    assert result.relay.endswith(f":{port}")
    assert lines == ["postfix/smtp: 4F2A: host 127.0.0.1[127.0.0.1] refused to talk to me: 421 busy"]


def test_recipients_deferred_by_one_host_go_to_the_next():
    async def scenario():
        script = {"RCPT TO:<later@example.org>": "450 4.2.1 later"}
        async with FakeServer(script) as first, FakeServer() as second, Bench() as bench:
            results = await bench.agent.deliver(
                request(f"[127.0.0.1]:{first.port} [127.0.0.1]:{second.port}", "now@example.org", "later@example.org")
            )
            return [result.relay.rpartition(":")[2] for result in results], [str(first.port), str(second.port)], second

    ports, expected, second = run(scenario)
    assert ports == expected
    assert "RCPT TO:<now@example.org>" not in second.commands


def test_permanent_refusal_does_not_go_to_the_next():
    async def scenario():
        async with FakeServer({"MAIL": "550 no"}) as first, FakeServer() as second, Bench() as bench:
            result = await bench.one(f"[127.0.0.1]:{first.port} [127.0.0.1]:{second.port}")
            return result.status, second.connections

    assert run(scenario) == (Status.BOUNCED, 0)


def test_session_limit():
    async def scenario():
        async with (
            FakeServer({"GREETING": "421 busy"}) as server,
            Bench(mx_session_limit=2, tcp_port=server.port) as bench,
        ):
            exchangers = tuple(Mx(10, f"mx{n}.example.org") for n in range(4))
            bench.resolver.exchangers["example.org"] = Records(exchangers)
            for exchanger in exchangers:
                bench.resolver.hosts[exchanger.host] = Records(("127.0.0.1",))
            result = await bench.one("example.org")
            return server.connections, result.status

    assert run(scenario) == (2, Status.DEFERRED)


def test_fallback_relay():
    async def scenario():
        async with FakeServer() as server, Bench(fallback_relay=(f"[127.0.0.1]:{server.port}",)) as bench:
            return await bench.one("absent.example.org")

    assert run(scenario).status is Status.SENT


@pytest.mark.parametrize(
    ("answer", "status", "dsn", "words"),
    [
        (NoRecords(), Status.BOUNCED, "5.4.4", "Name service error for name=example.org type=AAAA: Host not found"),
        (
            NoRecords(name_exists=True),
            Status.BOUNCED,
            "5.4.4",
            "Host or domain name not found. Name service error for name=example.org type=AAAA: Host not found",
        ),
        (DnsFailure("SERVFAIL"), Status.DEFERRED, "4.4.3", "name=example.org type=MX: Host not found, try again"),
        (Records((Mx(0, ""),)), Status.BOUNCED, "5.1.0", "Domain example.org does not accept mail (nullMX)"),
        (Records((Mx(0, "gone.example"),)), Status.BOUNCED, "5.4.4", "name=gone.example type=AAAA: Host not found"),
    ],
)
def test_outcomes_of_dns(answer, status, dsn, words):
    async def scenario():
        async with Bench() as bench:
            bench.resolver.exchangers["example.org"] = answer
            return await bench.one("example.org")

    result = run(scenario)
    assert (result.status, str(result.dsn), result.relay) == (status, dsn, "none")
    assert words in result.text


def test_soft_bounce():
    async def scenario():
        async with FakeServer({"RCPT": "550 5.1.1 no"}) as server, Bench(soft_bounce=True) as bench:
            return await bench.one(f"[127.0.0.1]:{server.port}"), await bench.one("absent.example.org")

    for result in run(scenario):
        assert result.status is Status.DEFERRED
        assert result.dsn.klass == 4


def test_size_limit_of_the_peer():
    async def scenario():
        async with FakeServer(ehlo=["SIZE 20"]) as server, Bench() as bench:
            result = await bench.one(f"[127.0.0.1]:{server.port}")
            return result, server.commands

    result, commands = run(scenario)
    assert (result.status, str(result.dsn)) == (Status.BOUNCED, "5.3.4")
    assert result.text == "message size 39 exceeds size limit 20 of server 127.0.0.1[127.0.0.1]"
    assert commands == ["EHLO client.test"]


def test_smtputf8():
    async def scenario():
        async with FakeServer() as old, FakeServer(ehlo=["SMTPUTF8", "8BITMIME"]) as new, Bench() as bench:
            refused = await bench.one(f"[127.0.0.1]:{old.port}", "ü@example.org", smtputf8=True)
            needless = await bench.one(f"[127.0.0.1]:{old.port}", "u@example.org", smtputf8=True)
            sent = await bench.one(f"[127.0.0.1]:{new.port}", "ü@example.org", smtputf8=True)
            return refused, needless, sent, new.commands

    refused, needless, sent, commands = run(scenario)
    assert (refused.status, str(refused.dsn)) == (Status.BOUNCED, "5.6.7")
    assert refused.text == "SMTPUTF8 is required, but was not offered by host 127.0.0.1[127.0.0.1]"
    assert needless.status is sent.status is Status.SENT
    assert "MAIL FROM:<a@example.org> SMTPUTF8" in commands


def test_dsn_is_passed_on():
    async def scenario():
        async with FakeServer(ehlo=["DSN"]) as server, Bench() as bench:
            result = await bench.one(f"[127.0.0.1]:{server.port}", envid="e1")
            return server.commands, result.relayed_dsn

    commands, relayed = run(scenario)
    assert relayed
    assert "MAIL FROM:<a@example.org> ENVID=e1" in commands
    assert "RCPT TO:<b@example.org> ORCPT=rfc822;b@example.org" in commands


def test_big_content_under_back_pressure():
    content = b"Subject: big\r\n\r\n" + (b"." + b"x" * 70 + b"\r\n") * 30000

    async def scenario():
        async with FakeServer() as server, Bench() as bench:
            result = await bench.one(f"[127.0.0.1]:{server.port}", content=content)
            return result.status, server.messages[0]

    status, message = run(scenario)
    assert status is Status.SENT
    assert message == b"Received: by us\r\n" + content.replace(b"\r\n.", b"\r\n..") + b".\r\n"


def test_answer_in_the_middle_of_the_content():
    async def scenario():
        async with FakeServer({"CONTENT": ["552 5.3.4 too big", CLOSE]}) as server, Bench() as bench:
            return await bench.one(f"[127.0.0.1]:{server.port}", content=b"x: y\r\n\r\n" + b"line\r\n" * 500_000)

    result = run(scenario)
    assert (result.status, str(result.dsn)) == (Status.BOUNCED, "5.3.4")


def test_malformed_nexthop_waits_for_the_administrator():
    async def scenario():
        async with Bench() as bench:
            return await bench.one("[example.org"), bench.log.lines

    result, lines = run(scenario)
    assert (result.status, str(result.dsn)) == (Status.DEFERRED, "4.3.5")
    assert lines == ['postfix/smtp: warning: 4F2A: malformed destination: "[example.org"']


def test_many_at_once():
    async def scenario():
        async with FakeServer() as server, Bench() as bench:
            results = await asyncio.gather(*(bench.one(f"[127.0.0.1]:{server.port}") for _ in range(40)))
            return {result.status for result in results}, len(server.messages)

    assert run(scenario) == ({Status.SENT}, 40)


def test_bind_address_is_used():
    async def scenario():
        async with FakeServer() as server, Bench(bind_address="127.0.0.9") as bench:
            return (await bench.one(f"[127.0.0.1]:{server.port}")).status

    assert run(scenario) is Status.SENT


def generic(table):
    opener = TableOpener(lambda _text: None)

    def complete(address):
        return address.text

    async def is_own(_domain):
        return False

    return make_generic(
        "smtp_generic_maps", [table], opener, complete, is_own, delimiters="+", propagate=False, token_limit=100
    )


def test_generic_maps_change_what_the_server_hears_and_nothing_else():
    async def scenario():
        table = "inline:{a@example.org=out@public.test, b@example.org=b@public.test}"
        async with FakeServer() as server, Bench(rules=Rules(generic(table))) as bench:
            content = b"From: A <a@example.org>\r\nTo: x@example.org,\r\n b@example.org\r\n\r\na@example.org\r\n"
            asked = request(f"[127.0.0.1]:{server.port}", "b@example.org", "x@example.org", content=content)
            return await bench.agent.deliver(asked), server

    results, server = run(scenario)
    assert [result.recipient.recipient.address for result in results] == ["b@example.org", "x@example.org"]
    assert [command for command in server.commands if "TO:" in command or "FROM:" in command] == [
        f"MAIL FROM:<out@public.test> SIZE={len(server.messages[0]) - 3}",
        "RCPT TO:<b@public.test>",
        "RCPT TO:<x@example.org>",
    ]
    assert server.messages[0] == (
        b"Received: by us\r\nFrom: A <out@public.test>\r\nTo: x@example.org,\r\n b@public.test\r\n\r\n"
        b"a@example.org\r\n.\r\n"
    )


def test_a_generic_map_that_is_down_defers():
    async def scenario():
        async with FakeServer() as server, Bench(rules=Rules(generic("fail:down"))) as bench:
            return await bench.one(f"[127.0.0.1]:{server.port}"), server.connections

    result, connections = run(scenario)
    assert (result.status, str(result.dsn), connections) == (Status.DEFERRED, "4.3.0", 0)


CHECKS = {
    "smtp_header_checks": "regexp:{{/^Subject: a/ WARN seen it}, {/^Received:/ IGNORE}, {/^X-Rej/ REJECT no}, "
    "{/^X-Rep/ REPLACE X-New: 1}, {/^X-Pre/ PREPEND X-Before: 1}, {/^X-Info/ INFO told}, {/^X-Strip/ STRIP gone}, "
    "{/^X-Odd/ ODDITY}}",
    "smtp_body_checks": "regexp:{{/^b/ REPLACE c}}",
}


def test_header_checks_of_mail_that_leaves():
    lines = ["Subject: a", "X-Rej: 1", "X-Rep: 1", "X-Pre: 1", "X-Info: 1", "X-Strip: 1", "X-Odd: 1", "", "b", "d", ""]

    async def scenario():
        async with FakeServer() as server, Bench() as bench:
            log = ServiceLog(bench.log, "postfix/smtp")
            checks = make_checks(Config.of(CHECKS), TableOpener(log.warning), log)
            async with Bench(rules=Rules(None, checks)) as checking:
                content = "\r\n".join(lines).encode()
                await checking.agent.deliver(request(f"[127.0.0.1]:{server.port}", content=content))
            return server.messages[0], bench.log.lines

    message, log = run(scenario)
    kept = ["Subject: a", "X-Rej: 1", "X-New: 1", "X-Before: 1", "X-Pre: 1", "X-Info: 1", "X-Odd: 1", "", "c", "d"]
    assert message.decode().split("\r\n") == [*kept, ".", ""]
    assert log == [
        "postfix/smtp: 4F2A: warning: header Subject: a: seen it",
        "postfix/smtp: warning: unsupported command in smtp_header_checks map: REJECT no",
        "postfix/smtp: 4F2A: replace: header X-Rep: 1: X-New: 1",
        "postfix/smtp: 4F2A: prepend: header X-Pre: 1: X-Before: 1",
        "postfix/smtp: 4F2A: info: header X-Info: 1: told",
        "postfix/smtp: 4F2A: strip: header X-Strip: 1: gone",
        "postfix/smtp: warning: unsupported command in smtp_header_checks map: ODDITY",
        "postfix/smtp: 4F2A: replace: body b: c",
    ]


def test_a_connection_to_a_fallback_relay_is_not_kept_for_the_nexthop():
    async def scenario():
        async with FakeServer() as dead:
            port = dead.port
        async with FakeServer() as server, Bench(fallback_relay=(f"[127.0.0.1]:{server.port}",)) as bench:
            results = [await bench.one(f"[127.0.0.1]:{port}") for _ in range(2)]
            return [result.status for result in results], server.connections

    assert run(scenario) == ([Status.SENT, Status.SENT], 2)


@pytest.mark.parametrize(
    ("script", "status", "text"),
    [
        ({}, Status.SENT, "354 go"),
        ({"DATA": "554 5.7.1 no"}, Status.BOUNCED, "said: 554 5.7.1 no (in reply to DATA command)"),
        ({"RCPT": "550 5.1.1 no"}, Status.BOUNCED, "said: 550 5.1.1 no (in reply to RCPT TO command)"),
    ],
)
@pytest.mark.parametrize("ehlo", [("PIPELINING",), ()])
def test_a_probe_up_to_data(script, status, text, ehlo):
    async def scenario():
        async with FakeServer(script, ehlo) as server, Bench(verify_target=Step.DATA) as bench:
            (result,) = await bench.agent.verify(request(f"[127.0.0.1]:{server.port}"))
            return server, result

    server, result = run(scenario)
    assert result.status is status
    assert result.text.endswith(text)
    assert server.messages == []


class Dripping(FakeServer):
    """Makes progress all the time, octet by octet."""

    async def _say(self, writer, text):
        for octet in text.encode() + b"x" * 2000:
            writer.write(bytes([octet]))
            await asyncio.sleep(0.005)
        return False


def test_a_request_has_a_deadline_when_main_cf_wants_it():
    async def scenario():
        async with Dripping() as server, Bench(timeouts=Timeouts(helo=0.1), request_rate=500) as bench:
            begun = time.monotonic()
            result = await bench.one(f"[127.0.0.1]:{server.port}")
            return result.text, time.monotonic() - begun

    text, took = run(scenario)
    assert text == "conversation with 127.0.0.1[127.0.0.1] timed out while receiving the initial server greeting"
    assert took < 5


@pytest.mark.parametrize("ending", [b"\r\n", b""])
def test_the_dot_comes_late_for_a_firewall(ending):
    async def scenario():
        parameters = {
            "pix_workarounds": frozenset({"delay_dotcrlf"}),
            "pix_workaround_threshold": 0.0,
            "pix_workaround_delay": 0.05,
        }
        async with FakeServer({"GREETING": "220 ****"}) as server, Bench(**parameters) as bench:
            result = await bench.one(f"[127.0.0.1]:{server.port}", content=b"Subject: x\r\n\r\n" + b"y" * 99 + ending)
            return server, result

    server, result = run(scenario)
    assert result.status is Status.SENT
    assert server.messages[0].endswith(b"y\r\n.\r\n")


def test_a_request_that_only_asks_sends_nothing():
    async def scenario():
        async with FakeServer() as server, Bench() as bench:
            asked = dataclasses.replace(request(f"[127.0.0.1]:{server.port}"), verify=True)
            (result,) = await bench.agent.deliver(asked)
            return server, result

    server, result = run(scenario)
    assert result.status is Status.SENT
    assert server.messages == []
    assert not any(command.startswith("DATA") for command in server.commands)


class Shrinking:
    """Content whose file becomes shorter while it is read."""

    size = 3_000_000

    def chunks(self, start=0, stop=None):
        for _ in range(20):
            yield b"x" * 70 + b"\r\n" + b"y" * 60_000 + b"\r\n"
        raise ContentLostError("the file became shorter", "/spool/x")


@pytest.mark.parametrize("pix", [False, True])
def test_of_content_that_ends_too_early_no_part_is_taken_for_the_whole(pix):
    async def scenario():
        parameters = {"pix_workarounds": frozenset({"delay_dotcrlf"}), "pix_workaround_threshold": 0.0}
        greeting = "220 ****" if pix else "220 x"
        async with FakeServer({"GREETING": greeting}) as server, Bench(**parameters) as bench:
            asked = dataclasses.replace(request(f"[127.0.0.1]:{server.port}"), content=Shrinking())
            (result,) = await asyncio.wait_for(bench.agent.deliver(asked), 10)
            return server.messages, result

    messages, result = run(scenario)
    assert messages == []
    assert (result.status, str(result.dsn)) == (Status.DEFERRED, "4.3.0")
    assert result.text == "error reading message: the file became shorter"
