"""What tests of every kind share: a real server to talk to, and the peers of the interop tests.

A server listens on a loopback address of its own, made from this process's id, so tests that run side by side do not
meet, and no port has to be guessed.
"""

from __future__ import annotations

import itertools
import os
import shutil
import ssl
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import settings

from angarium.demo.site import Site

# How long an example takes says more of the machine than of the code; what hostile input costs has tests of its own.
settings.register_profile("angarium", deadline=None)
settings.load_profile("angarium")

_NUMBERS = itertools.count(1)


def own_address() -> str:
    """A loopback address that no other test uses: 127.N.x.y, where x.y is made from the process id."""
    pid = os.getpid()
    return f"127.{next(_NUMBERS) % 200 + 1 + (pid >> 16) % 50}.{(pid >> 8) & 255}.{pid & 255 or 1}"


@dataclass(frozen=True)
class Server:
    """A running server: its files, and the passwords of its accounts."""

    site: Site
    passwords: dict[str, str]

    @property
    def tls(self) -> ssl.SSLContext:
        """What a client needs to trust it."""
        return ssl.create_default_context(cafile=str(self.site.authority))

    def log(self) -> str:
        """The mail log so far."""
        return self.site.log.read_text(encoding="utf-8", errors="replace")

    def start(self) -> None:
        """``postfix start``: returns when the server listens."""
        self.site.administer("postfix", "start")

    def stop(self) -> None:
        """``postfix stop``: returns when all its processes are gone."""
        self.site.administer("postfix", "stop")


class ServerFactory:
    """Makes servers, and takes them down when the tests are over."""

    def __init__(self) -> None:
        self._servers: list[Server] = []
        self._directories: list[Path] = []

    def prepare(self, parameters: Mapping[str, str] | None = None, *names: str) -> Server:
        """A server's files, without starting it."""
        # The directory's name is short, since the path of a unix socket has at most 107 bytes.
        root = Path(tempfile.mkdtemp(prefix="ang"))
        self._directories.append(root)
        site = Site(root, host=own_address(), parameters=dict(parameters or {}))
        server = Server(site, site.prepare(("alice", "bob", *names)))
        self._servers.append(server)
        return server

    def start(self, parameters: Mapping[str, str] | None = None, *names: str) -> Server:
        """A running server with main.cf parameters of the test's own and more accounts."""
        server = self.prepare(parameters, *names)
        server.start()
        return server

    def close(self) -> None:
        """Stop what still runs, and remove the files."""
        for server in self._servers:
            subprocess.run(server.site.command("postfix", "stop"), capture_output=True, check=False)
        for directory in self._directories:
            shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def servers() -> Iterator[ServerFactory]:
    """A factory of servers for one test."""
    factory = ServerFactory()
    yield factory
    factory.close()


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """One running server that tests share: they must live with mail that others have sent."""
    factory = ServerFactory()
    yield factory.start()
    factory.close()


@pytest.fixture
def peer():
    """``peer("swaks")``: the path of a program that is not ours. Without it the test is skipped; under CI it fails."""

    def find(name: str) -> str:
        path = shutil.which(
            name, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/lib/postfix/sbin:/usr/libexec/dovecot"
        )
        if path is None:
            message = f"{name} is not installed (.ci/install-peers installs it)"
            if os.environ.get("CI"):
                pytest.fail(message)
            pytest.skip(message)
        return path

    return find
