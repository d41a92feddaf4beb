"""What resolving one recipient costs: canonical, virtual and transport maps, and the RCPT that asks for all of it.

python benchmarks/resolve.py [--entries 100000] [--rounds 20000] [--type texthash]

The aim is less than 100 microseconds through canonical, virtual and transport maps.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import uvloop

from angarium.cleanup.main import make_cleanup
from angarium.config.config import Config
from angarium.model.envelope import Envelope, Origin, Recipient
from angarium.policy.interface import Facts
from angarium.policy.main import make_policy
from angarium.rewrite.main import make_resolver
from angarium.runtime.log import MemoryLog, ServiceLog
from angarium.tables.opener import TableOpener

MAIN = {
    "compatibility_level": "3.6",
    "myhostname": "mail.example.test",
    "mydomain": "example.test",
    "mydestination": "$myhostname, localhost",
    "inet_interfaces": "127.0.0.1",
    "mynetworks": "127.0.0.0/8",
    "virtual_alias_domains": "alias.test",
    "virtual_mailbox_domains": "box.test",
    "virtual_mailbox_maps": "static:all",
    "relay_domains": "relay.test",
    "recipient_delimiter": "+",
}


def tables(directory: Path, kind: str, entries: int) -> dict[str, str]:
    """Three maps of so many entries."""
    lines = {
        "recipient_canonical_maps": [f"old{n}@box.test new{n}@box.test" for n in range(entries)],
        "virtual_alias_maps": [f"info{n}@alias.test user{n}@relay.test" for n in range(entries)],
        "transport_maps": [f"user{n}@relay.test smtp:[host{n % 100}]" for n in range(entries)],
    }
    for name, content in lines.items():
        (directory / name).write_text("\n".join(content) + "\n")
    return {name: f"{kind}:{directory / name}" for name in lines}


async def timed(what: str, rounds: int, call: Callable[[int], Awaitable[object]]) -> None:
    """Print the microseconds of one call."""
    for number in range(100):
        await call(number)
    began = time.perf_counter()
    for number in range(rounds):
        await call(number)
    print(f"{what:60} {(time.perf_counter() - began) / rounds * 1e6:8.1f} us")


class Bench:
    """One configuration, and what is measured of it."""

    def __init__(self, extra: dict[str, str], entries: int) -> None:
        log = ServiceLog(MemoryLog(), "bench")
        conf = Config.of({**MAIN, **extra})
        opener = TableOpener(log.warning)
        self.resolver = make_resolver(conf, opener)
        self.cleanup = make_cleanup(conf, self.resolver, opener, log)
        self.policy = make_policy(conf, self.resolver, opener, log)
        self.entries = entries

    async def resolve(self, number: int) -> object:
        """transport_maps."""
        return await self.resolver.resolve("s@x.test", f"user{number % self.entries}@relay.test")

    async def through(self, number: int) -> object:
        """Canonical, virtual and transport maps."""
        address = f"info{number % self.entries}@alias.test"
        envelope = Envelope("s@x.test", (Recipient(address, address),), 1.0, Origin("ESMTP", "c.test", "192.0.2.1"))
        (final,) = await self.cleanup.final_recipients(envelope)
        return await self.resolver.resolve("s@x.test", final.address)

    async def rcpt(self, number: int) -> object:
        """All that RCPT asks."""
        address = f"info{number % self.entries}@alias.test"
        facts = Facts("c.test", "192.0.2.1", helo="c.test", protocol="ESMTP", sender="s@x.test", recipient=address)
        return await self.policy.rcpt(facts)


async def measure(options: argparse.Namespace, directory: Path) -> None:
    """All rows."""
    for title, extra in (("no maps", {}), ("three maps", tables(directory, options.type, options.entries))):
        bench = Bench(extra, options.entries)
        await timed(f"{title}: resolve (transport_maps)", options.rounds, bench.resolve)
        await timed(f"{title}: canonical, virtual and transport maps", options.rounds, bench.through)
        await timed(f"{title}: RCPT, smtpd_relay_restrictions by default", options.rounds, bench.rcpt)


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=20_000)
    parser.add_argument("--type", default="texthash")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        uvloop.run(measure(options, Path(directory)))


if __name__ == "__main__":
    main()
