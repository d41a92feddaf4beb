"""VRFY (RFC 5321 section 4.1.1.6): says whether a recipient would be accepted, unless it is disabled."""

from __future__ import annotations

from angarium.daemons.smtpd import replies
from angarium.daemons.smtpd.conversation import Conversation
from angarium.daemons.smtpd.judgement import judge
from angarium.daemons.smtpd.knowledge import facts_of
from angarium.model.reply import Reply
from angarium.protocols.smtp.parser import BAD_RECIPIENT
from angarium.protocols.smtp.path import parse_path
from angarium.protocols.smtp.types import CommandReceived


async def vrfy(talk: Conversation, command: CommandReceived) -> Reply | None:
    """Ask the policy about a recipient."""
    if talk.parameters.disable_vrfy_command:
        return replies.VRFY_DISABLED
    words = command.text.split(None, 1)
    argument = words[1].strip() if len(words) == 2 else ""
    if argument.upper().endswith(" SMTPUTF8") and talk.parameters.smtputf8_enable:
        argument = argument[:-9].rstrip()  # RFC 6531 section 3.7.4.2
    if not argument:
        return replies.VRFY_SYNTAX
    try:
        address = parse_path(
            argument,
            min_user=talk.parameters.allow_min_user,
            numeric=talk.parameters.resolve_numeric_domain,
            null=talk.parameters.resolve_null_domain,
        )
    except ValueError:
        address = ""
    if not address:
        talk.log_illegal_address("VRFY", argument)
        return BAD_RECIPIENT
    refusal = judge(talk, await talk.ask.policy.vrfy(facts_of(talk, address)), "VRFY", address)
    return refusal if refusal is not None else Reply.of(252, "2.0.0", argument)
