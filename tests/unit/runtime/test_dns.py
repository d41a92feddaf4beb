from __future__ import annotations

import asyncio
from collections import Counter

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest
import uvloop
from tests.fakes.dns_server import FakeDnsServer

from angarium.runtime.dns import (
    DnsFailure,
    DnsResolver,
    Mx,
    NoRecords,
    Records,
    Srv,
    StaticResolver,
    Tlsa,
)
from angarium.runtime.hosts import HostsFile

ZONE = {
    ("example.org", "MX"): ["20 mx2.example.org.", "10 mx1.example.org."],
    ("null.example", "MX"): ["0 ."],
    ("mx1.example.org", "A"): ["192.0.2.1", "192.0.2.2"],
    ("mx1.example.org", "AAAA"): ["2001:db8::1"],
    ("mx2.example.org", "A"): ["192.0.2.3"],
    ("half.example", "A"): ["192.0.2.9"],
    ("1.2.0.192.in-addr.arpa", "PTR"): ["mx1.example.org."],
    ("9.2.0.192.in-addr.arpa", "PTR"): ["mx1.example.org."],
    ("example.org", "TXT"): ['"v=spf1 " "-all"'],
    ("example.org", "NS"): ["ns1.example.org."],
    ("_submission._tcp.example.org", "SRV"): ["20 0 587 b.example.org.", "10 5 587 a.example.org."],
    ("_smtp._tcp.example.org", "SRV"): ["0 0 0 ."],
}
BROKEN = {("half.example", "AAAA"), ("broken.example", "MX"), ("broken.example", "A")}
SILENT = "silent.example"


class FakeServer(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.asked: Counter[tuple[str, str]] = Counter()

    def connection_made(self, transport) -> None:
        self.transport = transport

    def datagram_received(self, data, peer) -> None:
        query = dns.message.from_wire(data)
        question = query.question[0]
        name, kind = str(question.name).rstrip(".").lower(), question.rdtype.name
        self.asked[name, kind] += 1
        if name == SILENT:
            return
        response = dns.message.make_response(query)
        response.flags |= dns.flags.RA
        if (name, kind) in BROKEN:
            response.set_rcode(dns.rcode.SERVFAIL)
        elif (name, kind) in ZONE:
            response.answer.append(dns.rrset.from_text(name + ".", 300, "IN", kind, *ZONE[name, kind]))
        elif not any(known == name for known, _ in ZONE):
            response.set_rcode(dns.rcode.NXDOMAIN)
        self.transport.sendto(response.to_wire(), peer)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def run(scenario, tmp_path, new_loop=asyncio.new_event_loop, **arguments):
    async def main():
        loop = asyncio.get_running_loop()
        transport, server = await loop.create_datagram_endpoint(FakeServer, ("127.0.0.1", 0))
        port = transport.get_extra_info("sockname")[1]
        hosts = HostsFile(tmp_path / "hosts")
        resolver = DnsResolver([("127.0.0.1", port)], hosts=hosts, timeout=arguments.pop("timeout", 3.0), **arguments)
        try:
            return await scenario(resolver, server)
        finally:
            transport.close()
            await asyncio.sleep(0)

    with asyncio.Runner(loop_factory=new_loop) as runner:
        return runner.run(main())


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_exchangers_by_preference(tmp_path, new_loop):
    async def scenario(resolver, server):
        return await resolver.mx("Example.ORG")

    answer = run(scenario, tmp_path, new_loop)
    assert answer == Records((Mx(10, "mx1.example.org"), Mx(20, "mx2.example.org")), 300.0)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("null.example", Records((Mx(0, ""),), 300.0)),
        ("mx1.example.org", NoRecords(name_exists=True)),
        ("absent.example", NoRecords()),
        ("a..b", NoRecords()),
        ("x" * 70 + ".example", NoRecords()),
        ("", NoRecords()),
    ],
)
def test_the_outcomes(tmp_path, name, expected):
    async def scenario(resolver, server):
        return await resolver.mx(name)

    assert run(scenario, tmp_path) == expected


def test_failures_are_temporary(tmp_path):
    async def scenario(resolver, server):
        return await resolver.mx("broken.example"), await resolver.mx(SILENT)

    answers = run(scenario, tmp_path, timeout=0.3)
    assert all(isinstance(answer, DnsFailure) for answer in answers)


def test_addresses(tmp_path):
    async def scenario(resolver, server):
        return (
            await resolver.addresses("mx1.example.org", (4, 6)),
            await resolver.addresses("mx1.example.org", (6, 4)),
            await resolver.addresses("mx1.example.org", (4,)),
            await resolver.addresses("half.example"),
            await resolver.addresses("broken.example"),
            await resolver.addresses("127.0.0.1"),
            await resolver.addresses("::1", (4,)),
            await resolver.addresses("2001:DB8::0:1"),
        )

    four, six, only, half, broken, literal, wrong, canonical = run(scenario, tmp_path)
    assert (set(four.values[:2]), four.values[2:]) == ({"192.0.2.1", "192.0.2.2"}, ("2001:db8::1",))
    assert (six.values[0], set(six.values[1:])) == ("2001:db8::1", {"192.0.2.1", "192.0.2.2"})
    assert set(only.values) == {"192.0.2.1", "192.0.2.2"}
    assert half.values == ("192.0.2.9",)
    assert isinstance(broken, DnsFailure)
    assert literal.values == ("127.0.0.1",)
    assert wrong == NoRecords(name_exists=True)
    assert canonical.values == ("2001:db8::1",)


def test_hosts_file_and_its_place_in_the_order(tmp_path):
    hosts = tmp_path / "hosts"
    hosts.write_text("192.0.2.77 mx1.example.org mx1  # ours\nnonsense line\n::1 localhost\n")

    async def scenario(resolver, server):
        found = (
            await resolver.addresses("mx1.example.org"),
            await resolver.addresses("mx1.example.org", (4,), ("dns",)),
            await resolver.addresses("mx1.example.org", (4,), ("dns", "native")),
            await resolver.addresses("MX1", (4,), ("dns", "native")),
            await resolver.ptr("192.0.2.77"),
        )
        resolver._hosts._looked = -10.0
        hosts.write_text("192.0.2.78 mx1\n")
        return (*found, await resolver.addresses("mx1"))

    native, dns_only, dns_first, short, name, changed = run(scenario, tmp_path)
    assert native.values == ("192.0.2.77",)
    assert set(dns_only.values) == set(dns_first.values) == {"192.0.2.1", "192.0.2.2"}
    assert short.values == ("192.0.2.77",)
    assert name.values == ("mx1.example.org",)
    assert changed.values == ("192.0.2.78",)


def test_text_is_joined(tmp_path):
    async def scenario(resolver, server):
        return await resolver.txt("example.org")

    assert run(scenario, tmp_path).values == ("v=spf1 -all",)


def test_name_servers_and_services(tmp_path):
    async def scenario(resolver, server):
        names = await resolver.ns("example.org")
        return names, await resolver.srv("_submission._tcp.example.org"), await resolver.srv("_smtp._tcp.example.org")

    names, servers, closed = run(scenario, tmp_path)
    assert names == Records(("ns1.example.org",), 300.0)
    assert servers.values == (Srv(10, 5, 587, "a.example.org"), Srv(20, 0, 587, "b.example.org"))
    assert closed.values == (Srv(0, 0, 0, ""),)


def test_equal_questions_are_asked_once_and_kept_for_their_ttl(tmp_path):
    clock = Clock()

    async def scenario(resolver, server):
        await asyncio.gather(*(resolver.mx("example.org") for _ in range(5)))
        await resolver.mx("example.org")
        first = server.asked["example.org", "MX"]
        clock.now += 301
        await resolver.mx("example.org")
        return first, server.asked["example.org", "MX"]

    assert run(scenario, tmp_path, clock=clock) == (1, 2)


def test_negative_answers_are_kept_shorter(tmp_path):
    clock = Clock()

    async def scenario(resolver, server):
        counts = []
        for step in (0, 59, 2):
            clock.now += step
            await resolver.mx("absent.example")
            counts.append(server.asked["absent.example", "MX"])
        return counts

    assert run(scenario, tmp_path, clock=clock) == [1, 1, 2]


def test_cache_is_bounded(tmp_path):
    async def scenario(resolver, server):
        for number in range(10):
            await resolver.mx(f"name{number}.example")
        return len(resolver._cache)

    assert run(scenario, tmp_path, cache_size=4) == 4


def test_no_resolver_configuration_is_temporary(tmp_path):
    resolver = DnsResolver(hosts=HostsFile(tmp_path / "hosts"))
    resolver._make_backend = lambda: (_ for _ in ()).throw(dns.resolver.NoResolverConfiguration())  # type: ignore[method-assign]
    assert isinstance(asyncio.run(resolver.mx("example.org")), DnsFailure)


def test_static_resolver():
    resolver = StaticResolver({"example.org": Records((Mx(10, "mx"),))}, {"mx": Records(("192.0.2.1", "::1"))})

    async def scenario():
        return (
            await resolver.mx("Example.org"),
            await resolver.addresses("mx", (6,)),
            await resolver.mx("mx"),
            await resolver.addresses("absent"),
        )

    exchangers, addresses, none, absent = asyncio.run(scenario())
    assert exchangers.values == (Mx(10, "mx"),)
    assert addresses.values == ("::1",)
    assert none == NoRecords(name_exists=True)
    assert absent == NoRecords()


def test_hosts_file_that_is_missing(tmp_path):
    assert HostsFile(tmp_path / "none").addresses("localhost") == ()


@pytest.mark.parametrize(("transitional", "name"), [(False, "xn--fa-hia.example.org"), (True, "fass.example.org")])
def test_names_beyond_ascii_are_asked_for_as_idna_writes_them(tmp_path, transitional, name):
    async def scenario(resolver, server):
        await resolver.mx("faß.example.org")
        return server.asked

    assert run(scenario, tmp_path, transitional=transitional)[name, "MX"] == 1


def test_dnssec_is_asked_for_and_believed():
    zone = {
        ("signed.test", "MX"): ["10 mx.signed.test."],
        ("mx.signed.test", "A"): ["192.0.2.1"],
        ("_25._tcp.mx.signed.test", "TLSA"): ["3 1 1 " + "00" * 32],
        ("plain.test", "A"): ["192.0.2.2"],
    }

    async def scenario(resolver):
        return [
            await resolver.mx("signed.test"),
            await resolver.addresses("mx.signed.test", (4,), ("dns",)),
            await resolver.tlsa("_25._tcp.mx.signed.test"),
            await resolver.tlsa("_25._tcp.none.signed.test"),
            await resolver.mx("mx.signed.test"),
            await resolver.addresses("plain.test", (4,), ("dns",)),
        ]

    with FakeDnsServer(zone, signed=("signed.test",)) as server:
        secure = asyncio.run(scenario(DnsResolver([server], dnssec=True)))
        plain = asyncio.run(scenario(DnsResolver([server])))
    assert [answer.secure for answer in secure] == [True, True, True, True, True, False]
    assert not any(answer.secure for answer in plain)
    assert secure[2].values == (Tlsa(3, 1, 1, bytes(32)),)
