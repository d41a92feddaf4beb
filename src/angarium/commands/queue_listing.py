"""How the queue is listed: for people as ``mailq`` always did, for programs as JSON lines, as postqueue(1) says."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

from angarium.mailqueue.interface import QueuedMessage, QueueName
from angarium.mailqueue.listing import NULL_SENDER

EMPTY = "Mail queue is empty"
_MINUTES = 90
_HOURS = 72
_REASON_END = 78
"""The column in which the reason of a delay ends."""


def flag(message: QueuedMessage) -> str:
    """The status character behind the queue id."""
    if message.queue is QueueName.ACTIVE:
        return "*"
    if message.queue is QueueName.HOLD:
        return "!"
    return "#" if message.forced_expire else ""


def printable(text: str) -> str:
    """``text`` without what would upset a terminal."""
    return text if text.isprintable() else "".join(char if char.isprintable() else "?" for char in text)


def text_lines(messages: Iterable[QueuedMessage], *, long_ids: bool) -> Iterator[str]:
    """The traditional listing. ``long_ids``: the wider columns of enable_long_queue_ids."""
    if long_ids:
        heading = "----Queue ID----- --Size-- ---Arrival Time---- --Sender/Recipient------"
        id_width, size_width, time_width = 17, 8, 19
    else:
        heading = "-Queue ID-  --Size-- ----Arrival Time---- -Sender/Recipient-------"
        id_width, size_width, time_width = 11, 7, 20
    indent = " " * (id_width + size_width + time_width + 3)
    count = 0
    total = 0
    for message in messages:
        if not count:
            yield heading
        count += 1
        total += message.size
        arrival = time.ctime(message.envelope.arrival)[:time_width]
        sender = printable(message.envelope.sender) or NULL_SENDER
        name = message.queue_id + flag(message)
        yield f"{name:<{id_width}} {message.size:{size_width}d} {arrival:>{time_width}} {sender}"
        reason = ""
        for pending in message.pending:
            if pending.reason and pending.reason != reason:
                yield f"({printable(pending.reason)})".rjust(_REASON_END)
            reason = pending.reason
            yield indent + printable(pending.queued.recipient.address)
        yield ""
    if count:
        yield f"-- {total // 1024} Kbytes in {count} Request{'' if count == 1 else 's'}."
    else:
        yield EMPTY


def json_lines(messages: Iterable[QueuedMessage]) -> Iterator[str]:
    """One object a message (postqueue(1), JSON OBJECT FORMAT)."""
    from json import dumps  # late: mailq starts sooner without

    return (dumps(_value(message), ensure_ascii=False) for message in messages)


def _value(message: QueuedMessage) -> dict[str, object]:
    recipients = []
    for pending in message.pending:
        recipient = {"address": pending.queued.recipient.address}
        if pending.reason:
            recipient["delay_reason"] = pending.reason
        recipients.append(recipient)
    return {
        "queue_name": message.queue.value,
        "queue_id": message.queue_id,
        "arrival_time": int(message.envelope.arrival),
        "message_size": message.size,
        "forced_expire": message.forced_expire,
        "sender": message.envelope.sender or NULL_SENDER,
        "recipients": recipients,
    }


def message_value(message: QueuedMessage) -> dict[str, object]:
    """What postqueue(1) tells in JSON, and what only we know; the null sender is empty here."""
    return _value(message) | {
        "sender": message.envelope.sender,
        "next_attempt": int(message.next_attempt),
        "attempts": message.attempts,
        "client": message.envelope.origin.client_address,
    }


def short_size(size: int) -> str:
    """A size in at most five characters: ``812``, ``2.9K``, ``14M``."""
    if size < 1024:
        return str(size)
    if size < 10 * 1024:
        return f"{size / 1024:.1f}K"
    if size < 1024 * 1024:
        return f"{(size + 512) // 1024}K"
    if size < 10 * 1024 * 1024:
        return f"{size / (1024 * 1024):.1f}M"
    return f"{(size + 512 * 1024) // (1024 * 1024)}M"


def short_age(seconds: float) -> str:
    """An age in minutes up to 90, in hours up to 72, else in days: ``25m``, ``4h``, ``5d``."""
    minutes = max(0, int(seconds)) // 60
    if minutes <= _MINUTES:
        return f"{minutes}m"
    hours = (minutes + 30) // 60
    return f"{hours}h" if hours <= _HOURS else f"{(hours + 12) // 24}d"


def short_lines(message: QueuedMessage, now: float) -> Iterator[str]:
    """A message in one line, and in a second one why it waits."""
    pending = message.pending
    first = printable(pending[0].queued.recipient.address) if pending else "(nobody)"
    more = f" and {len(pending) - 1} more" if len(pending) > 1 else ""
    age = short_age(now - message.envelope.arrival)
    name = message.queue_id + ("#" if message.forced_expire else "")
    sender = printable(message.envelope.sender) or "<>"
    yield f"{name:<12} {message.queue.value:<8} {age:>4} {short_size(message.size):>5}  {sender} -> {first}{more}"
    reason = next((each.reason for each in pending if each.reason), "")
    if reason:
        yield f"    {printable(reason)}"


def detail_lines(message: QueuedMessage, header: str) -> Iterator[str]:
    """All about a message, but its body."""
    envelope = message.envelope
    rows = [
        ("Queue id", message.queue_id),
        ("Queue", message.queue.value + (", to be returned" if message.forced_expire else "")),
        ("Arrived", time.ctime(envelope.arrival)),
        ("Next attempt", time.ctime(message.next_attempt) if message.queue is QueueName.DEFERRED else ""),
        ("Attempts", str(message.attempts)),
        ("Size", f"{message.size} bytes"),
        ("Sender", envelope.sender or "<>"),
        ("Client", envelope.origin.client if envelope.origin.client_address else envelope.origin.protocol),
        ("Logged in as", envelope.origin.sasl_username),
        ("Envelope id", envelope.envid),
        ("Filter", envelope.content_filter),
    ]
    for name, value in rows:
        if value:
            yield f"{name + ':':<14}{printable(value)}"
    waiting = {each.queued.number: each for each in message.pending}
    for number, recipient in enumerate(envelope.recipients):
        line = f"{'Recipient:':<14}{printable(recipient.address)}"
        if recipient.original and recipient.original != recipient.address:
            line += f" (was {printable(recipient.original)})"
        if number not in waiting:
            line += ": done"
        elif waiting[number].reason:
            line += f": {printable(waiting[number].reason)}"
        yield line
    if header:
        yield ""
        yield from (printable(line.replace("\t", " ")) for line in header.splitlines())
