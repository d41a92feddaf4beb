import asyncio
import os
from pathlib import Path

import pytest

from angarium.policy.consultation import attributes
from angarium.policy.delegation import PolicyClient, ServiceSettings
from angarium.policy.evaluation import Evaluation
from angarium.policy.interface import Facts
from angarium.policy.parameters import PolicyParameters

GOLDEN = Path(__file__).parents[2] / "golden"
DEFAULT = ServiceSettings("", retry_delay=0.0, default_action="DUNNO")


@pytest.mark.parametrize(
    ("argument", "changes"),
    [
        ("inet:h:1", {"server": "inet:h:1"}),
        ("{ inet:h:1, timeout=10s, default_action=DUNNO }", {"server": "inet:h:1", "timeout": 10.0}),
        ("{inet:h:1 timeout=1m}", {"server": "inet:h:1", "timeout": 60.0}),
        (
            "{ unix:private/p, { default_action = 451 4.7.1 later }, try_limit = 3, policy_context = in }",
            {"server": "unix:private/p", "default_action": "451 4.7.1 later", "try_limit": 3, "policy_context": "in"},
        ),
    ],
)
def test_settings(argument, changes):
    settings = DEFAULT.of(argument)
    assert {name: getattr(settings, name) for name in changes} == changes


@pytest.mark.parametrize("argument", ["{ }", "{ inet:h:1, timeout=x }", "{ inet:h:1, nonsense=1 }", "{inet:h:1, =}"])
def test_settings_that_make_no_sense(argument):
    with pytest.raises(ValueError, match=r"bad setting|no server"):
        DEFAULT.of(argument)


def test_the_request_is_postfix_s(monkeypatch):
    expected = (GOLDEN / "lists" / "policy_request.txt").read_text(encoding="utf-8").split("\n\n")[0]
    told = dict(line.split("=", 1) for line in expected.splitlines())
    process, session, arrival, _ = told["instance"].split(".")
    monkeypatch.setattr(os, "getpid", lambda: int(process, 16))
    facts = Facts(
        told["client_name"],
        told["client_address"],
        int(told["client_port"]),
        helo=told["helo_name"],
        protocol=told["protocol_name"],
        sender=told["sender"],
        recipient=told["recipient"],
        recipient_count=2,
        reverse_client_name=told["reverse_client_name"],
        server_address=told["server_address"],
        server_port=int(told["server_port"]),
        instance=(int(session, 16), int(arrival, 16)),
    )
    evaluation = Evaluation(facts, PolicyParameters("m.test"), None, None, stage="RCPT")
    request = attributes(evaluation, "")
    assert request == told
    assert list(request) == list(told)


class Server:
    """Answers with what it is given, one item a request; None closes the connection."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.connections = 0

    async def serve(self, reader, writer):
        self.connections += 1
        while True:
            try:
                await reader.readuntil(b"\n\n")
            except asyncio.IncompleteReadError:
                break
            answer = self.answers.pop(0)
            if answer is None:
                break
            writer.write(answer)
            await writer.drain()
        writer.close()


def ask(server, times=1, warnings=None, **changes):
    async def main():
        listener = await asyncio.start_server(server.serve, "127.0.0.1", 0)
        port = listener.sockets[0].getsockname()[1]
        client = PolicyClient(Path("/"), (warnings if warnings is not None else []).append)
        settings = ServiceSettings(f"inet:127.0.0.1:{port}", retry_delay=0.0, default_action="DUNNO", **changes)
        try:
            return [await client.ask(settings, {"a": "b"}) for _ in range(times)]
        finally:
            client.close()
            listener.close()
            for _ in range(5):
                await asyncio.sleep(0)  # what is closed is gone a turn or two later
            await listener.wait_closed()

    return asyncio.run(main())


OK = b"action=OK\n\n"


def test_a_connection_is_used_again():
    server = Server(OK, OK, OK)
    assert ask(server, 3) == ["OK", "OK", "OK"]
    assert server.connections == 1


def test_a_connection_is_worn_out_by_requests_or_time():
    server = Server(OK, OK, OK)
    assert ask(server, 3, request_limit=2) == ["OK", "OK", "OK"]
    assert server.connections == 2
    server = Server(OK, OK)
    ask(server, 2, max_ttl=0.0)
    assert server.connections == 2


@pytest.mark.parametrize("answer", [None, b"x=y\n\n", b"nonsense\n\n", b"action=\n\n", b"x" * 200_000])
def test_a_failure_is_tried_again_and_then_the_default_holds(answer):
    warnings = []
    assert ask(Server(answer, OK), warnings=warnings) == ["OK"]
    assert len(warnings) == 1
    assert ask(Server(answer, answer), warnings=warnings) == ["DUNNO"]


def test_a_server_that_is_silent():
    warnings = []
    assert ask(Server(b"", b""), warnings=warnings, timeout=0.05) == ["DUNNO"]
    assert "too long" in warnings[0]


def test_nobody_there():
    warnings = []
    client = PolicyClient(Path("/"), warnings.append)
    settings = ServiceSettings("unix:no/such/socket", retry_delay=0.0, default_action="DUNNO")
    assert asyncio.run(client.ask(settings, {})) == "DUNNO"
    assert len(warnings) == 2
