"""smtp_tls_per_site, by its table in postconf(5): two keys, and a global level that gives way or not."""

from __future__ import annotations

import asyncio

import pytest

from angarium.agents.smtp.destination import destinations
from angarium.agents.smtp.hosts import Target
from angarium.agents.smtp.parameters import SmtpParameters
from angarium.agents.smtp.tlspolicy import TlsPolicies
from angarium.agents.smtp.trouble import NoPolicyError
from angarium.model.lookup import NOT_FOUND, Found, TemporaryError
from angarium.runtime.log import MemoryLog, ServiceLog
from angarium.runtime.tls import SecurityLevel

TARGET = Target("MX.example.org", "192.0.2.1", 25)
(PLACE,) = destinations("Example.ORG", 25)


def level(general, nexthop, host, policies=None):
    table = {"example.org": nexthop, "mx.example.org": host}

    async def sites(key):
        value = table[key]
        return value if isinstance(value, TemporaryError) else Found(value, "t:x") if value else NOT_FOUND

    log = MemoryLog()
    defaults = SmtpParameters(tls_level=SecurityLevel(general)).tls_defaults
    made = TlsPolicies(defaults, ServiceLog(log, "postfix/smtp"), policies, sites=sites)

    async def scenario():
        return await made.at_host(await made.of(PLACE), TARGET, PLACE)

    return asyncio.run(scenario()).level.value


@pytest.mark.parametrize(
    ("general", "nexthop", "host", "expected"),
    [
        ("none", "", "", "none"),
        ("may", "", "", "may"),
        ("none", "MAY", "", "may"),
        ("none", "", "may", "may"),
        ("encrypt", "MAY", "", "encrypt"),
        ("verify", "", "MAY", "verify"),
        ("verify", "NONE", "", "none"),
        ("may", "MAY", "NONE", "none"),
        ("may", "NONE", "MAY", "none"),
        ("none", "NONE", "MUST_NOPEERMATCH", "encrypt"),
        ("none", "MUST_NOPEERMATCH", "NONE", "encrypt"),
        ("none", "MUST", "MUST_NOPEERMATCH", "verify"),
        ("none", "MUST_NOPEERMATCH", "MUST", "verify"),
        ("encrypt", "MUST", "NONE", "verify"),
    ],
)
def test_the_more_specific_and_the_more_secure_win(general, nexthop, host, expected):
    assert level(general, nexthop, host) == expected


@pytest.mark.parametrize("answer", ["SOMETIMES", TemporaryError("broken", "t:x")])
def test_what_cannot_be_known_makes_mail_wait(answer):
    with pytest.raises(NoPolicyError, match="client TLS configuration problem"):
        level("may", answer, "")


def test_policy_maps_have_taken_its_place():
    async def policies(_key):
        return NOT_FOUND

    assert level("may", "MUST", "MUST", policies) == "may"
