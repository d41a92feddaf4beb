"""A pickup service on a socket of its own, with a queue that only remembers."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from angarium.cleanup.main import make_cleanup
from angarium.config.config import Config
from angarium.daemons.pickup.main import make_pickup
from angarium.rewrite.main import make_resolver
from angarium.runtime.log import MemoryLog, ServiceLog
from angarium.runtime.spool import Spool
from angarium.tables.opener import TableOpener


class RememberingQueue:
    """The parts of a MailQueue that pickup uses."""

    def __init__(self):
        self.messages = []
        self.error = None

    def allocate_id(self):
        return f"4F2A{len(self.messages):X}"

    async def enqueue(self, message):
        if self.error is not None:
            raise self.error
        self.messages.append(message)


class Bench:
    """Runs pickup while clients in other processes or threads talk to it."""

    def __init__(self, root: Path, settings=None):
        self.root = root
        for name in ("public", "spool", "etc"):
            (root / name).mkdir()
        self.queue = RememberingQueue()
        self.log = MemoryLog()
        self.settings = {
            "queue_directory": str(root),
            "myhostname": "mail.example.test",
            "mydomain": "example.test",
            "myorigin": "example.test",
            "virtual_alias_maps": "",
            **(settings or {}),
        }
        (root / "etc" / "main.cf").write_text("".join(f"{key} = {value}\n" for key, value in self.settings.items()))

    @property
    def path(self):
        return str(self.root / "public" / "pickup")

    def service(self):
        conf = Config.load(self.root / "etc")
        log = ServiceLog(self.log, "postfix/pickup")
        opener = TableOpener(log.warning)
        cleanup = make_cleanup(conf, make_resolver(conf, opener), opener, log.child("postfix/cleanup"))
        return make_pickup(conf, self.queue, cleanup, opener, log, Spool(self.root / "spool"))

    def run(self, action):
        """Run pickup for as long as ``action()``, in a thread, takes; its result."""

        async def scene():
            service = self.service()
            running = asyncio.create_task(service.run(()))
            while not running.done() and not service.statistics()["listeners"]:
                await asyncio.sleep(0)
            try:
                return await asyncio.to_thread(action)
            finally:
                service.drain()
                await running

        return asyncio.run(scene())

    def sendmail(self, *words, text=b"", env=None):
        command = [sys.executable, "-m", "angarium.commands.sendmail", "-C", str(self.root / "etc"), *words]
        return subprocess.run(command, input=text, capture_output=True, env={**os.environ, **(env or {})}, timeout=60)

    def sendmail_up(self, *words, text=b"", env=None):
        return self.run(lambda: self.sendmail(*words, text=text, env=env))

    def exchange(self, data, *, half_close=False):
        """Send raw bytes; what pickup answers."""

        def talk():
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(30)
                client.connect(self.path)
                with contextlib.suppress(ConnectionError):  # it has answered before it had read all
                    client.sendall(data)
                if half_close:
                    client.shutdown(socket.SHUT_WR)
                answer = b""
                with contextlib.suppress(ConnectionResetError):  # the end, when it has not read all
                    while piece := client.recv(4096):
                        answer += piece
                return answer

        return self.run(talk)


@pytest.fixture
def bench(request):
    root = Path(tempfile.mkdtemp(prefix="angp"))
    yield Bench(root, getattr(request, "param", None))
    shutil.rmtree(root)
