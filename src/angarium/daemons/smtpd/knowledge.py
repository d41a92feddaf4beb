"""What a session knows, put into the values that others take: facts for the policy, the origin for the envelope."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from angarium.model.envelope import Forwarded, Origin
from angarium.policy.interface import Facts
from angarium.protocols.smtp.forwarding import CLIENT, UNAVAILABLE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from angarium.daemons.smtpd.conversation import Conversation
    from angarium.protocols.smtp.types import MailCommand


def facts_of(talk: Conversation, recipient: str | None = None, size: int = 0) -> Facts:
    """What is known now. ``recipient`` is the one in question, ``size`` the message's when it is known better."""
    transaction = talk.transaction
    client = talk.client
    server_address, server_port = client.server
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
        transaction.queue_id if transaction is not None and transaction.queue_id != "NOQUEUE" else "",
        client.reverse_name,
        client.name_failed,
        client.reverse_failed,
        server_address=server_address,
        server_port=server_port,
        instance=(id(talk), int(transaction.arrival * 1e6) if transaction is not None else 0),
        sasl_sender=(transaction.mail.auth or "") if transaction is not None else "",
        cipher=_cipher(talk.tls),
        certificate=talk.certificate,
        talked_early=talk.illegal_pipelining,
        later=next(iter(talk.later.values())) if talk.later else None,
    )


_TLS = re.compile(r"(\S+) with cipher (\S+) \((\d+)/")


@lru_cache(maxsize=64)
def _cipher(description: str) -> tuple[str, str, int]:
    """``TLSv1.3 with cipher NAME (256/256 bits)``, taken apart."""
    parts = _TLS.match(description) if description else None
    return (parts[1], parts[2], int(parts[3])) if parts is not None else ("", "", 0)


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
        service=talk.journal.tag,
        sasl_method=talk.sasl_method,
        sasl_username=talk.sasl_username,
        sasl_sender=mail.auth or "",
        tls=talk.tls,
        tls_client=talk.certificate_remark,
        forwarded=None if talk.forwarded is None else forwarded_by(talk.forwarded),
    )


def forwarded_by(said: Mapping[str, str]) -> Forwarded:
    """What XFORWARD has said; what it has not said is not known, whatever the session knows."""

    def value(name: str) -> str:
        return "" if said.get(name, UNAVAILABLE) == UNAVAILABLE else said[name]

    source = value("SOURCE")
    return Forwarded(
        name=value("NAME") or "unknown",
        address=value("ADDR"),
        port=int(value("PORT") or 0),
        helo=value("HELO"),
        protocol=value("PROTO"),
        ident=value("IDENT"),
        local=source == "LOCAL" if source else None,
        client=not CLIENT.isdisjoint(said),
    )
