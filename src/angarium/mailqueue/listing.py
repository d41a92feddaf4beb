"""The queue listing that goes over the socket ``public/showq``: what postqueue and exporters read (showq(8)).

A stream of NUL-terminated strings, names and values in turn. An empty name ends a record: the first is
``protocol mail_queue_list_protocol``, then one a message with its recipients in pairs of ``recipient`` and
``reason``; an empty record ends the listing. ``ListingReader`` is bounded by ``MAX_STRING`` a string and one message.
"""

from __future__ import annotations

from collections.abc import Iterator

from angarium.mailqueue.interface import PendingRecipient, QueuedMessage, QueueName
from angarium.model.delivery import QueuedRecipient
from angarium.model.envelope import Envelope, Origin, Recipient

GREETING = b"protocol\0mail_queue_list_protocol\0\0"
FAREWELL = b"\0"
NULL_SENDER = "MAILER-DAEMON"
"""How the null sender is shown."""

MAX_STRING = 64 * 1024
_ORIGIN = Origin("")


class ListingError(ValueError):
    """Not a listing."""


def encode(message: QueuedMessage) -> bytes:
    """One message's record."""
    fields = [
        "queue_name",
        message.queue.value,
        "queue_id",
        message.queue_id,
        "time",
        str(int(message.envelope.arrival)),
        "size",
        str(message.size),
        "forced_expire",
        "1" if message.forced_expire else "0",
        "sender",
        message.envelope.sender or NULL_SENDER,
    ]
    for pending in message.pending:
        fields += ["recipient", pending.queued.recipient.address, "reason", pending.reason]
    return b"".join(text.replace("\0", "?").encode("utf-8", "surrogateescape") + b"\0" for text in (*fields, ""))


class ListingReader:
    """Reads a listing that arrives in pieces."""

    def __init__(self) -> None:
        self._held = b""
        self._record: list[str] = []
        self._greeted = False
        self.finished = False

    def receive_data(self, data: bytes) -> Iterator[QueuedMessage]:
        """The messages that ``data`` completes. Raises ListingError."""
        *strings, self._held = (self._held + data).split(b"\0")
        if len(self._held) > MAX_STRING:
            msg = "a string without end"
            raise ListingError(msg)
        for string in strings:
            # An empty string ends the record only where a name would stand.
            if string or len(self._record) % 2:
                self._record.append(string.decode("utf-8", "surrogateescape"))
                continue
            record, self._record = self._record, []
            if not self._greeted:
                if record != ["protocol", "mail_queue_list_protocol"]:
                    msg = f"unknown protocol: {record[:2]}"
                    raise ListingError(msg)
                self._greeted = True
            elif record:
                yield _message(record)
            else:
                self.finished = True


def _message(record: list[str]) -> QueuedMessage:
    values: dict[str, str] = {}
    recipients: list[tuple[str, str]] = []
    for name, value in zip(record[::2], record[1::2], strict=True):
        if name == "recipient":
            recipients.append((value, ""))
        elif name == "reason" and recipients:
            recipients[-1] = (recipients[-1][0], value)
        else:
            values[name] = value
    try:
        sender = values["sender"]
        people = tuple(Recipient(address, "") for address, _reason in recipients)
        return QueuedMessage(
            values["queue_id"],
            QueueName(values["queue_name"]),
            Envelope("" if sender == NULL_SENDER else sender, people, float(values["time"]), _ORIGIN),
            int(values["size"]),
            float(values["time"]),
            0.0,
            0,
            tuple(
                PendingRecipient(QueuedRecipient(number, people[number]), reason)
                for number, (_address, reason) in enumerate(recipients)
            ),
            values.get("forced_expire") == "1",
        )
    except (KeyError, ValueError) as error:
        msg = f"a record without sense: {error}"
        raise ListingError(msg) from error
