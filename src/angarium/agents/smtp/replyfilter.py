"""smtp_reply_filter: what servers say, line by line, as a table has it, before it is taken for a reply.

The table is asked for the whole line without its end; what it answers stands in the line's place, and the log says so.
A line whose look-up fails becomes a temporary refusal: what the server meant is not known.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from angarium.agents.smtp.hosts import Target
from angarium.model.lookup import Found, Lookup, TemporaryError
from angarium.runtime.log import ServiceLog


class ReplyFilter:
    """The filter of one connection."""

    def __init__(self, find: Callable[[str], Awaitable[Lookup]], target: Target, log: ServiceLog) -> None:
        self._find = find
        self._target = target
        self._log = log

    async def __call__(self, line: bytes) -> bytes:
        """A line, without its end, as it is to be understood."""
        text = line.decode("utf-8", "surrogateescape")
        found = await self._find(text)
        if isinstance(found, TemporaryError):
            self._log.warning(f"{self._target.relay}: {found.source}: {found.cause}")
            return b"450 4.3.0 Temporary lookup failure"
        if not isinstance(found, Found):
            return line
        self._log.info(f'{self._target.relay}: replacing server reply "{text}" with "{found.value}"')
        return found.value.encode("utf-8", "surrogateescape").replace(b"\n", b" ")
