"""The lines of a message's delivery: taken up, one outcome for each recipient of an attempt, removed.

``QID: from=<s>, size=N, nrcpt=N (queue active)`` and ``QID: removed`` stand in the queue manager's name, the outcome in
the name of the agent that made the attempt:

``QID: to=<r>, orig_to=<o>, relay=…, delay=…, delays=a/b/c/d, dsn=…, status=sent (text)``: log readers match this shape
exactly. The way that a recipient goes is no line of the log, but a detail (``ServiceLog.detail``).

Addresses are in their external form, quoted where they must be (info_log_address_format of postconf(5)).
Times are stored absolute and subtracted here, once. Rounding follows delay_logging_resolution_limit of
postconf(5): two significant digits below 100 seconds, whole seconds above, at most so many decimals.
"""

from __future__ import annotations

from angarium.model.delivery import DeliveryRequest, DeliveryResult
from angarium.protocols.smtp.path import quote_address
from angarium.rewrite.interface import Resolution
from angarium.runtime.log import ServiceLog


def seconds(value: float, decimals: int = 2) -> str:
    """A time span as the log shows it."""
    if value < 0.5 / 10**decimals:  # the commonest: most of what is measured takes no time
        return "0"
    if value >= 10:
        places = 0
    elif value >= 1:
        places = 1
    elif value >= 0.1:
        places = 2
    else:
        places = 3
        while places < decimals and value < 10 ** (1 - places):
            places += 1
    text = f"{value:.{min(places, decimals)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def delays(request: DeliveryRequest, result: DeliveryResult, decimals: int = 2) -> tuple[str, str]:
    """``delay`` and ``delays`` of one result: before the queue manager, in it, connecting, delivering."""
    arrival = request.envelope.arrival
    finished = result.finished or request.started
    ready = result.agent_ready or request.started
    connected = result.connected or ready
    parts = (request.started - arrival, ready - request.started, connected - ready, finished - connected)
    return seconds(finished - arrival, decimals), "/".join(seconds(part, decimals) for part in parts)


def line(request: DeliveryRequest, result: DeliveryResult, decimals: int = 2) -> str:
    """The body of the log line."""
    recipient = result.recipient.recipient
    address, original = recipient.address, recipient.original
    total, parts = delays(request, result, decimals)
    aliased = f" orig_to=<{quote_address(original)}>," if original and original.lower() != address.lower() else ""
    reused = f" conn_use={result.conn_use}," if result.conn_use > 1 else ""
    return (
        f"{request.queue_id}: to=<{quote_address(address)}>,{aliased} relay={result.relay},{reused} delay={total},"
        f" delays={parts}, dsn={result.dsn}, status={result.status.value} ({result.text})"
    )


def taken_up(log: ServiceLog, queue_id: str, sender: str, size: int, recipients: int) -> None:
    """A message begins to be delivered."""
    log.info(
        f"{queue_id}: from=<{quote_address(sender)}>, size={size}, nrcpt={recipients} (queue active)",
        queue_id=queue_id,
        sender=sender,
        size=size,
        recipients=recipients,
    )


def routed(log: ServiceLog, queue_id: str, way: Resolution) -> None:
    """The way that was found for a recipient: a detail."""
    nexthop = f":{way.nexthop}" if way.nexthop else ""
    log.detail(
        f"{queue_id}: to=<{quote_address(way.recipient)}> goes by {way.transport}{nexthop}: {way.reason}",
        queue_id=queue_id,
        recipient=way.recipient,
        transport=way.transport,
        nexthop=way.nexthop,
        address_class=way.address_class.value,
        source=way.source,
    )


def outcome(log: ServiceLog, request: DeliveryRequest, result: DeliveryResult, decimals: int = 2) -> None:
    """What came of an attempt for one recipient; ``log`` is the agent's."""
    log.info(
        line(request, result, decimals),
        queue_id=request.queue_id,
        recipient=result.recipient.recipient.address,
        relay=result.relay,
        dsn=str(result.dsn),
        status=result.status.value,
    )


def removed(log: ServiceLog, queue_id: str) -> None:
    """The last recipient is done."""
    log.info(f"{queue_id}: removed", queue_id=queue_id)
