"""DELE, RSET and QUIT: marks, and what becomes of them (RFC 1939 sections 5 and 6)."""

from __future__ import annotations

from angarium.daemons.pop3d.commands.types import Answer
from angarium.daemons.pop3d.conversation import Conversation
from angarium.protocols.pop3.render import err, ok
from angarium.protocols.pop3.types import Command


def dele(conversation: Conversation, command: Command) -> Answer:
    """DELE msg."""
    drop = conversation.drop
    number = command.numbers[0]
    complaint = drop.complaint(number)
    if complaint:
        return err(complaint)
    drop.mark(number)
    return ok("Marked to be deleted.")


def rset(conversation: Conversation, _command: Command) -> Answer:
    """RSET."""
    conversation.drop.reset()
    return ok()


def quit_(conversation: Conversation, _command: Command) -> Answer:
    """QUIT: the UPDATE state, when there was a log-in."""
    if conversation.maildrop is None:
        conversation.closing = "Aborted login by logging out"
        return ok("Logging out")
    return _update(conversation)


async def _update(conversation: Conversation) -> bytes:
    drop = conversation.drop
    conversation.updating = True
    conversation.closing = "Logged out"
    conversation.removed = await drop.update(mark_seen=not conversation.parameters.no_flag_updates)
    conversation.updating = False
    if conversation.removed < len(drop.deleted):
        return err("Some messages were removed by another session before.")
    return ok("Logging out, messages deleted." if drop.deleted else "Logging out.")
