"""NOTIFY=SUCCESS through virtual aliases, as a real Postfix left its queue files (RFC 3461 section 5.2.7.3)."""

from __future__ import annotations

import asyncio

import pytest

from angarium.cleanup.main import make_cleanup
from angarium.config.config import Config
from angarium.model.content import MemoryContent
from angarium.model.envelope import Envelope, Notify, Origin, Recipient
from angarium.rewrite.main import make_resolver
from angarium.runtime.log import MemoryLog, ServiceLog
from angarium.tables.opener import TableOpener

ALIASES = "{many@al.test=a@sink.test, b@sink.test}, one@al.test=c@sink.test, self@sink.test=self@sink.test"
BOTH = Notify.SUCCESS | Notify.FAILURE


@pytest.mark.parametrize(
    ("address", "notify", "left", "expanded"),
    [
        ("many@al.test", BOTH, Notify.FAILURE, True),
        ("one@al.test", BOTH, Notify.FAILURE, True),
        ("one@al.test", Notify.SUCCESS, Notify.NEVER, True),
        ("many@al.test", Notify.FAILURE, Notify.FAILURE, False),
        ("many@al.test", Notify.UNSAID, Notify.UNSAID, False),
        ("self@sink.test", BOTH, BOTH, False),
        ("plain@sink.test", BOTH, BOTH, False),
    ],
)
def test_who_asked_for_success_hears_of_the_expansion_alone(address, notify, left, expanded):
    conf = Config.of({"virtual_alias_maps": f"inline:{{{ALIASES}}}", "virtual_alias_domains": "al.test"})
    log = ServiceLog(MemoryLog(), "postfix/cleanup")
    opener = TableOpener(log.warning)
    cleanup = make_cleanup(conf, make_resolver(conf, opener), opener, log)
    recipient = Recipient(address, address, notify, "rfc822;old@x.test")
    envelope = Envelope("me@x.test", (recipient,), 1.0, Origin("ESMTP", "c", "192.0.2.1"))
    message = asyncio.run(cleanup.process("4F2A", envelope, MemoryContent(b"A: b\r\n\r\nc\r\n")))
    assert {each.notify for each in message.envelope.recipients} == {left}
    assert message.envelope.expanded == ((recipient,) if expanded else ())
