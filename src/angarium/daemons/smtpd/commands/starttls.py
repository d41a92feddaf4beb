"""STARTTLS (RFC 3207): asks the connection to begin TLS once the reply is written."""

from __future__ import annotations

from angarium.daemons.smtpd import replies
from angarium.daemons.smtpd.conversation import Conversation
from angarium.daemons.smtpd.rates import refuses_tls
from angarium.model.reply import Reply
from angarium.protocols.smtp.types import CommandReceived


async def starttls(talk: Conversation, command: CommandReceived) -> Reply | None:
    """Refuse, or answer 220 and set ``tls_requested``. It counts as done when TLS is up."""
    if len(command.text.split()) != 1:
        return replies.STARTTLS_SYNTAX
    if talk.tls:
        return replies.TLS_ACTIVE
    parameters = talk.parameters
    if not parameters.tls_offered or "starttls" in talk.ehlo_discard:
        return replies.NOT_IMPLEMENTED
    if not talk.ask.tls_available:
        return replies.TLS_UNAVAILABLE
    if refuses_tls(talk, "STARTTLS request"):
        return Reply.of(454, "4.7.0", f"Error: too many new TLS sessions from {talk.client.shown}")
    talk.tls_requested = True
    talk.send(replies.START_TLS)
    return None
