"""A whole server is built, and the parameters that it reads are compared with what the registry says of them.

Names are seen in three ways: asked for while the services are built, reached through ``$name`` in what is asked for, or
standing as a string in code that asks later. A parameter that is declared honoured must be seen in one of them; one
that is asked for must not be declared anything else.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
from pathlib import Path

import pytest

from angarium.config.config import Config
from angarium.config.parameter import Status, Type
from angarium.config.registry import registry
from angarium.demo.site import Ports, Site
from angarium.master.inprocess import OneProcess
from angarium.runtime.log import open_log

WHY = "change src/angarium/config/registry/, then run: python -m angarium.config.manual docs"

TRANSPORTS = ("smtp", "lmtp", "virtual", "error", "discard", "local", "pipe")


def names_in_code():
    """The scan of the code for names, which the unit tests of the registry have."""
    path = Path(__file__).parents[1] / "unit" / "config" / "test_registry.py"
    spec = importlib.util.spec_from_file_location("registry_scan", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.names_in_code()


async def build_and_stop(conf):
    sink = open_log(conf.text("maillog_file"), "text", "host")
    server = OneProcess(conf, sink)
    ready = asyncio.Event()
    serving = asyncio.create_task(server.serve(ready.set))
    waiting = asyncio.create_task(ready.wait())
    await asyncio.wait([serving, waiting], return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    serving.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await serving
    sink.flush()


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """(asked for, reached) by a server with every kind of service, built and stopped."""
    asked, reached = set(), set()
    read_text, raw = Config._read_text, Config.raw

    def asking(self, name):
        asked.add(name)
        return read_text(self, name)

    def reaching(self, name):
        reached.add(name)
        return raw(self, name)

    system_users = {"local_recipient_maps": "proxy:unix:passwd.byname $alias_maps"}
    site = Site(tmp_path_factory.mktemp("site"), ports=Ports(0, 0, 0, 0, 0, 0, 0), parameters=system_users)
    site.prepare(())
    master = site.configuration / "master.cf"
    have = master.read_text()
    rows = [f"{name} unix - n n - - {name}" for name in TRANSPORTS if f"\n{name} " not in have]
    master.write_text(
        have + "".join(f"{row}{' user=nobody argv=/bin/true' if 'pipe' in row else ''}\n" for row in rows)
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Config, "_read_text", asking)
        patch.setattr(Config, "raw", reaching)
        asyncio.run(build_and_stop(Config.load(site.configuration)))
    return asked, reached


def test_what_is_declared_honoured_is_read(seen):
    _asked, reached = seen
    honoured = {p.name for p in registry().values() if p.status is Status.HONOURED and p.type is not Type.LEGACY}
    assert honoured - reached - names_in_code() == set(), f"honoured by no code: {WHY}"


def test_what_a_server_asks_for_is_declared_honoured(seen):
    asked, _reached = seen
    others = {p.name: p.reason for p in registry().values() if p.name in asked and p.status is not Status.HONOURED}
    assert others == {}, f"read by the server: {WHY}"
