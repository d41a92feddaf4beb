"""A conversation that is written to the log line by line: of the clients that debug_peer_list names.

``< client: command`` for what comes in, ``> client: reply`` for what goes out, as Postfix has it. What a client logs in
with is not shown, and no message. Nothing of this is there for other clients.
"""

from __future__ import annotations

from angarium.daemons.smtpd.conversation import Conversation
from angarium.daemons.smtpd.wording import escape, without_credentials
from angarium.model.reply import Reply
from angarium.protocols.smtp.states import COMMANDS
from angarium.protocols.smtp.types import CommandReceived, Event, LineReceived

_SHOWN = 2048
"""The longest line that is shown whole."""


class DebugPeerConversation(Conversation):
    """One session whose commands and replies are logged."""

    __slots__ = ()

    async def _act(self, event: Event) -> list[Event]:
        if isinstance(event, CommandReceived):
            # What follows an AUTH that was refused may be meant as an answer to it.
            secret = self._responses_may_follow and event.verb not in COMMANDS
            self._trace("<", "..." if secret else without_credentials(event.text))
        elif isinstance(event, LineReceived):
            self._trace("<", "...")  # of an AUTH dialogue
        return await super()._act(event)

    def send(self, reply: Reply) -> None:
        """Put a reply into the output."""
        super().send(reply)
        for line in self._out[-1].decode("utf-8", "surrogateescape").splitlines():
            self._trace(">", line)

    def _trace(self, direction: str, line: str) -> None:
        self.journal.info(f"{direction} {self.client.shown}: {escape(line[:_SHOWN])}")
