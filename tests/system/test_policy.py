"""Restrictions that ask others, through the real processes: a policy server, and the server that has the mailbox."""

from __future__ import annotations

import runpy
import smtplib
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
LISTS = runpy.run_path(str(TESTS / "golden" / "record_lists.py"))
SINKS = runpy.run_path(str(TESTS / "fakes" / "smtp_sinks.py"))


@pytest.fixture
def world(servers):
    """A server that asks both, and the policy server."""
    asked = LISTS["PolicyServer"](("127.0.0.1", 0))
    sinks = SINKS["Sinks"]({"127.68.0.10": {}, "127.68.0.11": {"RCPT": "550 5.1.1 nobody here"}})
    server = servers.start(
        {
            "relay_domains": "good.test, bad.test",
            "transport_maps": f"inline:{{{{good.test=smtp:[127.68.0.10]:{sinks.port}}}, "
            f"{{bad.test=smtp:[127.68.0.11]:{sinks.port}}}}}",
            "unverified_recipient_reject_code": "550",
            "smtpd_recipient_restrictions": f"check_policy_service inet:127.0.0.1:{asked.port}, "
            "reject_unverified_recipient",
        }
    )
    yield server, asked
    asked.close()
    sinks.close()


def test_they_decide(world):
    server, asked = world
    with smtplib.SMTP(server.site.host, server.site.ports.smtp, timeout=20) as client:
        client.ehlo("client.example")
        client.mail("someone@elsewhere.example")
        assert client.rcpt("dunno@good.test")[0] == 250
        assert client.rcpt("reject@good.test") == (
            554,
            b"5.7.1 <reject@good.test>: Recipient address rejected: not you",
        )
        code, text = client.rcpt("dunno@bad.test")
    assert code == 550
    assert b"undeliverable address: host 127.68.0.11[127.68.0.11] said: 550 5.1.1 nobody here" in text
    request = dict(line.split("=", 1) for line in asked.requests[0].splitlines())
    assert request["protocol_state"] == "RCPT"
    assert request["recipient"] == "dunno@good.test"
    assert request["server_port"] == str(server.site.ports.smtp)
    instances = {line for text in asked.requests for line in text.splitlines() if line.startswith("instance=")}
    assert len(instances) == 1
