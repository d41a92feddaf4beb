"""A running server looks into table files that Postfix's postmap has built, and into those of ours."""

from __future__ import annotations

import os
import smtplib
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.interop

KINDS = ("hash", "btree", "lmdb", "cdb")


@pytest.fixture
def tables(peer, tmp_path):
    """Builds a table with one of the two programs, and leaves no source behind."""
    (tmp_path / "main.cf").write_text("compatibility_level = 3.6\n")
    os.utime(tmp_path / "main.cf", (1e9, 1e9))
    commands = {"theirs": [peer("postmap")], "ours": [str(Path(sys.executable).with_name("postmap"))]}

    def build(maker, kind, entries):
        source = tmp_path / f"{maker}-{kind}"
        source.write_text("".join(f"{key} {value}\n" for key, value in entries.items()))
        subprocess.run([*commands[maker], "-c", str(tmp_path), f"{kind}:{source}"], check=True, timeout=20)
        source.unlink()
        return f"{kind}:{source}"

    return build


def accepted(server, *recipients):
    with smtplib.SMTP(server.site.host, server.site.ports.smtp, timeout=30) as client:
        client.ehlo("client.test")
        client.mail("")
        return [client.rcpt(each)[0] for each in recipients]


def test_aliases_in_built_files(servers, tables):
    makers = [(maker, kind) for maker in ("theirs", "ours") for kind in KINDS]
    names = [
        tables(maker, kind, {f"{maker}.{kind}@example.test": "alice@example.test", f"x{maker}{kind}": "bob"})
        for maker, kind in makers
    ]
    server = servers.start({"virtual_alias_maps": ", ".join(names)})
    addresses = [f"{maker.upper()}.{kind}@Example.test" for maker, kind in makers]
    assert accepted(server, *addresses, "none@example.test") == [250] * len(addresses) + [550], server.log()
    for maker, kind in makers:
        tables(maker, kind, {f"new.{maker}.{kind}@example.test": "alice@example.test"})
    deadline = time.monotonic() + 10
    now = [f"new.{each}" for each in addresses]
    while accepted(server, *now, *addresses) != [250] * len(now) + [550] * len(addresses):
        assert time.monotonic() < deadline
    assert "warning" not in server.log()
