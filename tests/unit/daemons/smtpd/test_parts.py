"""Client names, parameters, escapes: what needs no socket."""

from __future__ import annotations

import asyncio

import pytest

from angarium.config.config import Config
from angarium.daemons.smtpd.client import UNKNOWN, ClientName, DnsClientResolver
from angarium.daemons.smtpd.parameters import SmtpdParameters
from angarium.daemons.smtpd.wording import escape
from angarium.protocols.smtp.types import BareNewline
from angarium.runtime.dns import DnsFailure, NoRecords, Records


class Names:
    def __init__(self, ptr, addresses):
        self.answers = ptr, addresses

    async def ptr(self, address):
        return self.answers[0]

    async def addresses(self, host, families=(4, 6), lookup=()):
        return self.answers[1]


@pytest.mark.parametrize(
    ("ptr", "addresses", "expected"),
    [
        (DnsFailure("timeout"), None, ClientName("unknown", name_failed=True, reverse_failed=True)),
        (NoRecords(), None, UNKNOWN),
        (Records(("h.test",)), Records(("192.0.2.1",)), ClientName("h.test", reverse_name="h.test")),
        (
            Records(("h.test",)),
            Records(("192.0.2.2",)),
            ClientName("unknown", "hostname h.test does not resolve to address 192.0.2.1", "h.test"),
        ),
        (
            Records(("h.test",)),
            DnsFailure("timeout"),
            ClientName(
                "unknown",
                f"hostname h.test does not resolve to address 192.0.2.1: {DnsFailure('timeout')}",
                "h.test",
                name_failed=True,
            ),
        ),
    ],
)
def test_client_names(ptr, addresses, expected):
    assert asyncio.run(DnsClientResolver(Names(ptr, addresses)).client_name("192.0.2.1")) == expected


def test_escapes():
    assert escape("plain") == "plain"
    assert escape("a\r\n\t\\\x05\xe9") == "a\\r\\n\\t\\\\\\005\\303\\251"


@pytest.mark.parametrize(
    ("settings", "name", "value"),
    [
        ({}, "forbid_bare_newline", BareNewline.NORMALIZE),
        ({"smtpd_forbid_bare_newline": "yes"}, "forbid_bare_newline", BareNewline.NORMALIZE),
        ({"smtpd_forbid_bare_newline": "reject"}, "forbid_bare_newline", BareNewline.REJECT),
        ({"smtpd_use_tls": "yes"}, "tls_security_level", "may"),
        ({"smtpd_enforce_tls": "yes"}, "tls_security_level", "encrypt"),
        ({"smtpd_tls_security_level": "none", "smtpd_use_tls": "yes"}, "tls_security_level", "none"),
        ({"smtpd_sasl_security_options": "noanonymous, noplaintext"}, "sasl_mechanisms", ()),
        ({"smtpd_sasl_mechanism_filter": "!login, static:rest"}, "sasl_mechanisms", ("PLAIN",)),
        ({"smtpd_sasl_mechanism_filter": "plain"}, "sasl_tls_mechanisms", ("PLAIN",)),
        ({"smtpd_noop_commands": "foo"}, "noop_commands", ("FOO",)),
        ({"stress": "yes"}, "hard_error_limit", 1),
    ],
)
def test_parameters(settings, name, value):
    assert getattr(SmtpdParameters.from_config(Config.of(settings)), name) == value
