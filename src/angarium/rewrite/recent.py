"""A resolver that remembers its answers for a moment, so that the steps of one message ask the tables once.

smtpd's policy asks where a recipient goes, the delivery in the session asks again some milliseconds later, and so do
the other connections that bring mail for the same recipient. Postfix's programs remember what trivial-rewrite(8) told
them for the same reason. An answer is remembered for ``MOMENT``, as long as the directory trusts its own; a temporary
error is not remembered at all.
"""

from __future__ import annotations

from collections.abc import Callable

from angarium.model.lookup import TemporaryError
from angarium.rewrite.interface import Resolution
from angarium.rewrite.parameters import RewriteParameters
from angarium.rewrite.resolve import TrivialRewrite
from angarium.tables.opener import TableOpener

MOMENT = 0.01
"""Seconds for which an answer holds."""
_MOST = 256


class RecentRewrite(TrivialRewrite):
    """``TrivialRewrite`` with a short memory.

    Args:
        parameters: main.cf.
        opener: opens the tables that main.cf names.
        clock: seconds, growing.
    """

    def __init__(self, parameters: RewriteParameters, opener: TableOpener, clock: Callable[[], float]) -> None:
        super().__init__(parameters, opener)
        self._clock = clock
        self._recent: dict[tuple[str, str], tuple[float, Resolution]] = {}

    async def resolve(self, sender: str, recipient: str) -> Resolution | TemporaryError:
        """Find the way of one recipient, or know it still."""
        key = (sender, recipient)
        known = self._recent.get(key)
        if known is not None and self._clock() < known[0]:
            return known[1]
        found = await super().resolve(sender, recipient)
        if isinstance(found, Resolution):
            if len(self._recent) >= _MOST:
                self._recent.clear()
            self._recent[key] = (self._clock() + MOMENT, found)
        return found
