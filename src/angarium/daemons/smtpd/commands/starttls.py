"""STARTTLS (RFC 3207): asks the connection to begin TLS once the reply is written."""

from __future__ import annotations

from angarium.daemons.smtpd import replies
from angarium.daemons.smtpd.conversation import Conversation
from angarium.daemons.smtpd.limits import Counted
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
    if talk.over_rate(Counted.TLS, parameters.client_new_tls_session_rate_limit, "New TLS session rate"):
        return Reply.of(421, "4.7.0", f"Error: too many new TLS sessions from {talk.client.shown}")
    talk.tls_requested = True
    talk.send(replies.START_TLS)
    return None
