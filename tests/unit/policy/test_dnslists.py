import asyncio

import pytest

from angarium.config.config import Config
from angarium.policy.dnslists import parse_list, reversed_address
from angarium.policy.interface import Facts
from angarium.policy.main import make_policy
from angarium.rewrite.main import make_resolver
from angarium.runtime.dns import DnsFailure, Records, StaticResolver
from angarium.runtime.log import MemoryLog, ServiceLog
from angarium.tables.opener import TableOpener


@pytest.mark.parametrize(
    ("argument", "address", "expected"),
    [
        ("list.test", "127.0.0.2", True),
        ("list.test=127.0.0.2", "127.0.0.2", True),
        ("list.test=127.0.0.2", "127.0.0.3", False),
        ("list.test=127.0.0.[2..4;8]", "127.0.0.3", True),
        ("list.test=127.0.0.[2..4;8]", "127.0.0.8", True),
        ("list.test=127.0.0.[2..4;8]", "127.0.0.5", False),
        ("list.test=127.0.[0;1].[0..255]", "127.0.1.77", True),
        ("list.test=127.0.0.[9..2]", "127.0.0.5", False),
        ("list.test=127.0.0.[0..999999]", "127.0.0.255", True),
        ("list.test=127.0.0.2", "::1", False),
    ],
)
def test_lists_and_their_filters(argument, address, expected):
    assert parse_list(argument).matches(address) == expected


@pytest.mark.parametrize(
    "argument", ["", "=127.0.0.2", "list.test=", "list.test=127.0.0", "list.test=127.0.0.[a]", "-x-"]
)
def test_what_is_no_list(argument):
    with pytest.raises(ValueError, match=r"domain|pattern|range"):
        parse_list(argument)


def test_addresses_are_reversed():
    assert reversed_address("192.0.2.1") == "1.2.0.192"
    assert reversed_address("2001:db8::1") == "1." + "0." * 23 + "8.b.d.0.1.0.0.2"


def refusal(settings, dns, client="2001:db8::1", **fields):
    log = MemoryLog()
    service = ServiceLog(log, "postfix/smtpd")
    opener = TableOpener(service.warning)
    base = {"myhostname": "m.test", "mydestination": "local.test", "inet_interfaces": "127.0.0.1"}
    conf = Config.of({**base, "mynetworks": "127.0.0.1", "local_recipient_maps": "", **settings})
    policy = make_policy(conf, make_resolver(conf, opener), opener, service, None, dns)
    facts = Facts(
        "unknown", client, helo="c.test", protocol="ESMTP", sender="s@x.test", recipient="u@local.test", **fields
    )
    verdict = asyncio.run(policy.rcpt(facts))
    return str(verdict.reply) if verdict.refused else "", log.lines


NAME = "1." + "0." * 23 + "8.b.d.0.1.0.0.2.list.test"


def test_ipv6_clients_are_looked_up_by_nibbles():
    dns = StaticResolver(hosts={NAME: Records(("127.0.0.2",))}, texts={NAME: Records(("why $rbl_code\r\nnot",))})
    reply, _ = refusal({"smtpd_client_restrictions": "reject_rbl_client list.test"}, dns)
    blocked = "Service unavailable; Client host [2001:db8::1] blocked using list.test; why $rbl_code not"
    assert reply == f"554 5.7.1 {blocked}"


@pytest.mark.parametrize(
    ("template", "reply"),
    [
        ("$rbl_code busy", "554 5.7.1 busy"),
        ("421 4.7.0 bye", "421 4.7.0 bye"),
        ("no code at all", "451 4.3.5 Server configuration error"),
        ("250 fine", "451 4.3.5 Server configuration error"),
        ("550 ${rbl_what", "451 4.3.5 Server configuration error"),
    ],
)
def test_templates(template, reply):
    dns = StaticResolver(hosts={NAME: Records(("127.0.0.2",))})
    settings = {"smtpd_client_restrictions": "reject_rbl_client list.test", "default_rbl_reply": template}
    assert refusal(settings, dns)[0] == reply


def test_a_list_that_is_down_has_nothing_against_anyone():
    dns = StaticResolver(hosts={NAME: DnsFailure("timeout")})
    reply, lines = refusal({"smtpd_client_restrictions": "reject_rbl_client list.test"}, dns)
    assert reply == ""
    assert lines == [f"postfix/smtpd: warning: {NAME}: RBL lookup error: timeout"]


def test_a_list_that_is_misspelt_is_a_fault():
    reply, lines = refusal({"smtpd_client_restrictions": "reject_rbl_client list.test=1"}, StaticResolver())
    assert reply == "451 4.3.5 Server configuration error"
    assert "bad pattern of addresses" in lines[0]
