"""Cases that the recorded conversations do not reach."""

from __future__ import annotations

import asyncio
import time

import pytest

from angarium.auth import penalty
from angarium.auth.interface import Unavailable
from angarium.model.envelope import Notify
from angarium.model.reply import Reply
from angarium.model.verdict import Action, Effect, Request, Verdict
from angarium.protocols.smtp.types import BareNewline

CLIENT = "client.example.test[127.0.0.1]"


async def deliver(server, recipients=("b@y.test",)):
    talk = await server.connect()
    await talk.say("EHLO c.test")
    await talk.say("MAIL FROM:<a@x.test>")
    for recipient in recipients:
        assert (await talk.say(f"RCPT TO:<{recipient}>")).startswith("250")
    await talk.say("DATA")
    reply = await talk.send(b"Subject: x\r\n\r\n.\r\n")
    await talk.say("QUIT")
    return reply


def asks(*requests):
    """A verdict that permits and asks for something beside."""
    made = (Request(effect, "<a@x.test>: Sender address why", argument, "test") for effect, argument in requests)
    return Verdict(Action.PERMIT, "", "test", requests=tuple(made))


def test_hold(server):
    server.policy.verdicts["rcpt"] = asks((Effect.HOLD, ""))

    async def test():
        assert await deliver(server) == "250 2.0.0 Ok: queued as A000001"

    server.run(test)
    assert server.queue.messages[0].hold
    assert (
        f"NOQUEUE: hold: RCPT from {CLIENT}: <a@x.test>: Sender address why; "
        "from=<a@x.test> to=<b@y.test> proto=ESMTP helo=<c.test>"
    ) in server.lines


def test_discard(server):
    server.policy.verdicts["end_of_data"] = asks((Effect.DISCARD, ""))

    async def test():
        assert await deliver(server) == "250 2.0.0 Ok: queued as A000001"

    server.run(test)
    assert server.queue.messages == []
    assert any(line.startswith("A000001: discard: END-OF-MESSAGE from ") for line in server.lines)


def test_redirect(server):
    server.policy.verdicts["rcpt"] = asks((Effect.REDIRECT, "z@z.test"))

    async def test():
        await deliver(server, ("b@y.test", "c@y.test"))

    server.run(test)
    assert server.queue.messages[0].envelope.redirect == "z@z.test"


def test_prepend(server):
    server.policy.verdicts["mail"] = asks((Effect.PREPEND, "X-One: 1"))
    server.policy.verdicts["data"] = asks((Effect.PREPEND, "X-Two: 2"))

    async def test():
        await deliver(server)

    server.run(test)
    assert server.queue.messages[0].prefix == b"X-One: 1\r\nX-Two: 2\r\n"


def test_several_requests_of_one_command_all_take_effect(server):
    server.policy.verdicts["rcpt"] = asks(
        (Effect.PREPEND, "X-One: 1"), (Effect.HOLD, ""), (Effect.BCC, "copy@z.test"), (Effect.FILTER, "smtp:[f.test]")
    )

    async def test():
        await deliver(server)

    server.run(test)
    (message,) = server.queue.messages
    assert message.hold
    assert message.prefix == b"X-One: 1\r\n"
    assert [(r.address, r.notify) for r in message.envelope.recipients] == [
        ("b@y.test", Notify.UNSAID),
        ("copy@z.test", Notify.UNSAID),
    ]
    verbs = [line.split(": ")[1] for line in server.lines if line.startswith("NOQUEUE: ")]
    assert verbs == ["hold", "bcc", "filter"]
    assert message.envelope.content_filter == "smtp:[f.test]"


def test_what_a_refused_recipient_asked_for_holds_for_the_message(server):
    refusal = Verdict(
        Action.REJECT, "", "test", Reply.of(550, "5.1.1", "no"), requests=(Request(Effect.HOLD, "<x>: why"),)
    )
    server.policy.verdicts["rcpt", "no@y.test"] = refusal

    async def test():
        talk = await server.connect()
        await talk.say("EHLO c.test")
        said = await talk.say("MAIL FROM:<a@x.test>", "RCPT TO:<no@y.test>", "RCPT TO:<b@y.test>", "DATA")
        assert [line[:3] for line in said.splitlines()] == ["250", "550", "250", "354"]
        await talk.send(b"Subject: x\r\n\r\n.\r\n")

    server.run(test)
    assert server.queue.messages[0].hold


def test_a_rule_after_rcpt_is_told_of_a_recipient_only_when_there_is_one(server):
    async def test():
        await deliver(server)
        await deliver(server, ("b@y.test", "c@y.test"))

    server.run(test)
    told = [facts.recipient for stage, facts in server.policy.asked if stage == "data"]
    assert told == ["b@y.test", None]
    sizes = [facts.size for stage, facts in server.policy.asked if stage == "end_of_data"]
    assert sizes == [14, 14]


def test_nobody_can_check_passwords_now(server):
    server.configure(sasl_auth_enable=True)
    server.authenticator.outcome = Unavailable("the directory is locked")

    async def test():
        talk = await server.connect()
        await talk.say("EHLO c")
        reply = await talk.say("AUTH PLAIN AGFsaWNlAHNlY3JldA==")
        assert reply == "454 4.7.0 Temporary authentication failure: (reason unavailable)"

    server.run(test)
    assert any("the directory is locked" in line for line in server.lines)
    assert not any("secret" in line for line in server.lines)


def test_bare_newlines_are_noted(server):
    server.configure(forbid_bare_newline=BareNewline.NOTE)

    async def test():
        talk = await server.connect()
        await talk.say("EHLO c")
        await talk.say("MAIL FROM:<a@x.test>", "RCPT TO:<b@y.test>", "DATA")
        assert (await talk.send(b"a\nb\n.\n")).startswith("250")

    server.run(test)
    assert server.queue.messages[0].content.read() == b"a\r\nb\r\n"
    assert f"A000001: note: bare <LF> received from {CLIENT}" in server.lines


def test_smuggling_is_not_possible(server):
    async def test():
        talk = await server.connect()
        await talk.say("EHLO c")
        await talk.say("MAIL FROM:<a@x.test>", "RCPT TO:<b@y.test>", "DATA")
        smuggled = b"MAIL FROM:<admin@y.test>\r\nRCPT TO:<b@y.test>\r\nDATA\r\nfake\r\n.\r\n"
        assert (await talk.send(b"x\r\n\n.\r\n" + smuggled)).startswith("250")
        assert await talk.say("NOOP") == "250 2.0.0 Ok"

    server.run(test)
    assert len(server.queue.messages) == 1
    assert b"MAIL FROM:<admin@y.test>" in server.queue.messages[0].content.read()


def test_etrn(server):
    asked = []

    async def flush(domain):
        asked.append(domain)
        return True

    server.flush = flush

    async def test():
        talk = await server.connect()
        await talk.say("EHLO c")
        assert await talk.say("ETRN @y.test") == "250 Queuing started"
        server.policy.verdicts["etrn"] = Verdict(Action.REJECT, "", "test", Reply.of(554, "5.7.1", "no"))
        assert await talk.say("ETRN y.test") == "554 5.7.1 no"

    server.run(test)
    assert asked == ["y.test"]


def test_a_full_disk(server, monkeypatch):
    monkeypatch.setattr("angarium.daemons.smtpd.main._FreeSpace.octets", lambda self: 1000)

    async def test():
        talk = await server.connect()
        await talk.say("EHLO c")
        assert await talk.say("MAIL FROM:<a@x.test>") == "452 4.3.1 Insufficient system storage"

    server.run(test)
    assert "warning: not enough free space in mail queue: 1000 bytes < 1.5*message size limit" in server.lines


def test_a_spool_that_cannot_be_written(server, tmp_path):
    from angarium.runtime.spool import Spool

    server.spool = Spool(tmp_path / "missing")

    async def test():
        talk = await server.connect()
        await talk.say("EHLO c")
        await talk.say("MAIL FROM:<a@x.test>", "RCPT TO:<b@y.test>", "DATA")
        talk.writer.write((b"x" * 70 + b"\r\n") * 40_000)
        assert await talk.send(b".\r\n") == "451 4.3.0 Error: queue file write error"
        assert (await talk.say("MAIL FROM:<a@x.test>")).startswith("250")

    server.run(test)


@pytest.mark.parametrize(
    ("commands", "protocol"),
    [
        (["HELO c", "MAIL FROM:<a@x.test>"], "SMTP"),
        (["EHLO c", "MAIL FROM:<a@x.test>"], "ESMTP"),
        (["EHLO c", "MAIL FROM:<a@x.test> SMTPUTF8"], "UTF8SMTP"),
        (["MAIL FROM:<a@x.test>"], "SMTP"),
    ],
)
def test_the_protocol_of_the_received_header(server, commands, protocol):
    async def test():
        talk = await server.connect()
        for command in [*commands, "RCPT TO:<b@y.test>", "DATA"]:
            await talk.say(command)
        await talk.send(b"x\r\n.\r\n")

    server.run(test)
    assert server.queue.messages[0].envelope.origin.protocol == protocol


def test_a_chunk_that_is_refused_early_is_read_and_answered_once(server):
    server.configure(tls_security_level="encrypt")

    async def test():
        talk = await server.connect()
        await talk.say("EHLO c")
        assert await talk.send(b"BDAT 6\r\nRSET\r\n") == "530 5.7.0 Must issue a STARTTLS command first"
        assert await talk.say("NOOP") == "250 2.0.0 Ok"

    server.run(test)


@pytest.mark.parametrize("last", [b"", b" LAST"])
def test_a_fault_at_a_chunk_is_answered_once(server, last):
    server.policy.verdicts["data"] = ZeroDivisionError("bug")

    async def test():
        talk = await server.connect()
        await talk.say("EHLO c")
        await talk.say("MAIL FROM:<a@x.test>", "RCPT TO:<b@y.test>")
        assert await talk.send(b"BDAT 6" + last + b"\r\nRSET\r\n") == "451 4.3.0 Error: internal server error"
        said = await talk.send(b"BDAT 3 LAST\r\nabc")
        assert said == (
            "503 5.5.1 Error: need RCPT command" if last else "551 5.0.0 Discarded 3 bytes after earlier error"
        )
        assert await talk.say("MAIL FROM:<a@x.test>") == "250 2.1.0 Ok"

    server.run(test)


def test_a_chunk_of_unknown_size_ends_the_session_even_when_it_is_refused_early(server):
    async def test():
        talk = await server.connect()
        await talk.say("EHLO c")
        assert await talk.send(b"BDAT 6\xff\r\n") == "500 5.5.2 Error: bad UTF-8 syntax"
        assert await talk.closed()

    server.run(test)


@pytest.mark.parametrize(
    "octets",
    [
        b"EHLO c\r\nAUTH PLAIN AGFsaWNlAHNlY3JldA==\r\n",
        b"AUTH LOGIN\r\nAGFsaWNlAHNlY3JldA==\r\n",
        b"AUTH PLAIN AGFsaWNlAHNlY3JldA==" + b"A" * 3000 + b"\r\n",
        b"AUTH LOGIN\r\n4GFsaWNlAHNlY3JldA==\r\n",
    ],
)
@pytest.mark.parametrize("enabled", [True, False])
def test_credentials_that_come_at_the_wrong_time_are_not_logged(server, octets, enabled):
    server.configure(sasl_auth_enable=enabled)

    async def test():
        talk = await server.connect()
        await talk.send(octets)

    server.run(test)
    assert not any("AGFsaWN" in line or "GFsaWNlAHNl" in line for line in server.lines)


def test_responses_after_a_refused_auth_are_not_logged(server):
    async def test():
        talk = await server.connect()
        await talk.say("EHLO c")
        assert (await talk.say("AUTH LOGIN")).startswith("503")
        await talk.say("YWxpY2U=")
        assert (await talk.say("4GFsaWNlAHNlY3JldA==")).startswith("221 2.7.0")

    server.run(test)
    assert f"warning: non-SMTP command from {CLIENT}: ..." in server.lines


def test_wrong_passwords_cost_the_address_time(server, monkeypatch):
    """A guesser gets no more guesses by SMTP than by IMAP and POP3: they share the memory."""
    monkeypatch.setattr(penalty, "_FIRST_DELAY", 0.01)
    server.configure(sasl_auth_enable=True)
    server.penalty = penalty.LoginPenalty(penalty.Networks([]))
    slept = []
    real = asyncio.sleep

    async def sleep(seconds):
        slept.append(seconds)
        await real(0)

    async def test():
        talk = await server.connect()
        await talk.say("EHLO c")
        monkeypatch.setattr("angarium.daemons.smtpd.commands.auth.asyncio.sleep", sleep)
        wrong = "AUTH PLAIN AGFsaWNlAHdyb25n"
        for _ in range(3):
            assert (await talk.say(wrong)).startswith("535")
        assert (await talk.say("AUTH PLAIN AGFsaWNlAHNlY3JldA==")).startswith("235")
        monkeypatch.undo()

    server.run(test)
    assert slept == [0.01, 0.01, 0.02, 0.02, 0.04, 0.04]
    assert server.penalty.delay("127.0.0.1", time.monotonic()) == 0


def test_what_the_policy_finds_to_be_no_address_is_logged_as_what_the_parser_finds(server):
    reply = Reply.of(501, "5.1.3", "Bad recipient address syntax")
    server.policy.verdicts["rcpt"] = Verdict(Action.REJECT, "its domain is empty", "address syntax", reply)

    async def test():
        talk = await server.connect()
        await talk.say("EHLO c.test")
        await talk.say("MAIL FROM:<a@x.test>")
        assert (await talk.say("RCPT TO:<u%@y.test>")) == str(reply)

    server.run(test)
    assert f"warning: Illegal address syntax from {CLIENT} in RCPT command: <u%@y.test>" in server.lines
    assert not any("reject" in line for line in server.lines)
