"""Addresses are probed, and the outcome answered, as Postfix does it: ``tests/golden/verify``, recorded from it."""

from __future__ import annotations

import asyncio
import runpy
import time
from pathlib import Path

import pytest

from angarium.agents.smtp.main import SmtpAgent, SmtpParameters
from angarium.cleanup.main import make_cleanup
from angarium.config.config import Config
from angarium.daemons.smtpd.prober import Prober
from angarium.model.content import MemoryContent
from angarium.model.delivery import DeliveryRequest, QueuedRecipient
from angarium.policy.interface import Facts
from angarium.policy.main import make_policy
from angarium.policy.verification import AddressVerifier, VerifyParameters
from angarium.rewrite.main import make_resolver
from angarium.runtime.dns import StaticResolver
from angarium.runtime.log import MemoryLog, ServiceLog
from angarium.tables.opener import TableOpener

GOLDEN = Path(__file__).parents[3] / "golden"
RECORDER = runpy.run_path(str(GOLDEN / "record_verify.py"))


def scripts():
    for path in sorted((GOLDEN / "verify").glob("*.txt")):
        settings = {}
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.startswith("#!"):
                name, _, value = line[2:].partition("=")
                settings[name.strip()] = value.strip()
            elif not line.startswith("#"):
                session, _, reply = line.partition(" -> ")
                yield pytest.param(settings, session, reply, id=f"{path.stem}:{session}")


@pytest.fixture(scope="module")
def port():
    sinks = RECORDER["SINKS"]["Sinks"](RECORDER["SCRIPTS"])
    yield sinks.port
    sinks.close()


@pytest.mark.parametrize(("settings", "session", "reply"), list(scripts()))
def test_answers_as_postfix_does(port, settings, session, reply):
    base = {name: value.replace(f":{RECORDER['PORT']}", f":{port}") for name, value in RECORDER["BASE"].items()}
    conf = Config.of({**base, **settings})
    log = ServiceLog(MemoryLog(), "postfix/smtpd")
    opener = TableOpener(log.warning)
    resolver = make_resolver(conf, opener)

    async def main():
        agent = SmtpAgent(SmtpParameters.from_config(conf), log, StaticResolver())

        async def ask(transport, nexthop, envelope):
            person = (QueuedRecipient(1, envelope.recipients[0]),)
            request = DeliveryRequest("probe", transport, nexthop, envelope, person, b"", MemoryContent(b""), 1.0, 1.0)
            (result,) = await agent.verify(request)
            return result

        cleanup = make_cleanup(conf, resolver, opener, log)
        refusing = {"error": False, "retry": True}
        prober = Prober(cleanup, resolver, {"smtp": ask}, refusing, conf.text("address_verify_sender"), time.time)
        verifier = AddressVerifier(VerifyParameters.from_config(conf), prober.probe)
        policy = make_policy(conf, resolver, opener, log, verifier=verifier)
        sender, recipient = (word.strip("<>") for word in session.split(" "))
        facts = Facts("unknown", "127.0.0.3", helo="client.test", protocol="ESMTP", sender=sender, recipient=recipient)
        try:
            return await policy.rcpt(facts)
        finally:
            await agent.close()

    verdict = asyncio.run(asyncio.wait_for(main(), 20))
    answer = str(verdict.reply) if verdict.refused else "250 2.1.5 Ok"
    assert answer.replace(f":{port}", f":{RECORDER['PORT']}") == reply
