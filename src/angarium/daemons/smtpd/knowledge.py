"""What a session knows, put into the values that others take: facts for the policy, the origin for the envelope."""

from __future__ import annotations

from typing import TYPE_CHECKING

from angarium.model.envelope import Origin
from angarium.policy.interface import Facts

if TYPE_CHECKING:
    from angarium.daemons.smtpd.conversation import Conversation
    from angarium.protocols.smtp.types import MailCommand


def facts_of(talk: Conversation, recipient: str | None = None, size: int = 0) -> Facts:
    """What is known now. ``recipient`` is the one in question, ``size`` the message's when it is known better."""
    transaction = talk.transaction
    client = talk.client
    return Facts(
        client.name,
        client.address,
        client.port,
        talk.helo,
        talk.proto_name,
        bool(talk.tls),
        talk.sasl_username,
        talk.sasl_method,
        transaction.mail.sender if transaction is not None else None,
        recipient,
        len(transaction.recipients) if transaction is not None else 0,
        size or (transaction.mail.size if transaction is not None else 0),
        transaction.queue_id if transaction is not None else "",
    )


def origin_of(talk: Conversation, mail: MailCommand) -> Origin:
    """How the message came in. The protocol's name follows RFC 3848 and RFC 6531 section 4.3."""
    suffix = ("S" if talk.tls else "") + ("A" if talk.sasl_username else "")
    if not talk.esmtp:
        protocol = "SMTP"
    elif mail.smtputf8:
        protocol = "UTF8SMTP" + suffix
    else:
        protocol = "ESMTP" + suffix
    return Origin(
        protocol=protocol,
        client_name=talk.client.name,
        client_address=talk.client.address,
        client_port=talk.client.port,
        helo=talk.helo,
        service=talk.ask.journal.tag,
        sasl_method=talk.sasl_method,
        sasl_username=talk.sasl_username,
        sasl_sender=mail.auth or "",
        tls=talk.tls,
    )
