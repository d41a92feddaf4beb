"""The rate limits of a client, asked of a session: smtpd_client_*_rate_limit. The counters are in ``limits``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from angarium.daemons.smtpd.limits import Counted

if TYPE_CHECKING:
    from angarium.daemons.smtpd.conversation import Conversation


def over_rate(talk: Conversation, what: Counted, limit: int, words: str) -> bool:
    """Count an event; True, and logged, when the client is over the limit (0: none)."""
    if limit <= 0 or talk.exempt.limits or talk.exempt.xclient:
        return False
    service = talk.parameters.service_name
    number = talk.ask.limits.count(service, talk.client.address, what)
    if number <= limit:
        return False
    talk.journal.warning(f"{words} limit exceeded: {number} from {talk.client.shown} for service {service}")
    return True


def refuses_tls(talk: Conversation, what: str) -> bool:
    """The client began more new TLS sessions than it may; said in the log."""
    limit = talk.parameters.client_new_tls_session_rate_limit
    service = talk.parameters.service_name
    if limit <= 0 or talk.exempt.limits or talk.exempt.xclient:
        return False
    if talk.ask.limits.number(service, talk.client.address, Counted.TLS) <= limit:
        return False
    talk.journal.warning(f"Refusing {what} from {talk.client.shown} for service {service}")
    return True
