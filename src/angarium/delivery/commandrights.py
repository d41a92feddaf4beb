"""Commands of any user, started by threads of root's: half the cost of a process made for each (``rights``).

A thread starts the command and talks with it; the command becomes its user between fork and exec, in the C of
``subprocess``, and root's process does no more for it than write the message and read what it says.

For work that does nothing of the user's itself: it runs one command whose rules say who runs it
(``command.CommandRules.user``), and that sees to its rights.

Fails as ``rights.ForkedRights``, which is asked where a command gets a root directory of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from angarium.delivery.filerights import can_act
from angarium.delivery.rights import ForkedRights, Work
from angarium.delivery.user import User

_THREADS = 200
"""Commands at a time; the transports' process limits bound them before."""


class CommandRights:
    """``rights.Rights`` for work that runs a command."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_THREADS, "commands")
        self._forked = ForkedRights()

    async def run(self, user: User, work: Work, root: str = "") -> Sequence[str]:
        """Run it. Raises DeliveryError."""
        if root or not can_act():
            return await self._forked.run(user, work, root)
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)
