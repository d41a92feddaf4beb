"""A child that its user stops does not hold up the process of root's for ever."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from angarium.delivery import rights
from angarium.delivery.rights import ForkedRights
from angarium.delivery.troubles import DeliveryError
from angarium.delivery.user import User

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become others")
SOMEBODY = User("somebody", 54321, 54322, "/")


def stopped():
    os.kill(os.getpid(), signal.SIGSTOP)
    return []


def test_a_stopped_child_is_killed(monkeypatch):
    monkeypatch.setattr(rights, "_LONGEST", 0.2)
    with pytest.raises(DeliveryError, match="hung"):
        asyncio.run(ForkedRights().run(SOMEBODY, stopped))


def test_a_root_directory_that_is_not_there():
    with pytest.raises(DeliveryError) as caught:
        asyncio.run(ForkedRights().run(SOMEBODY, list, "/no/such"))
    assert caught.value.text == "temporary failure"
    assert caught.value.cause == "fatal: cannot change root directory to /no/such: No such file or directory"
