"""Turns: a long command lets the other sessions of its process have theirs."""

from __future__ import annotations

import asyncio
import time

SLICE = 0.01
"""Seconds for which one command works on before it lets others go first."""


class Turns:
    """The turns of one command, or of one connection's commands."""

    __slots__ = ("_until",)

    def __init__(self) -> None:
        self._until = time.monotonic() + SLICE

    async def pause(self) -> None:
        """Let the others go first, when this turn has been long enough."""
        if time.monotonic() >= self._until:
            await asyncio.sleep(0)
            self._until = time.monotonic() + SLICE
