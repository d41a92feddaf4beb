"""Addresses go where Postfix sends them: the scripts of ``tests/golden/routing``, recorded from it."""

from __future__ import annotations

import asyncio
import runpy
from pathlib import Path

import pytest

from angarium.config.config import Config
from angarium.model.lookup import TemporaryError
from angarium.policy.interface import Facts
from angarium.policy.main import make_policy
from angarium.rewrite.main import make_resolver
from angarium.runtime.log import MemoryLog, ServiceLog
from angarium.tables.opener import TableOpener

GOLDEN = Path(__file__).parents[2] / "golden"
RECORDER = runpy.run_path(str(GOLDEN / "record_routing.py"))


def scripts():
    for path in sorted((GOLDEN / "routing").glob("*.txt")):
        lines = path.read_text(encoding="utf-8").splitlines()
        settings = {}
        for line in lines:
            if line.startswith("#!"):
                name, _, value = line[2:].partition("=")
                settings[name.strip()] = value.strip()
            elif not line.startswith("#"):
                session, resolution, reply = line.split(" -> ")
                yield pytest.param(settings, session, resolution, reply, id=f"{path.stem}:{session}")


async def resolved(resolver, sender, recipient):
    way = await resolver.resolve(sender, resolver.rewrite(recipient))
    if isinstance(way, TemporaryError):
        return "fail"
    if way.malformed:
        return "error"
    assert way.reason
    assert way.source
    kind = way.address_class.value + ("+routed" if way.routed else "")
    return f"{kind} | {way.transport}:{way.nexthop} | {way.recipient}"


async def answered(policy, session, sender, recipient):
    client = session.split(" ")[0] if session.startswith("127.") else RECORDER["POLICY"]["STRANGER"]
    facts = Facts("unknown", client, helo="client.test", protocol="ESMTP", sender=sender, recipient=recipient)
    verdict = await policy.rcpt(facts)
    return str(verdict.reply) if verdict.refused else "250 2.1.5 Ok"


@pytest.mark.parametrize(("settings", "session", "resolution", "reply"), list(scripts()))
def test_routes_as_postfix_does(settings, session, resolution, reply):
    log = ServiceLog(MemoryLog(), "postfix/smtpd")
    conf = Config.of({**RECORDER["BASE"], **settings})
    opener = TableOpener(log.warning)
    resolver = make_resolver(conf, opener)
    sender, recipient = RECORDER["addresses"](session)
    assert asyncio.run(resolved(resolver, sender, recipient)) == resolution
    policy = make_policy(conf, resolver, opener, log)
    assert asyncio.run(answered(policy, session, sender, recipient)) == reply
