"""A child that its user stops does not hold up the process of root's for ever."""

from __future__ import annotations

import asyncio
import os
import signal
from dataclasses import replace

import pytest

from angarium.delivery import rights
from angarium.delivery.command import CommandRules, run
from angarium.delivery.commandrights import CommandRights
from angarium.delivery.outcomes import words_of
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


def outcome_of(rules):
    return asyncio.run(CommandRights().run(SOMEBODY, lambda: words_of(run("x", [b"in\n"], rules))))


def test_a_command_becomes_its_user_and_may_go_where_he_may(tmp_path):
    words = ("/bin/sh", "-c", "id -u; id -g; id -G; pwd; cat; ulimit -n; exit 69")
    rules = CommandRules(words, {"PATH": "/usr/bin:/bin"}, "/", 20.0, user=SOMEBODY)
    assert "Command output: 54321 54322 54322 / in 1024 " in outcome_of(rules)[2]
    tmp_path.chmod(0o700)
    with pytest.raises(DeliveryError) as caught:
        outcome_of(replace(rules, directory=str(tmp_path)))
    assert caught.value.text == "temporary failure"
    assert f'cannot change directory to "{tmp_path}" for uid=54321 gid=54322: Permission denied' in caught.value.cause
