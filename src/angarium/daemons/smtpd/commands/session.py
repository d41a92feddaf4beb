"""RSET, NOOP, QUIT (RFC 5321 sections 4.1.1.5, 4.1.1.9, 4.1.1.10) and ETRN (RFC 1985)."""

from __future__ import annotations

from angarium.daemons.smtpd import replies
from angarium.daemons.smtpd.conversation import Conversation
from angarium.daemons.smtpd.judgement import judge
from angarium.daemons.smtpd.knowledge import facts_of
from angarium.model.reply import Reply
from angarium.protocols.smtp.path import is_domain
from angarium.protocols.smtp.types import CommandReceived

_QUEUING = Reply.of(250, None, "Queuing started")


async def rset(talk: Conversation, command: CommandReceived) -> Reply | None:
    """Forget the transaction."""
    if len(command.text.split()) != 1:
        return replies.RSET_SYNTAX
    talk.reset()
    return replies.OK


async def noop(talk: Conversation, command: CommandReceived) -> Reply | None:  # noqa: ARG001 - a handler's signature
    """Do nothing."""
    return replies.OK


async def quit_session(talk: Conversation, command: CommandReceived) -> Reply | None:  # noqa: ARG001 - as above
    """Say good-bye; the session ends when the reply is written."""
    return replies.BYE


async def etrn(talk: Conversation, command: CommandReceived) -> Reply | None:
    """Start delivery of the mail for a domain (RFC 1985)."""
    if talk.parameters.helo_required and not talk.helo:
        return Reply.of(503, None, "Error: send HELO/EHLO first")
    if talk.transaction is not None:
        return Reply.of(503, None, "Error: MAIL transaction in progress")
    words = command.text.split()
    if len(words) != 2:
        return Reply.of(500, None, "Syntax: ETRN domain")
    domain = words[1].removeprefix("@").removeprefix("#")
    if not is_domain(domain):
        return Reply.of(501, None, "Error: invalid parameter syntax")
    refusal = judge(talk, await talk.ask.policy.etrn(facts_of(talk, domain)), "ETRN")
    if refusal is not None:
        return refusal
    if talk.ask.flush is None or not await talk.ask.flush(domain):
        talk.journal.warning(f"reject: ETRN {domain}... from {talk.client.shown}")
        return Reply.of(459, None, f"<{domain}>: service unavailable")
    return _QUEUING
