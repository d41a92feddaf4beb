from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.fakes.imap_server import ImapClient, ImapServer


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ImapServer]:
    with ImapServer(tmp_path) as running:
        yield running


@pytest.fixture
def connect(server: ImapServer) -> Iterator[Callable[..., ImapClient]]:
    """Clients that are closed at the end of the test."""
    with ExitStack() as stack:

        def make(user: str = "alice", *, select: str = "") -> ImapClient:
            return stack.enter_context(server.client(user, select=select))

        yield make
