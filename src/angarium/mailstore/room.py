"""What accounts hold, remembered by a process that has not opened them: for RCPT TO and the quota-status service.

An account that a process has open is asked itself. Of the others it reads the counters once, on a thread, with a
connection that it closes again, and keeps them until a change of the account is announced (``runtime.bus``), or for
``TRUST_SECONDS``: an announcement may be lost. So a flood of recipients opens no database twice.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from angarium.mailstore.usage import read_usage
from angarium.model.quota import QuotaPlan, Usage

TRUST_SECONDS = 30.0
_MOST = 20_000


class Room:
    """Belongs to one event loop.

    Args:
        base: ``virtual_mailbox_base``.
    """

    def __init__(self, base: Path) -> None:
        self._base = base
        self._known: dict[str, tuple[float, QuotaPlan, Usage]] = {}
        self._reading: dict[str, asyncio.Future[Usage]] = {}

    async def held(self, account: str, plan: QuotaPlan) -> Usage:
        """What the account holds. Raises MailstoreUnavailableError."""
        known = self._known.get(account)
        if known is not None and known[0] > time.monotonic() and known[1].rules == plan.rules:
            return known[2]
        reading = self._reading.get(account)
        if reading is None:
            loop = asyncio.get_running_loop()
            # Not on the threads that write: no flood of recipients shall keep mail from being stored.
            reading = loop.run_in_executor(None, read_usage, self._base, account, plan)
            self._reading[account] = reading
        try:
            held = await asyncio.shield(reading)
        finally:
            unchanged = self._reading.get(account) is reading
            if unchanged:
                del self._reading[account]
        if unchanged:
            if len(self._known) >= _MOST:
                self._known.clear()
            self._known[account] = time.monotonic() + TRUST_SECONDS, plan, held
        return held

    def forget(self, account: str) -> None:
        """The account has changed; what is being read of it may be old already."""
        self._known.pop(account, None)
        self._reading.pop(account, None)
