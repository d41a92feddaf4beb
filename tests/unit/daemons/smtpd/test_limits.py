"""The counters of clients: by service, by network, over workers, and what the log hears of them."""

from __future__ import annotations

import time

import pytest

from angarium.daemons.smtpd.limits import ClientLimits, Counted
from angarium.runtime.counts import SharedCounts
from angarium.runtime.log import MemoryLog, ServiceLog


def test_connections_and_rates_are_counted_by_client_and_service():
    now = [0.0]
    limits = ClientLimits(lambda: now[0], 60.0)
    assert limits.connect("smtp", "a") == (1, 1)
    assert limits.connect("smtp", "a") == (2, 2)
    assert limits.connect("smtp", "b") == (1, 1)
    assert limits.connect("submission", "a") == (1, 1)
    limits.disconnect("smtp", "a")
    assert limits.count("smtp", "a", Counted.MESSAGE) == 1
    now[0] = 60.0
    assert limits.connect("smtp", "a") == (2, 1)
    assert limits.count("smtp", "a", Counted.MESSAGE) == 1


def test_clients_that_went_away_are_forgotten():
    now = [0.0]
    limits = ClientLimits(lambda: now[0], 60.0)
    for number in range(1000):
        limits.connect("smtp", str(number))
        if number:
            limits.disconnect("smtp", str(number))
    now[0] = 61.0
    for number in range(1000, 1100):
        limits.connect("smtp", str(number))
    assert "0" in {address for _, address in limits._usage}
    assert len(limits._usage) < 200


def workers(clock, number=2):
    shared = SharedCounts(number)
    return [ClientLimits(clock, 60.0, shared.column(shared.reserve())) for _ in range(number)]


def test_workers_count_together():
    now = [600.0]
    first, second = workers(lambda: now[0])
    assert first.connect("smtp", "a") == (1, 1)
    assert second.connect("smtp", "a") == (2, 2)
    first.disconnect("smtp", "a")
    assert second.connect("smtp", "a") == (2, 3)
    assert first.count("smtp", "a", Counted.TLS) == 1
    assert second.number("smtp", "a", Counted.TLS) == 1
    now[0] = 661.0
    assert second.number("smtp", "a", Counted.TLS) == 0
    assert second.connect("smtp", "a") == (3, 1)


@pytest.mark.parametrize(
    ("one", "other", "together"),
    [
        ("2001:db8::1", "2001:db8::ffff", True),
        ("2001:db8::1", "2001:db8:1::1", False),
        ("192.0.2.1", "192.0.2.2", False),
        ("fe80::1%eth0", "fe80::2", True),
        ("unknown", "unknown", True),
    ],
)
def test_a_network_is_one_client(one, other, together):
    limits = ClientLimits(lambda: 0.0, 60.0, prefixes=(32, 84))
    limits.connect("smtp", one)
    assert limits.connect("smtp", other)[0] == 1 + together
    limits.disconnect("smtp", one)
    assert limits.connect("smtp", other)[0] == 2


def test_the_highest_counts_are_reported_once():
    log = MemoryLog()
    wall = [1_700_000_000.0]
    limits = ClientLimits(
        lambda: 0.0, 60.0, prefixes=(32, 84), log=ServiceLog(log, "postfix/anvil"), wall=lambda: wall[0]
    )
    limits.report()
    assert log.lines == []
    limits.connect("smtp", "192.0.2.1")
    limits.connect("smtp", "192.0.2.1")
    limits.disconnect("smtp", "192.0.2.1")
    wall[0] += 86400.0
    limits.connect("smtp", "2001:db8::1")
    limits.count("smtp", "2001:db8::1", Counted.AUTH)
    limits.report()
    early, late = (time.ctime(1_700_000_000.0 + day * 86400.0)[4:19] for day in (0, 1))
    assert [line.partition(": ")[2] for line in log.lines] == [
        f"statistics: max connection rate 2/60s for (smtp:192.0.2.1) at {early}",
        f"statistics: max connection count 2 for (smtp:192.0.2.1) at {early}",
        f"statistics: max auth rate 1/60s for (smtp:2001:db8::/84) at {late}",
        f"statistics: max cache size 2 at {late}",
    ]
    limits.report()
    assert len(log.lines) == 4
