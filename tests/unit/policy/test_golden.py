"""The policy answers as Postfix does: the scripts of ``tests/golden/policy``, recorded from it."""

from __future__ import annotations

import asyncio
import runpy
from pathlib import Path

import pytest

from angarium.config.config import Config
from angarium.policy.interface import Facts
from angarium.policy.main import make_policy
from angarium.rewrite.main import make_resolver
from angarium.runtime.log import MemoryLog, ServiceLog
from angarium.tables.opener import TableOpener

GOLDEN = Path(__file__).parents[2] / "golden"
RECORDER = runpy.run_path(str(GOLDEN / "record_policy.py"))


def scripts():
    for path in sorted((GOLDEN / "policy").glob("*.txt")):
        lines = path.read_text(encoding="utf-8").splitlines()
        settings = dict(line[3:].split(" = ", 1) for line in lines if line.startswith("#!") and " = " in line)
        settings |= {
            line[3:].removesuffix(" =").strip(): "" for line in lines if line.startswith("#!") and line.endswith(" =")
        }
        for line in lines:
            if not line.startswith("#"):
                session, _, reply = line.partition(" -> ")
                yield pytest.param(settings, session, reply, id=f"{path.stem}:{session}")


def internal(address):
    """What smtpd makes of an address on the wire: no route, no quotes, no brackets."""
    if address.startswith("@"):
        address = address.partition(":")[2]
    return address.strip("<>").replace('"', "")


async def converse(policy, session):
    words = session.split(" ")
    data = words[-1] == "DATA"
    if data:
        words.pop()
    helo = next((word[5:] for word in words if word.startswith("HELO=")), "client.test")
    helo = helo.replace("@", "?")  # as smtpd stores it
    client = words[0] if words[0].startswith("127.") else RECORDER["STRANGER"]
    sender, recipient = map(internal, words[-2:])
    facts = Facts("unknown", client, helo="", protocol="SMTP")
    verdict = await policy.connect(facts)
    if verdict.refused:
        return verdict
    facts = Facts("unknown", client, helo=helo, protocol="ESMTP")
    verdict = await policy.helo(facts)
    if verdict.refused:
        return verdict
    facts = Facts("unknown", client, helo=helo, protocol="ESMTP", sender=sender)
    verdict = await policy.mail(facts)
    if verdict.refused:
        return verdict
    verdict = await policy.rcpt(
        Facts("unknown", client, helo=helo, protocol="ESMTP", sender=sender, recipient=recipient)
    )
    if verdict.refused or not data:
        return verdict
    facts = Facts("unknown", client, helo=helo, protocol="ESMTP", sender=sender, recipient_count=1)
    verdict = await policy.data(facts)
    return verdict if verdict.refused else await policy.end_of_data(facts)


@pytest.mark.parametrize(("settings", "session", "reply"), list(scripts()))
def test_answers_as_postfix_does(settings, session, reply):
    log = ServiceLog(MemoryLog(), "postfix/smtpd")
    conf = Config.of({**RECORDER["BASE"], **settings})
    opener = TableOpener(log.warning)
    policy = make_policy(conf, make_resolver(conf, opener), opener, log)
    verdict = asyncio.run(converse(policy, session))
    answer = str(verdict.reply) if verdict.refused else "accepted"
    assert answer == (reply if reply[0] in "45" else "accepted")
    assert verdict.reason
    assert verdict.source
