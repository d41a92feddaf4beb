"""Outcomes of deliveries, put otherwise by a table: default_delivery_status_filter and those of single agents.

The table is asked for ``status text`` (``4.2.2 host … said: 452 4.2.2 mailbox full``) and answers in the same form. A
temporary failure may become a permanent one, and the other way round; what was sent stays sent. An answer that is
neither is a warning, and changes nothing; so does a table that cannot be asked.

It stands around the agent, so that whatever becomes of an outcome (the log, the report, another attempt) is the same
for all agents; one without a filter has nothing around it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from angarium.model.delivery import DeliveryAgent, DeliveryRequest, DeliveryResult, Status
from angarium.model.dsn import Dsn
from angarium.model.lookup import Found, Lookup, TemporaryError
from angarium.runtime.log import ServiceLog

_STATUS = {4: Status.DEFERRED, 5: Status.BOUNCED}


class StatusFilter:
    """One table.

    Args:
        parameter: for warnings: ``smtp_delivery_status_filter``.
        find: asks the table.
        log: of the agent.
    """

    def __init__(self, parameter: str, find: Callable[[str], Awaitable[Lookup]], log: ServiceLog) -> None:
        self._parameter = parameter
        self._find = find
        self._log = log

    async def apply(self, result: DeliveryResult) -> DeliveryResult:
        """The outcome as the table has it."""
        found = await self._find(f"{result.dsn} {result.text}")
        if isinstance(found, TemporaryError):
            self._log.warning(f"{self._parameter}: {found.source}: {found.cause}")
            return result
        if not isinstance(found, Found):
            return result
        dsn, text = Dsn.split(found.value)
        success = result.status is Status.SENT
        if dsn is None or (dsn.klass == 2) is not success:
            self._log.warning(f'{self._parameter}: bad status code in lookup result: "{found.value}"')
            return result
        status = Status.SENT if success else _STATUS[dsn.klass]
        return replace(result, status=status, dsn=dsn, text=text or result.text)


class FilteredAgent:
    """A ``DeliveryAgent`` whose outcomes go through a filter."""

    def __init__(self, agent: DeliveryAgent, status: StatusFilter) -> None:
        self._agent = agent
        self._status = status

    async def deliver(self, request: DeliveryRequest) -> Sequence[DeliveryResult]:
        """Attempt the delivery; exactly one result for each recipient of the request."""
        return [await self._status.apply(result) for result in await self._agent.deliver(request)]
