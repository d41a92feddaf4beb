"""A store on a temporary directory, and messages for it."""

from __future__ import annotations

import asyncio

import pytest

from angarium.mailstore.interface import NewMail
from angarium.mailstore.main import open_mailstore
from angarium.mailstore.parameters import MailstoreParameters
from angarium.model.content import MemoryContent
from angarium.runtime.log import MemoryLog, ServiceLog


@pytest.fixture
def log():
    return MemoryLog()


@pytest.fixture
def open_store(tmp_path, log):
    def make(bus=None, quota=None, clock=lambda: 1_795_500_000.0, **parameters):
        return open_mailstore(
            MailstoreParameters(tmp_path, **parameters), ServiceLog(log, "test"), bus=bus, quota=quota, clock=clock
        )

    return make


@pytest.fixture
def run():
    return asyncio.run


@pytest.fixture
def mail():
    def make(data=b"Subject: x\r\n\r\nbody\r\n", key="", mailbox="INBOX"):
        content = data if not isinstance(data, bytes) else MemoryContent(data)
        return NewMail(mailbox, b"", content, frozenset(), 1_000_000_000.0, 0, key)

    return make
