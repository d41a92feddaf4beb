"""What unit tests share: commands that are really run."""

from __future__ import annotations

import os

import pytest

from angarium.delivery import command
from angarium.delivery.command import Commands
from angarium.delivery.launcher import Launcher


class _OurCommands(Commands):
    """Runs a command as ourselves, whoever it is for."""

    def _order(self, rules):
        return command._order(rules, -1, -1)


class RealCommands:
    """Runs each command from an event loop of its own: as its user if we are root, else as ourselves."""

    def __init__(self):
        self.user = None

    async def run(self, words, pieces, rules):
        self.user = rules.user
        launcher = Launcher()
        try:
            return await (Commands if os.geteuid() == 0 else _OurCommands)(launcher).run(words, pieces, rules)
        finally:
            launcher.close()


@pytest.fixture
def commands():
    """Stands for ``delivery.command.Commands``."""
    return RealCommands()
