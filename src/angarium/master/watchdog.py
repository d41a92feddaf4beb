"""The watchdog of a child: a loop that stands still serves nobody, and its process had better be replaced.

Postfix has one in each of its processes (daemon_timeout of postconf(5)). Ours is the kernel's timer, which the event
loop winds up again as long as it turns. When it runs down, SIGALRM ends the process: that needs no cooperation of what
hangs, be it Python, a library or a lock. The master says so in the log and starts another.
"""

from __future__ import annotations

import asyncio
import signal

HUNG = 300.0
"""Seconds after which a loop that does not turn will not turn again."""


class Watchdog:
    """Ends this process when its event loop stands still.

    The kernel's timer does it, by a signal that nobody handles: that works whatever the process hangs in.

    Args:
        patience: seconds.
    """

    def __init__(self, patience: float) -> None:
        self._patience = patience
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        self._wind()

    def _wind(self) -> None:
        signal.setitimer(signal.ITIMER_REAL, self._patience)

    def guard(self, loop: asyncio.AbstractEventLoop) -> None:
        """Wind the timer up as long as ``loop`` turns."""
        self._wind()
        loop.call_later(self._patience / 4, self.guard, loop)
