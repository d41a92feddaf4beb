"""A child that its user stops does not hold up the process of root's for ever."""

from __future__ import annotations

import asyncio
import os
import signal
from dataclasses import replace

import pytest

from angarium.delivery import rights
from angarium.delivery.command import CommandRules
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


def outcome_of(commands, **changes):
    words = ("/bin/sh", "-c", "id -u; id -g; id -G; pwd; cat; ulimit -n; exit 69")
    rules = CommandRules(words, {"PATH": "/usr/bin:/bin"}, "/", 20.0, SOMEBODY)
    return asyncio.run(commands.run("x", [b"in\n"], replace(rules, **changes)))


def test_a_root_directory_that_is_not_there(commands):
    with pytest.raises(DeliveryError) as caught:
        outcome_of(commands, root="/no/such")
    assert caught.value.text == "temporary failure"
    assert caught.value.cause == "fatal: cannot change root directory to /no/such: No such file or directory"


def test_a_command_becomes_its_user_and_may_go_where_he_may(tmp_path, commands):
    assert "Command output: 54321 54322 54322 / in 1024 " in outcome_of(commands).text
    tmp_path.chmod(0o700)
    with pytest.raises(DeliveryError) as caught:
        outcome_of(commands, directory=str(tmp_path))
    assert caught.value.text == "temporary failure"
    assert f'cannot change directory to "{tmp_path}" for uid=54321 gid=54322: Permission denied' in caught.value.cause
