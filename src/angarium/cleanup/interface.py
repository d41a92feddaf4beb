"""What smtpd and pickup ask when a message is complete: a received transaction goes in, a queued message comes out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from angarium.mailqueue.interface import NewMessage
from angarium.model.content import Content
from angarium.model.envelope import Envelope, Origin


class Cleanup(Protocol):
    """Turns a transaction into what the queue stores: rewriting, alias expansion, header prefix, message-id log line.

    Raises:
        MailError: the message is refused (hop count, alias loop, header checks …), with the reply for the peer.
    """

    async def process(
        self,
        queue_id: str,
        envelope: Envelope,
        content: Content,
        *,
        hold: bool = False,
        prepend: bytes = b"",
        copies: Sequence[str] = (),
    ) -> NewMessage:
        """Finish a message. Logs ``QID: message-id=<…>``. Does not store it.

        Args:
            queue_id: of the message.
            envelope: as received.
            content: as received.
            hold: put it into the hold queue.
            prepend: header lines, in wire form, for before our own (PREPEND of access(5)); checks look at them too.
            copies: more recipients, whom the Received header does not count (BCC of access(5)).
        """
        ...

    async def is_local_client(self, origin: Origin) -> bool:
        """Whether a client's mail is treated as our own users' (local_header_rewrite_clients)."""
        ...

    def received_header(self, envelope: Envelope) -> bytes:
        """The Received header, without a queue id, of a message that is handed on before it is queued."""
        ...
