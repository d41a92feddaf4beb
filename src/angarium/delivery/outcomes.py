"""One outcome a recipient: how it crosses from the process of root's, and becomes the result of a delivery agent.

What agents have in common that make nothing else of a recipient than an outcome: pipe(8), virtual(8) with files.

Fails by deferring: when the process does not answer, no recipient is lost.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from angarium.delivery.answerer import Answerer
from angarium.delivery.asker import Asker
from angarium.delivery.question import json_line
from angarium.delivery.sysexits import Outcome
from angarium.model.delivery import DeliveryRequest, DeliveryResult, Status
from angarium.model.dsn import Dsn
from angarium.runtime.log import ServiceLog


class Deliverer(Protocol):
    """Delivers, here or in another process."""

    async def deliver(self, request: DeliveryRequest) -> Sequence[Outcome]:
        """One outcome each, in the order of the request's recipients."""
        ...


class RemoteDeliverer:
    """A deliverer in the process of root's.

    Args:
        address: of its socket.
        log: the agent's.
        owner: the user that it must be.
    """

    def __init__(self, address: str | bytes, log: ServiceLog, owner: int = 0) -> None:
        self._asker = Asker(address, owner)
        self._log = log

    async def deliver(self, request: DeliveryRequest) -> Sequence[Outcome]:
        """Have it deliver."""
        try:
            told = decode(await self._asker.ask(request))
            if len(told) != len(request.recipients):
                raise ValueError("an answer for other recipients")
        except (OSError, ValueError) as error:
            self._log.warning(f"{request.queue_id}: no answer of the process for {request.transport}: {error}")
            failed = Outcome(Status.DEFERRED, Dsn(4, 3, 0), "unknown mail transport error")
            return [failed] * len(request.recipients)
        return told


class OutcomeService(Answerer):
    """The service of such an agent in the process of root's (``runtime.service.Service``).

    Args:
        deliverer: who delivers.
        askers: the users who may ask.
        log: the agent's.
    """

    def __init__(self, deliverer: Deliverer, askers: frozenset[int], log: ServiceLog) -> None:
        async def answer(request: DeliveryRequest) -> bytes:
            return encode(await deliverer.deliver(request))

        super().__init__(answer, askers, log)


class OutcomeAgent:
    """``model.delivery.DeliveryAgent`` of such an agent.

    Args:
        deliverer: who delivers.
        relayed: what is delivered goes on from there, as far as the sender is told (pipe(8) without the flag X).
        clock: seconds since the epoch.
    """

    def __init__(self, deliverer: Deliverer, *, relayed: bool = False, clock: Callable[[], float] = time.time) -> None:
        self._deliverer = deliverer
        self._relayed = relayed
        self._clock = clock

    async def deliver(self, request: DeliveryRequest) -> Sequence[DeliveryResult]:
        """Deliver to each recipient; one result each."""
        started = self._clock()
        told = await self._deliverer.deliver(request)
        finished = self._clock()
        return [
            DeliveryResult(
                recipient=queued,
                status=outcome.status,
                dsn=outcome.dsn,
                relay=request.transport,
                text=outcome.text,
                agent_ready=started,
                connected=started,
                finished=finished,
                command_output=outcome.output,
                relayed=self._relayed,
            )
            for queued, outcome in zip(request.recipients, told, strict=True)
        ]


def encode(told: Sequence[Outcome]) -> bytes:
    """Outcomes as one line."""
    return json_line([[each.status.value, str(each.dsn), each.text, each.output] for each in told])


def decode(line: bytes) -> list[Outcome]:
    """The outcomes of a line. Raises ValueError."""
    try:
        return [read(each) for each in json.loads(line)]
    except TypeError as error:
        raise ValueError(f"not an answer: {error}") from error


def read(words: Sequence[str]) -> Outcome:
    """An outcome of what ``words_of`` made of one. Raises ValueError."""
    status, dsn, text, output = words
    return Outcome(Status(status), Dsn.parse(dsn), str(text), str(output))


def words_of(outcome: Outcome) -> Sequence[str]:
    """An outcome as work with somebody's rights returns it."""
    return [outcome.status.value, str(outcome.dsn), outcome.text, outcome.output]
