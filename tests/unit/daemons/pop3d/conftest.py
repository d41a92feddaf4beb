"""A store with three messages for alice, and sessions without a socket."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.fakes.mailstore import FakeAccount, FakeMailStore
from tests.fakes.pop3_server import Wire

MESSAGES = [b"Subject: %d\r\n\r\nbody %d\r\n.\r\n" % (number, number) for number in (1, 2, 3)]


@pytest.fixture
def store() -> FakeMailStore:
    store = FakeMailStore()
    store.account("alice@example.test").deliver(*MESSAGES)
    return store


@pytest.fixture
def alice(store: FakeMailStore) -> FakeAccount:
    return store.account("alice@example.test")


@pytest.fixture
def connect(store: FakeMailStore) -> Iterator[Callable[..., Wire]]:
    """``connect(parameters, remote, local, …)``: a session that has got its greeting."""
    wires: list[Wire] = []

    def make(*arguments: Any, **named: Any) -> Wire:
        wires.append(Wire(store, *arguments, **named))
        return wires[-1]

    yield make
    for wire in wires:
        wire.close()
