"""A process that is killed leaves a domain's ledger off by what was under way, and the accounts' next mail heals it."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from angarium.mailstore.interface import NewMail
from angarium.mailstore.main import open_mailstore
from angarium.mailstore.parameters import MailstoreParameters
from angarium.mailstore.usage import read_domain_usage, read_usage
from angarium.model.content import MemoryContent
from angarium.model.quota import QuotaLimit, QuotaPlan
from angarium.runtime.log import MemoryLog, ServiceLog

ACCOUNTS = [f"{name}@x.test" for name in ("a", "b", "c")]
DATA = b"Subject: x\r\n\r\n" + b"x" * 87
LIMIT = QuotaLimit(1 << 40)


def store_at(directory):
    parameters = MailstoreParameters(Path(directory), quota=QuotaPlan(domain=LIMIT))
    return open_mailstore(parameters, ServiceLog(MemoryLog(), "x"))


async def deliver(directory, rounds):
    """One message for each account at once, again and again; a line for each that is stored."""
    store = store_at(directory)
    accounts = [await store.open(name) for name in ACCOUNTS]
    for _round in range(rounds):
        await asyncio.gather(
            *[account.append([NewMail("INBOX", b"", MemoryContent(DATA), frozenset(), 0.0)]) for account in accounts]
        )
        print("stored", flush=True)
    await store.close()


@pytest.mark.parametrize("after", [1, 7, 20])
def test_a_kill_costs_what_was_under_way_until_the_next_mail(tmp_path, after):
    with subprocess.Popen([sys.executable, __file__, str(tmp_path)], stdout=subprocess.PIPE) as victim:
        assert victim.stdout is not None
        for _line in range(after):
            victim.stdout.readline()
        victim.send_signal(signal.SIGKILL)
    real = sum(read_usage(tmp_path, name).bytes for name in ACCOUNTS)
    assert abs(read_domain_usage(tmp_path, "x.test").bytes - real) <= len(ACCOUNTS) * len(DATA)
    asyncio.run(deliver(tmp_path, 1))
    assert sum(read_usage(tmp_path, name).bytes for name in ACCOUNTS) == real + len(ACCOUNTS) * len(DATA)
    assert read_domain_usage(tmp_path, "x.test").bytes == real + len(ACCOUNTS) * len(DATA)


if __name__ == "__main__":
    asyncio.run(deliver(sys.argv[1], 1_000_000))
