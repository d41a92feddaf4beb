"""The smtp agent beside Postfix's: mail to a real Postfix, and the same words when things go wrong."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import time

import pytest
from tests.interop.relaypeer import PostfixPeer, refusal
from tests.unit.agents.smtp.fakes import CLOSE, Bench, FakeServer, request

from angarium.model.delivery import Status
from angarium.runtime.authority import Authority
from angarium.runtime.tls import SecurityLevel

pytestmark = pytest.mark.interop


@pytest.fixture
def root(peer):
    peer("postfix")
    if refusal():
        (pytest.fail if os.environ.get("CI") else pytest.skip)(refusal())


def deliver(*args, parameters=None, **fields):
    async def scenario():
        async with Bench(**(parameters or {})) as bench:
            return await bench.agent.deliver(request(*args, **fields)), bench.log.lines

    return asyncio.run(asyncio.wait_for(scenario(), 60))


def test_to_postfix_over_tls(root, tmp_path):
    authority = Authority.ensure(tmp_path, "CA of the test")
    authority.issue(tmp_path, ("peer.test", "localhost"))
    parameters = {
        "virtual_mailbox_domains": "example.test",
        "virtual_mailbox_maps": "inline:{bob@example.test=x}",
        "virtual_transport": "discard:silently",
        "smtpd_tls_security_level": "may",
        "smtpd_tls_cert_file": str(tmp_path / "server.pem"),
        "smtpd_tls_key_file": str(tmp_path / "server.key"),
        "smtpd_tls_loglevel": "1",
        "message_size_limit": "100000",
    }
    with PostfixPeer(parameters) as postfix:
        nexthop = f"[127.0.0.1]:{postfix.port}"
        may = {"tls_level": SecurityLevel.MAY, "tls_loglevel": 1}
        (sent, unknown), lines = deliver(nexthop, "bob@example.test", "eve@example.test", parameters=may)
        (big,), _ = deliver(nexthop, "bob@example.test", content=b"x" * 200000)
        log = postfix.wait("status=sent")
    assert sent.status is Status.SENT
    queue_id = re.fullmatch(r"250 2\.0\.0 Ok: queued as ([0-9A-F]+)", sent.text)[1]
    assert f"{queue_id}: to=<bob@example.test>" in log
    assert (unknown.status, str(unknown.dsn)) == (Status.BOUNCED, "5.1.1")
    assert "User unknown in virtual mailbox table (in reply to RCPT TO command)" in unknown.text
    assert (big.status, str(big.dsn)) == (Status.BOUNCED, "5.3.4")
    assert "Untrusted TLS connection established to 127.0.0.1[127.0.0.1]" in lines[0]
    # Both ends describe the session alike, as far as ours goes.
    ours = lines[0].partition(": TLSv")[2]
    assert ours in log


SCRIPTS = {
    "mail": {"MAIL": "550 5.7.1 go away"},
    "rcpt": {"RCPT": "550-5.1.1 no\r\n550 5.1.1 such user"},
    "rcpt4": {"RCPT": "450 4.2.0 greylisted"},
    "plain": {"RCPT": "550 without a status"},
    "odd": {"RCPT": "550 4.2.2 contradiction"},
    "data": {"DATA": "451 4.3.0 busy"},
    "dot": {"DOT": "552 5.3.4 big"},
    "greeting4": {"GREETING": "421 4.3.2 later"},
    "greeting5": {"GREETING": "554 5.7.1 no"},
    "greeting": {"GREETING": CLOSE},
    "ehlo": {"EHLO": CLOSE},
    "helo": {"EHLO": "500 5.5.2 x", "HELO": "554 5.7.1 no"},
    "helolost": {"EHLO": "502 x", "HELO": CLOSE},
    "maillost": {"MAIL": CLOSE},
    "rcptlost": {"RCPT": CLOSE},
    "datalost": {"DATA": CLOSE},
    "dotlost": {"DOT": CLOSE},
    "starttls": {"STARTTLS": "454 4.7.0 no"},
}
LOGGED = re.compile(r"to=<x@(\w+)\.test>, relay=(\S+), .*dsn=(\S+), status=(\w+) \((.*)\)")


def test_words_are_those_of_postfix(root):
    """Each fault is shown to both clients; what they log of it must be the same."""

    async def scenario():
        servers = {name: FakeServer(script, ehlo=("PIPELINING",)) for name, script in SCRIPTS.items()}
        servers["size"] = FakeServer(ehlo=("SIZE 10",))
        servers["notls"] = FakeServer(ehlo=("PIPELINING",))
        servers["starttls"].ehlo.append("STARTTLS")
        for server in servers.values():
            await server.__aenter__()
        mandatory = ("starttls", "notls")
        closed = FakeServer()
        async with closed:
            refused = closed.port
        ports = {name: server.port for name, server in servers.items()} | {"refused": refused}
        routes = " ".join(f"{{{name}.test=smtp:[127.0.0.1]:{port}}}" for name, port in ports.items())
        policies = " ".join(f"{{[127.0.0.1]:{ports[name]}=encrypt}}" for name in mandatory)
        settings = {
            "transport_maps": f"inline:{{{routes}}}",
            "smtp_tls_policy_maps": f"inline:{{{policies}}}",
            "notify_classes": "",
        }
        with PostfixPeer(settings) as postfix:
            for name in ports:
                await asyncio.to_thread(postfix.sendmail, "", f"x@{name}.test", "Subject: x\n\nhello\n")
            log = await asyncio.to_thread(postfix.wait, ", status=", len(ports))
        theirs = {m[1]: (m[2], m[3], m[4], m[5]) for m in LOGGED.finditer(log)}
        ours = {}
        for name, port in ports.items():
            level = SecurityLevel.ENCRYPT if name in mandatory else SecurityLevel.NONE
            async with Bench(tls_level=level) as bench:
                result = await bench.one(f"[127.0.0.1]:{port}", f"x@{name}.test", sender="")
            ours[name] = (result.relay, str(result.dsn), result.status.value, result.text)
        for server in servers.values():
            await server.__aexit__()
        return ours, theirs

    ours, theirs = asyncio.run(asyncio.wait_for(scenario(), 120))
    # The size in this text is of each client's own message.
    sizes = re.compile(r"message size \d+")
    for table in (ours, theirs):
        relay, dsn, status, text = table["size"]
        table["size"] = (relay, dsn, status, sizes.sub("message size N", text))
    assert ours == theirs


def test_to_smtp_sink(peer, free_port):
    sink = subprocess.Popen(
        [peer("smtp-sink"), *(() if refusal() else ("-u", "nobody")), f"127.0.0.1:{free_port}", "10"]
    )
    try:
        end = time.monotonic() + 20
        while True:
            results, _ = deliver(f"[127.0.0.1]:{free_port}")
            if results[0].status is Status.SENT:
                break
            assert time.monotonic() < end, results
        assert results[0].text == "250 2.0.0 Ok"
    finally:
        sink.kill()
        sink.wait()


@pytest.fixture
def free_port():
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
