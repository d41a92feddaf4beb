from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from angarium.agents.smtp.destination import Destination, destinations
from angarium.agents.smtp.hosts import HostFinder
from angarium.agents.smtp.parameters import SmtpParameters
from angarium.agents.smtp.trouble import TroubleError
from angarium.model.lookup import NOT_FOUND, Found
from angarium.runtime.dns import DnsFailure, Mx, Records, Srv, StaticResolver
from angarium.tables.dnsfilter import FilteredResolver


@pytest.mark.parametrize(
    ("nexthop", "expected"),
    [
        ("example.org", [("example.org", 25, True)]),
        ("example.org:587", [("example.org", 587, True)]),
        ("[mx.example.org]", [("mx.example.org", 25, False)]),
        ("[mx.example.org]:2525", [("mx.example.org", 2525, False)]),
        ("[192.0.2.1]:smtp", [("192.0.2.1", 25, False)]),
        ("[ipv6:2001:db8::1]:26", [("2001:db8::1", 26, False)]),
        ("[IPv6:2001:db8::1]", [("2001:db8::1", 25, False)]),
        ("inet:[127.0.0.1]:26", [("127.0.0.1", 26, False)]),
        ("a.org, [b.org]:26 c.org", [("a.org", 25, True), ("b.org", 26, False), ("c.org", 25, True)]),
    ],
)
def test_destinations(nexthop, expected):
    assert [(place.host, place.port, place.exchangers) for place in destinations(nexthop, 25)] == expected


@pytest.mark.parametrize("nexthop", ["", " , ", "[a", "a]", "[a]b", "a:", "a:99999", "a:nosuchservice", "[]", "a:1:2"])
def test_malformed_destinations(nexthop):
    with pytest.raises(ValueError, match=r"destination|unknown"):
        destinations(nexthop, 25)


def find(destination: Destination, resolver: StaticResolver, shuffle=lambda targets: None, **parameters):
    finder = HostFinder(SmtpParameters(**parameters), resolver, shuffle)
    return [target.address for target in asyncio.run(finder.find(destination))]


RESOLVER = StaticResolver(
    {
        "example.org": Records((Mx(10, "a.example"), Mx(20, "b.example"), Mx(20, "c.example"), Mx(30, "d.example"))),
        "half.example": Records((Mx(10, "broken.example"), Mx(20, "a.example"))),
    },
    {
        "a.example": Records(("192.0.2.1", "2001:db8::1")),
        "b.example": Records(("192.0.2.2",)),
        "c.example": Records(("192.0.2.3",)),
        "d.example": Records(("192.0.2.4",)),
        "broken.example": DnsFailure("timeout"),
    },
)
DOMAIN = Destination("example.org", "example.org", 25, exchangers=True)


def test_preference_orders_and_the_limit_cuts():
    assert find(DOMAIN, RESOLVER, mx_address_limit=4) == ["192.0.2.1", "2001:db8::1", "192.0.2.2", "192.0.2.3"]


def test_equal_preference_is_shuffled():
    found = find(DOMAIN, RESOLVER, lambda targets: targets.reverse(), mx_address_limit=0)
    assert found == ["2001:db8::1", "192.0.2.1", "192.0.2.3", "192.0.2.2", "192.0.2.4"]


def test_address_preference():
    assert find(DOMAIN, RESOLVER, address_preference="ipv6")[:2] == ["2001:db8::1", "192.0.2.1"]
    assert find(DOMAIN, RESOLVER, families=(4,))[:2] == ["192.0.2.1", "192.0.2.2"]


def test_exchanger_without_address_is_skipped():
    assert find(Destination("half.example", "half.example", 25, True), RESOLVER, families=(4,)) == ["192.0.2.1"]


def test_domain_without_exchangers_is_its_own_host():
    assert find(Destination("d.example", "d.example", 25, True), RESOLVER) == ["192.0.2.4"]


def test_dns_disabled_asks_no_exchangers():
    assert find(Destination("d.example", "d.example", 25, True), RESOLVER, dns_enabled=False) == ["192.0.2.4"]


def test_exchangers_behind_us_are_left_out():
    own = frozenset({"192.0.2.2"})
    assert find(DOMAIN, RESOLVER, own_addresses=own, families=(4,)) == ["192.0.2.1"]
    elsewhere = Destination("example.org", "example.org", 587, exchangers=True)
    assert len(find(elsewhere, RESOLVER, own_addresses=own, families=(4,))) == 4


@pytest.mark.parametrize("destination", [DOMAIN, Destination("[a.example]", "a.example", 25, exchangers=False)])
def test_mail_loops(destination):
    with pytest.raises(TroubleError, match="loops back to myself") as caught:
        find(destination, RESOLVER, own_addresses=frozenset({"192.0.2.1"}))
    assert str(caught.value.dsn) == "5.4.6"


def test_lookup_error_can_be_ignored():
    resolver = StaticResolver({"x.example": DnsFailure("timeout")}, {"x.example": Records(("192.0.2.9",))})
    place = Destination("x.example", "x.example", 25, exchangers=True)
    with pytest.raises(TroubleError, match="type=MX: Host not found, try again"):
        find(place, resolver)
    assert find(place, resolver, ignore_mx_lookup_error=True) == ["192.0.2.9"]


SERVICES = StaticResolver(
    {"plain.example": Records((Mx(10, "a.example"),)), "failing.example": Records((Mx(10, "a.example"),))},
    RESOLVER.hosts,
    services={
        "_submission._tcp.example.org": Records(
            (Srv(10, 5, 587, "a.example"), Srv(20, 0, 588, "b.example"), Srv(20, 100, 589, "c.example"))
        ),
        "_submission._tcp.closed.example": Records((Srv(0, 0, 0, ""),)),
        "_submission._tcp.failing.example": DnsFailure("timeout"),
        "_submission._tcp.half.example": Records((Srv(10, 0, 587, "broken.example"),)),
    },
)


def targets(nexthop, **parameters):
    finder = HostFinder(
        SmtpParameters(use_srv_lookup=frozenset({"submission"}), **parameters), SERVICES, lambda _: None, lambda: 0.5
    )
    place = destinations(nexthop, 25)[0]
    return [(target.address, target.port) for target in asyncio.run(finder.find(place))]


def test_servers_by_priority_and_weight():
    expected = [("192.0.2.1", 587), ("2001:db8::1", 587), ("192.0.2.3", 589), ("192.0.2.2", 588)]
    assert targets("example.org:submission") == expected


@pytest.mark.parametrize(
    ("domain", "parameters", "expected"),
    [
        ("closed.example", {}, "5.4.4"),
        ("failing.example", {}, "4.4.3"),
        ("failing.example", {"ignore_srv_lookup_error": True}, [("192.0.2.1", 587), ("2001:db8::1", 587)]),
        ("plain.example", {}, "5.4.4"),
        ("plain.example", {"allow_srv_lookup_fallback": True}, [("192.0.2.1", 587), ("2001:db8::1", 587)]),
        ("half.example", {}, "4.4.3"),
    ],
)
def test_without_servers(domain, parameters, expected):
    try:
        found = targets(f"{domain}:submission", **parameters)
    except TroubleError as trouble:
        found = str(trouble.dsn)
    assert found == expected


def test_only_the_named_services_are_looked_up():
    assert targets("plain.example:587") == [("192.0.2.1", 587), ("2001:db8::1", 587)]


@pytest.mark.parametrize(
    ("limit", "balance", "expected"),
    [
        (2, True, ["6a", "4a"]),
        (2, False, ["6a", "6b"]),
        (3, True, ["6a", "4a", "4b"]),
        (4, True, ["6a", "6b", "4a", "4b"]),
        (1, True, ["6a"]),
        (0, True, ["6a", "6b", "6c", "6d", "4a", "4b"]),
    ],
)
def test_both_ip_versions_are_tried(limit, balance, expected):
    sixes = [f"2001:db8::{letter}" for letter in "abcd"]
    fours = ["192.0.2.10", "192.0.2.11"]
    short = {address: f"6{address[-1]}" for address in sixes} | dict(zip(fours, ("4a", "4b"), strict=True))
    resolver = StaticResolver({}, {"mx.example": Records((*sixes, *fours))})
    parameters = {"mx_address_limit": limit, "balance_inet_protocols": balance, "address_preference": "ipv6"}
    found = find(destinations("[mx.example]", 25)[0], resolver, **parameters)
    assert [short[address] for address in found] == expected


def test_a_filter_leaves_addresses_out():
    async def find_ignored(query):
        return Found("IGNORE", "t") if " IN AAAA " in query else NOT_FOUND

    maps = SimpleNamespace(find=find_ignored, parameter="smtp_dns_reply_filter")
    resolver = FilteredResolver(RESOLVER, maps, print)
    assert find(destinations("[a.example]", 25)[0], resolver) == ["192.0.2.1"]


def test_a_host_by_the_name_behind_its_aliases():
    resolver = StaticResolver({}, {"alias.example": Records(("192.0.2.1",), canonical="mx.example")})
    (place,) = destinations("[alias.example]", 25)
    for overrides, name in ((False, "alias.example"), (True, "mx.example")):
        finder = HostFinder(SmtpParameters(cname_overrides_servername=overrides), resolver)
        assert [target.host for target in asyncio.run(finder.find(place))] == [name]
