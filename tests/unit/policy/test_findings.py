"""Findings of address verification on disk, and the sender of probes that changes."""

from __future__ import annotations

import asyncio

from angarium.config.config import Config
from angarium.policy.findings import FindingStore, findings_path
from angarium.policy.probesender import is_probe_sender, probe_sender
from angarium.policy.verification import AddressVerifier, Finding, Standing, VerifyParameters
from angarium.rewrite.main import make_probe_resolver, make_resolver
from angarium.tables.opener import TableOpener

GOOD, BAD = Finding(Standing.DELIVERABLE), Finding(Standing.UNDELIVERABLE, "nobody")


def verifier(store, now, *findings):
    answers = list(findings)

    async def probe(_address):
        return answers.pop(0)

    return AddressVerifier(VerifyParameters(), probe, lambda: now[0], store)


def test_findings_outlive_a_process_and_are_shared(tmp_path):
    path, warnings, now = tmp_path / "cache.sqlite", [], [1000.0]
    first = FindingStore(path, warnings.append)
    assert asyncio.run(verifier(first, now, BAD).verify("U@x.test")) == BAD
    second = FindingStore(path, warnings.append)
    other = verifier(second, now)
    assert asyncio.run(other.verify("u@X.test")) == BAD
    now[0] += 4 * 86400.0
    again = verifier(second, now, GOOD)
    assert asyncio.run(again.verify("u@x.test")) == GOOD
    assert first.get("u@x.test") == ("deliverable", now[0], "")
    for store in (first, second):
        store.close()
    assert warnings == []


def test_what_has_expired_is_deleted(tmp_path):
    store = FindingStore(tmp_path / "cache.sqlite", print, interval=10.0)
    store.put("old@x.test", "deliverable", 100.0, "")
    store.put("bad@x.test", "undeliverable", 900.0, "")
    store.put("new@x.test", "deliverable", 900.0, "")
    store.clean(1000.0, ("deliverable", 500.0), 50.0)
    assert [bool(store.get(f"{each}@x.test")) for each in ("old", "bad", "new")] == [False, False, True]
    store.close()


def test_a_file_that_cannot_be_used_is_said_once(tmp_path):
    (tmp_path / "cache.sqlite").write_bytes(b"no database at all, and longer than a header" * 100)
    warnings = []
    store = FindingStore(tmp_path / "cache.sqlite", warnings.append)
    assert asyncio.run(verifier(store, [1.0], GOOD).verify("u@x.test")) == GOOD
    assert store.get("u@x.test") is None
    assert len(warnings) == 1
    assert "findings are not kept" in warnings[0]


def test_address_verify_map_names_the_file():
    assert str(findings_path("btree:/var/lib/postfix/verify_cache")) == "/var/lib/postfix/verify_cache.sqlite"
    assert str(findings_path("proxy:btree:/x/cache")) == "/x/cache.sqlite"
    assert findings_path("") is None


def test_the_sender_of_probes_is_postfixs():
    # 1Y8DC is what Postfix 3.7 wrote with a time to live of 1000 seconds at this time.
    assert probe_sender("double-bounce@example.test", 1000.0, 1795531526.0) == "double-bounce1Y8DC@example.test"
    assert probe_sender("double-bounce@example.test", 0.0, 1795531526.0) == "double-bounce@example.test"
    assert probe_sender("", 1000.0, 1795531526.0) == ""


def test_the_sender_of_a_neighbouring_period_is_known():
    known = [
        is_probe_sender("Double-Bounce1Y8DC", "double-bounce", 1000.0, 1795531526.0 + at) for at in (-1000, 0, 1000)
    ]
    assert known == [True, True, True]
    assert not is_probe_sender("double-bounce1Y8DC", "double-bounce", 1000.0, 1795531526.0 + 3000)
    assert not is_probe_sender("double-bounce", "double-bounce", 0.0, 1.0)


def test_probes_may_take_a_way_of_their_own():
    conf = {"relayhost": "[usual.test]", "mydestination": "", "transport_maps": ""}
    opener = TableOpener(print)
    usual = make_resolver(Config.of(conf), opener)
    assert make_probe_resolver(Config.of(conf), opener, usual) is usual
    own = make_probe_resolver(Config.of({**conf, "address_verify_relayhost": "[probes.test]"}), opener, usual)
    assert asyncio.run(own.resolve("", "u@x.test")).nexthop == "[probes.test]"
    own = make_probe_resolver(
        Config.of({**conf, "address_verify_transport_maps": "inline:{{x.test=smtp:[there.test]}}"}), opener, usual
    )
    assert asyncio.run(own.resolve("", "u@x.test")).nexthop == "[there.test]"
    assert asyncio.run(usual.resolve("", "u@x.test")).nexthop == "[usual.test]"
