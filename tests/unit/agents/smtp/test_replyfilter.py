"""smtp_reply_filter: what a filter of lines must not open a door to."""

from __future__ import annotations

import asyncio

import pytest
from tests.unit.agents.smtp.fakes import CLOSE, Bench, FakeServer

from angarium.agents.smtp.main import Tables
from angarium.model.delivery import Status
from angarium.model.lookup import NOT_FOUND, Found, TemporaryError
from angarium.runtime.tls import SecurityLevel


def deliver(script, answers, ehlo=("PIPELINING",), **parameters):
    async def find(line):
        await asyncio.sleep(0)  # a table that is asked over a network
        return answers.get(line, NOT_FOUND)

    async def scenario():
        async with FakeServer(script, ehlo) as server, Bench(tables=Tables(replies=find), **parameters) as bench:
            return server, await bench.one(f"[127.0.0.1]:{server.port}"), bench.log.lines

    return asyncio.run(asyncio.wait_for(scenario(), 20))


def test_lines_are_put_otherwise():
    answers = {"550-5.1.1 no": Found("450-4.1.1 not now", "t"), "550 5.1.1 user": Found("450 4.1.1 user", "t")}
    _, result, lines = deliver({"RCPT": "550-5.1.1 no\r\n550 5.1.1 user"}, answers)
    assert (result.status, result.remote_reply) == (Status.DEFERRED, "450-4.1.1 not now 450 4.1.1 user")
    assert 'replacing server reply "550 5.1.1 user" with "450 4.1.1 user"' in lines[-1]


def test_a_table_that_cannot_be_asked_refuses_for_now():
    _, result, lines = deliver({}, {"354 go": TemporaryError("down", "mysql:x")})
    assert (result.status, str(result.dsn)) == (Status.DEFERRED, "4.3.0")
    assert "mysql:x: down" in lines[0]


def test_what_was_said_before_the_end_is_heard():
    _, result, _ = deliver({"GREETING": "220 one", "RCPT": CLOSE}, {})
    assert result.text == "lost connection with 127.0.0.1[127.0.0.1] while sending RCPT TO"


def test_a_line_without_end():
    _, result, _ = deliver({"MAIL": "2" * 5000}, {})
    assert result.status is Status.DEFERRED
    assert result.text.startswith("Protocol error: host 127.0.0.1[127.0.0.1] said: 222")


@pytest.mark.parametrize("more", ["\r\n250 injected", "\r\n250-inject"])
def test_nothing_after_the_reply_to_starttls_is_taken_for_encrypted(more):
    server, result, _ = deliver({"STARTTLS": f"220 go{more}"}, {}, ehlo=("STARTTLS",), tls_level=SecurityLevel.ENCRYPT)
    assert result.status is Status.DEFERRED
    assert result.text.startswith("Protocol error: host 127.0.0.1[127.0.0.1]")
    assert not any(command.startswith("MAIL") for command in server.commands)
