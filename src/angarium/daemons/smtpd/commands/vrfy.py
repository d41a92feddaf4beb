"""VRFY (RFC 5321 section 4.1.1.6): says whether a recipient would be accepted, unless it is disabled."""

from __future__ import annotations

from angarium.daemons.smtpd import replies
from angarium.daemons.smtpd.conversation import Conversation
from angarium.model.reply import Reply
from angarium.protocols.smtp.parser import BAD_RECIPIENT
from angarium.protocols.smtp.path import parse_path
from angarium.protocols.smtp.types import CommandReceived


async def vrfy(talk: Conversation, command: CommandReceived) -> Reply | None:
    """Ask the policy about a recipient."""
    if talk.parameters.helo_required and not talk.helo:
        return replies.NEED_HELO
    if talk.parameters.disable_vrfy_command:
        return replies.VRFY_DISABLED
    words = command.text.split(None, 1)
    if len(words) < 2:
        return replies.VRFY_SYNTAX
    try:
        address = parse_path(words[1].strip(), strict=False)
    except ValueError:
        return BAD_RECIPIENT
    if not address:
        return BAD_RECIPIENT
    refusal = talk.judge(await talk.ask.policy.vrfy(talk.facts(address)), "VRFY", address)
    return refusal if refusal is not None else Reply.of(252, "2.0.0", words[1].strip())
