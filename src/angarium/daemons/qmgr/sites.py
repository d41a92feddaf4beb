"""Flushing what waits for a site (ETRN, ``postqueue -s``): its mail is due now.

Anybody may ask, again and again, and each time the whole queue is read: so a site that was flushed pauses for
``FLUSH_PAUSE``, and no more than a hundred pause at once; who asks for one more may ask again later.

Fails by saying so in the log: the mail is due at its time anyhow.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from angarium.mailqueue.interface import MailQueue
from angarium.runtime.log import ServiceLog

FLUSH_PAUSE = 10.0
"""Seconds before the mail for a site is flushed again."""

_MOST = 100


class Sites:
    """The sites that were flushed a short while ago.

    Args:
        queue: where mail waits.
        log: ``postfix/qmgr``.
        due: called when some mail may have become due.
    """

    def __init__(self, queue: MailQueue, log: ServiceLog, due: Callable[[], None]) -> None:
        self._queue = queue
        self._log = log
        self._due = due
        self._pausing: set[str] = set()
        self._ending = asyncio.Event()

    def claim(self, site: str) -> bool:
        """Whether ``flush`` shall be run for the site now."""
        if site in self._pausing or len(self._pausing) >= _MOST:
            return False
        self._pausing.add(site)
        return True

    async def flush(self, site: str) -> None:
        """Make the mail for a site that was claimed due, and wait for its pause to be over."""
        try:
            await self._queue.flush(site)
            self._due()
            await asyncio.wait_for(self._ending.wait(), FLUSH_PAUSE)
        except TimeoutError:
            pass  # the pause is over
        except OSError as error:
            self._log.error(f"cannot flush the mail for {site}: {error}")
        finally:
            self._pausing.discard(site)

    def drain(self) -> None:
        """No pause is waited for any more."""
        self._ending.set()
