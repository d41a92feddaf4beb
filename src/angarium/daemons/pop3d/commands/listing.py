"""STAT, LIST, UIDL, CAPA and NOOP: what is there (RFC 1939 sections 5 and 7, RFC 2449 section 5)."""

from __future__ import annotations

from angarium.daemons.pop3d.commands.login import mechanisms
from angarium.daemons.pop3d.commands.types import Answer
from angarium.daemons.pop3d.conversation import Conversation
from angarium.protocols.pop3.render import err, multi_line, ok
from angarium.protocols.pop3.types import Command


def capa(conversation: Conversation, _command: Command) -> Answer:
    """CAPA. Messages stay until somebody deletes them, so EXPIRE NEVER; there is no LOGIN-DELAY to announce."""
    capabilities = ["CAPA", "TOP", "UIDL", "RESP-CODES", "PIPELINING", "AUTH-RESP-CODE", "EXPIRE NEVER"]
    if conversation.tls_offered and conversation.maildrop is None:
        capabilities.append("STLS")
    if conversation.passwords_allowed:
        capabilities.append("USER")
    offered = mechanisms(conversation)
    if offered:
        capabilities.append("SASL " + " ".join(offered))
    capabilities.append("IMPLEMENTATION Angarium")
    return multi_line(ok(), capabilities)


def noop(_conversation: Conversation, _command: Command) -> Answer:
    """NOOP."""
    return ok()


def stat(conversation: Conversation, _command: Command) -> Answer:
    """STAT."""
    return b"+OK %d %d\r\n" % conversation.drop.count()


def listing(conversation: Conversation, command: Command) -> Answer:
    """LIST [msg]."""
    drop = conversation.drop
    if command.numbers:
        number = command.numbers[0]
        complaint = drop.complaint(number)
        return err(complaint) if complaint else b"+OK %d %d\r\n" % (number, drop.sizes[number - 1])
    present = drop.present()
    sizes = drop.sizes
    return multi_line(ok(f"{len(present)} messages:"), [f"{number} {sizes[number - 1]}" for number in present])


def uidl(conversation: Conversation, command: Command) -> Answer:
    """UIDL [msg]."""
    drop = conversation.drop
    if command.numbers:
        number = command.numbers[0]
        complaint = drop.complaint(number)
        return err(complaint) if complaint else ok(f"{number} {drop.uidl(number)}")
    return multi_line(ok(), [f"{number} {drop.uidl(number)}" for number in drop.present()])
