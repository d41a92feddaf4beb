"""One delivery by an agent: exactly one result for each recipient, whatever the agent does.

An agent that raises, that has no outcome within ``daemon_timeout``, that leaves recipients out or speaks of others has
its recipients deferred, with a line in the log. Nothing of it raises.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from angarium.daemons.qmgr.scheduler import Limits
from angarium.model.delivery import DeliveryAgent, DeliveryRequest, DeliveryResult, QueuedRecipient, Status
from angarium.model.dsn import Dsn
from angarium.runtime.log import ServiceLog

SYSTEM_FAILURE = Dsn(4, 3, 0)


@dataclass(frozen=True, slots=True)
class Transport:
    """A delivery transport of master.cf.

    Attributes:
        agent: who delivers.
        log: in whose name: ``postfix/smtp``, ``postfix/virtual`` …
        limits: concurrency and the like, from ``parameters.transport_limits``.
    """

    agent: DeliveryAgent
    log: ServiceLog
    limits: Limits


async def attempt(
    transport: Transport, request: DeliveryRequest, patience: float, clock: Callable[[], float]
) -> Sequence[DeliveryResult]:
    """Have the agent deliver, for ``patience`` seconds at most."""
    results: Sequence[DeliveryResult] = ()
    limit = asyncio.timeout(patience)
    try:
        async with limit:
            results = await transport.agent.deliver(request)
    except Exception as error:  # noqa: BLE001 - a fault of ours in an agent must not lose the message
        if limit.expired():
            transport.log.warning(f"{request.queue_id}: no outcome within {patience:g} seconds")
        else:
            unforeseen(transport.log, request.queue_id, error)
    told = {result.recipient.number: result for result in results}
    wanted = {queued.number for queued in request.recipients}
    if len(results) == len(told) and told.keys() == wanted:
        return results
    # Of somebody who was not asked for nothing may be believed: he would count as done.
    missing = [
        without_agent(clock(), queued, Status.DEFERRED, SYSTEM_FAILURE, "unknown mail transport error")
        for queued in request.recipients
        if queued.number not in told
    ]
    return [*(result for number, result in told.items() if number in wanted), *missing]


def without_agent(now: float, queued: QueuedRecipient, status: Status, dsn: Dsn, text: str) -> DeliveryResult:
    """The result of a recipient that no agent had anything to do with."""
    return DeliveryResult(queued, status, dsn, "none", text, finished=now)


def unforeseen(log: ServiceLog, where: str, error: BaseException) -> None:
    """Log a fault of ours."""
    log.panic(f"{where}: {type(error).__name__}: {error}")


def softened(result: DeliveryResult) -> DeliveryResult:
    """soft_bounce of postconf(5): what would be returned is tried again."""
    others = tuple(map(softened, result.others))
    if result.status is Status.BOUNCED:
        return replace(result, status=Status.DEFERRED, dsn=result.dsn.with_class(4), others=others)
    return replace(result, others=others) if others else result
