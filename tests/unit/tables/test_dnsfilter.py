"""What smtpd_dns_reply_filter leaves of an answer of the DNS."""

from __future__ import annotations

import asyncio

from angarium.runtime.dns import DnsFailure, Mx, Records, StaticResolver
from angarium.tables.dnsfilter import FilteredResolver
from angarium.tables.maps import Maps
from angarium.tables.opener import TableOpener


def resolver(*rules):
    warnings = []
    names = StaticResolver(
        exchangers={"x.test": Records((Mx(10, "a.x.test"), Mx(20, "b.x.test")))},
        hosts={"a.x.test": Records(("192.0.2.1", "2001:db8::1"))},
        texts={"x.test": Records(("blocked here",))},
    )
    text = ", ".join(f"{{{rule}}}" for rule in rules)
    maps = Maps.open("smtpd_dns_reply_filter", [f"regexp:{{{text}}}"], TableOpener(warnings.append))
    return FilteredResolver(names, maps, warnings.append), warnings


def ask(answer):
    found = asyncio.run(answer)
    return found.values if isinstance(found, Records) else found


def test_records_are_left_out_one_by_one():
    filtered, warnings = resolver(r"/^x\.test\. [0-9]+ in mx 10 a\.x\.test\./ IGNORE", r"/ AAAA / ignore")
    assert ask(filtered.mx("x.test")) == (Mx(20, "b.x.test"),)
    assert ask(filtered.addresses("a.x.test")) == ("192.0.2.1",)
    assert ask(filtered.txt("x.test")) == ("blocked here",)
    assert warnings == []


def test_an_answer_of_which_nothing_is_left_is_for_later():
    filtered, _ = resolver(r"/ TXT blocked/ IGNORE")
    assert isinstance(ask(filtered.txt("x.test")), DnsFailure)


def test_an_action_that_does_not_exist_is_said_and_for_later():
    filtered, warnings = resolver(r"/ MX / DROP")
    assert isinstance(ask(filtered.mx("x.test")), DnsFailure)
    assert warnings == ['smtpd_dns_reply_filter: unknown DNS filter action: "DROP"']
