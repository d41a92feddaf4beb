"""DNS and policy services are judged as Postfix does it: the scripts of ``tests/golden/lists``, recorded from it."""

from __future__ import annotations

import asyncio
import runpy
from pathlib import Path

import pytest
from msgspec.structs import replace

from angarium.config.config import Config
from angarium.policy.interface import Facts
from angarium.policy.main import make_policy
from angarium.rewrite.main import make_resolver
from angarium.runtime.dns import DnsFailure, DnsResolver, Records
from angarium.runtime.hosts import HostsFile
from angarium.runtime.log import MemoryLog, ServiceLog
from angarium.tables.opener import TableOpener

GOLDEN = Path(__file__).parents[2] / "golden"
RECORDER = runpy.run_path(str(GOLDEN / "record_lists.py"))


def scripts():
    for path in sorted((GOLDEN / "lists").glob("*.txt")):
        if path.stem == "policy_request":
            continue
        lines = path.read_text(encoding="utf-8").splitlines()
        settings = {}
        for line in lines:
            if line.startswith("#!"):
                name, _, value = line[2:].partition("=")
                settings[name.strip()] = value.strip()
            elif not line.startswith("#"):
                session, reply = line.rsplit(" -> ", 1)
                yield pytest.param(settings, session, reply, id=f"{path.stem}:{session}")


@pytest.fixture(scope="module")
def name_server():
    with RECORDER["NAME_SERVER"]["FakeDnsServer"](RECORDER["ZONE"]) as address:
        yield address


@pytest.fixture(scope="module")
def policy_server():
    server = RECORDER["PolicyServer"](("127.0.0.1", 0))
    yield server
    server.close()


async def client_facts(dns, address):
    """What smtpd finds out about a client."""
    facts = Facts("unknown", address, 1234)
    names = await dns.ptr(address)
    if not isinstance(names, Records):
        failed = isinstance(names, DnsFailure)
        return replace(facts, name_failed=failed, reverse_failed=failed)
    name = names.values[0]
    found = await dns.addresses(name, (4,))
    verified = isinstance(found, Records) and address in found.values
    return replace(facts, client_name=name if verified else "unknown", reverse_client_name=name)


async def converse(policy, dns, session):
    *first, recipients = session.removesuffix(" DATA").split(" ")
    helo = next((word[5:] for word in first if word.startswith("HELO=")), "client.test")
    facts = await client_facts(dns, first[0])
    user = next((word[5:] for word in first if word.startswith("SASL=")), "")
    facts = replace(facts, helo=helo, protocol="ESMTP", sender=first[-1].strip("<>"), sasl_username=user)
    for count, recipient in enumerate(recipients.split(",")):
        verdict = await policy.rcpt(replace(facts, recipient=recipient, recipient_count=count))
        if verdict.refused:
            return verdict
    if session.endswith(" DATA"):
        verdict = await policy.data(replace(facts, recipient_count=count + 1))
    return verdict


@pytest.mark.parametrize(("settings", "session", "reply"), list(scripts()))
def test_answers_as_postfix_does(name_server, policy_server, tmp_path, settings, session, reply):
    log = ServiceLog(MemoryLog(), "postfix/smtpd")
    port = str(RECORDER["POLICY_SERVER"][1])
    settings = {name: value.replace(f":{port}", f":{policy_server.port}") for name, value in settings.items()}
    conf = Config.of({**RECORDER["BASE"], **settings, "smtpd_policy_service_retry_delay": "0"})
    opener = TableOpener(log.warning)

    async def main():
        dns = DnsResolver([name_server], hosts=HostsFile(tmp_path / "hosts"))
        policy = make_policy(conf, make_resolver(conf, opener), opener, log, None, dns)
        try:
            return await converse(policy, dns, session)
        finally:
            policy.close()
            await asyncio.sleep(0)

    verdict = asyncio.run(main())
    answer = str(verdict.reply) if verdict.refused else "250"
    assert answer == (reply if reply[0] in "45" else "250")
    assert verdict.reason
    assert verdict.source
