"""smtp_reply_filter: what servers say, line by line, as a table has it, before it is taken for a reply.

The table is asked for the whole line without its end; what it answers stands in the line's place, and the log says so.
A line whose look-up fails becomes a temporary refusal: what the server meant is not known.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from angarium.agents.smtp.connection import Connection, TimeLimits
from angarium.agents.smtp.hosts import Target
from angarium.agents.smtp.trouble import TroubleError
from angarium.model.lookup import Found, Lookup, TemporaryError
from angarium.protocols.smtp.client import ClientSession
from angarium.protocols.smtp.client_reply import LINE_LIMIT
from angarium.protocols.smtp.client_states import State
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


class FilteredConnection(Connection):
    """A connection whose replies go through a filter, whole lines at a time, in their order."""

    def __init__(self, target: Target, session: ClientSession, limits: TimeLimits, replies: ReplyFilter) -> None:
        super().__init__(target, session, limits)
        self._replies = replies
        self._unfiltered = b""
        self._filtering: asyncio.Task[None] | None = None
        self._gone = False

    def data_received(self, data: bytes) -> None:
        """Something came in; it is looked up when its turn comes."""
        self._unfiltered += data
        if self._filtering is None:
            self._filtering = asyncio.get_running_loop().create_task(self._filter())

    def connection_lost(self, exc: Exception | None) -> None:
        """What has come is heard first."""
        self._gone = True
        if self._filtering is None:
            super().connection_lost(exc)

    async def _filter(self) -> None:
        while b"\n" in self._unfiltered or len(self._unfiltered) > LINE_LIMIT:
            whole, end, rest = self._unfiltered.rpartition(b"\n")
            self._unfiltered = rest if end else b""
            lines = whole.split(b"\n") if end else [rest]
            filtered = [await self._replies(line.removesuffix(b"\r")) + b"\r\n" for line in lines]
            super().data_received(b"".join(filtered))
            if self._unfiltered and self.session.state is State.UPGRADING:
                # Sent in the clear, and to be taken for encrypted (RFC 3207 section 6).
                self.fail(TroubleError("4.5.0", f"Protocol error: host {self.target.peer}: plaintext after STARTTLS"))
                self.abort()
        self._filtering = None
        if self._gone:
            super().connection_lost(None)
