"""Destinations end as they do for Postfix: ``tests/golden/delivery.txt``, recorded from it."""

from __future__ import annotations

import asyncio
import runpy
from pathlib import Path

import pytest
from tests.unit.agents.smtp.fakes import request

from angarium.agents.smtp.main import SmtpAgent, SmtpParameters
from angarium.agents.smtp.outgoing import Rules
from angarium.cleanup.generic import make_generic
from angarium.config.config import Config
from angarium.rewrite.main import make_resolver
from angarium.runtime.dns import DnsResolver
from angarium.runtime.hosts import HostsFile
from angarium.runtime.log import MemoryLog, ServiceLog
from angarium.tables.maps import Maps
from angarium.tables.opener import TableOpener

GOLDEN = Path(__file__).parents[3] / "golden"
RECORDER = runpy.run_path(str(GOLDEN / "record_delivery.py"))
RECORDED = dict(line.split(" -> ", 1) for line in (GOLDEN / "delivery.txt").read_text("utf-8").splitlines())


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Name server, SMTP servers and hosts file."""
    sinks = RECORDER["SINKS"]["Sinks"](RECORDER["SCRIPTS"])
    hosts = tmp_path_factory.mktemp("etc") / "hosts"
    hosts.write_text(f"127.0.0.1 localhost\n{RECORDER['GOOD']} hosty.mx\n")
    with RECORDER["NAME_SERVER"]["FakeDnsServer"](RECORDER["ZONE"]) as name_server:
        yield name_server, hosts, sinks.port
    sinks.close()


def finder(maps):
    async def find(key):
        return await maps.find(key)

    return find if maps else None


@pytest.mark.parametrize("name", list(RECORDER["CASES"]))
def test_ends_as_with_postfix(world, name):
    name_server, hosts, port = world
    nexthop, overrides = RECORDER["CASES"][name]

    def here(text):
        return text.replace(":2525", f":{port}")

    conf = Config.of({**RECORDER["BASE"], **{key: here(value) for key, value in overrides.items()}})
    log = ServiceLog(MemoryLog(), "postfix/smtp")
    opener = TableOpener(log.warning)
    resolver = make_resolver(conf, opener)
    generic = make_generic(
        "smtp_generic_maps",
        conf.names("smtp_generic_maps"),
        opener,
        resolver.rewrite_listed,
        resolver.is_own,
        delimiters="+",
        propagate=False,
        token_limit=100,
    )
    policies = Maps.open("smtp_tls_policy_maps", conf.names("smtp_tls_policy_maps"), opener)

    async def main():
        dns = DnsResolver([name_server], hosts=HostsFile(hosts))
        agent = SmtpAgent(SmtpParameters.from_config(conf), log, dns, None, finder(policies), Rules(generic))
        try:
            (result,) = await agent.deliver(request(here(nexthop), "u@case.test"))
        finally:
            await agent.close()
        return f"{result.status.value} {result.dsn} {result.relay} ({result.text})"

    assert asyncio.run(asyncio.wait_for(main(), 20)).replace(f":{port}", ":2525") == RECORDED[name]
