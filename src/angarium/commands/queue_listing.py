"""How the queue is listed: for people as ``mailq`` always did, for programs as JSON lines, as postqueue(1) says."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator

from angarium.mailqueue.interface import QueuedMessage, QueueName
from angarium.mailqueue.listing import NULL_SENDER

EMPTY = "Mail queue is empty"
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
    for message in messages:
        recipients = []
        for pending in message.pending:
            recipient = {"address": pending.queued.recipient.address}
            if pending.reason:
                recipient["delay_reason"] = pending.reason
            recipients.append(recipient)
        yield json.dumps(
            {
                "queue_name": message.queue.value,
                "queue_id": message.queue_id,
                "arrival_time": int(message.envelope.arrival),
                "message_size": message.size,
                "forced_expire": message.forced_expire,
                "sender": message.envelope.sender or NULL_SENDER,
                "recipients": recipients,
            },
            ensure_ascii=False,
        )
