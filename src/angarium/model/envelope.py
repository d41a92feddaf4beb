"""The envelope: who sent a message, to whom, and how it came in.

Addresses are in Postfix's internal form: text without quoting, the null sender is the empty string. The values are
frozen: each stage that changes an envelope makes a new one.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Notify(enum.IntFlag):
    """The NOTIFY parameter of RFC 3461 section 4.1. No bit set: the client did not say (failure and delay)."""

    UNSAID = 0
    NEVER = 1
    SUCCESS = 2
    FAILURE = 4
    DELAY = 8


class Ret(enum.Enum):
    """The RET parameter of RFC 3461 section 4.3."""

    UNSAID = ""
    FULL = "FULL"
    HDRS = "HDRS"


class BodyType(enum.Enum):
    """The BODY parameter of RFC 6152."""

    UNSAID = ""
    SEVENBIT = "7BIT"
    EIGHTBITMIME = "8BITMIME"
    BINARYMIME = "BINARYMIME"


@dataclass(frozen=True, slots=True)
class Recipient:
    """One recipient.

    Attributes:
        address: where the message goes, after rewriting.
        original: the address as it was received, before aliases (``orig_to`` in the log).
        notify: what the sender wants to hear.
        orcpt: the original recipient of RFC 3461 section 4.2, ``type;address``, decoded; empty when unsaid.
    """

    address: str
    original: str
    notify: Notify = Notify.UNSAID
    orcpt: str = ""


@dataclass(frozen=True, slots=True)
class Forwarded:
    """The client of whom a content filter or proxy says that the message was his (XFORWARD_README of Postfix).

    It is who the logs of later stages speak of, and who is told onward; policy and the Received header know the
    connection's own client.

    Attributes:
        name: host name; ``unknown`` when it is not said.
        address: IP address in text; empty when it is not said.
        port: 0 when it is not said.
        helo: HELO argument; empty when it is not said.
        protocol: of the message's first way in; empty when it is not said.
        ident: the queue id that the message had there; empty when it is not said.
        local: whether the message began there (SOURCE); None when it is not said.
        client: something was said of the client, though it may be that he is not known.
    """

    name: str = "unknown"
    address: str = ""
    port: int = 0
    helo: str = ""
    protocol: str = ""
    ident: str = ""
    local: bool | None = None
    client: bool = False

    @property
    def shown(self) -> str:
        """``name[address]``, or the name alone."""
        return f"{self.name}[{self.address}]" if self.address else self.name


@dataclass(frozen=True, slots=True)
class Origin:
    """How a message came in: what the log, the Received header and later milters want to know.

    Attributes:
        protocol: ``ESMTP``, ``SMTP``, ``ESMTPS`` …, or ``local`` for the sendmail command.
        client_name: the client's verified host name, or ``unknown``.
        client_address: its IP address in text; empty for local submission.
        client_port: its port; 0 for local submission.
        helo: the HELO or EHLO argument.
        service: the syslog name of the service that took it: ``postfix/smtpd``, ``postfix/submission/smtpd``.
        sasl_method: the SASL mechanism; empty when not authenticated.
        sasl_username: the authenticated name; empty when not authenticated.
        sasl_sender: the AUTH= parameter of MAIL FROM (RFC 4954 section 5); empty when unsaid.
        tls: the TLS session for people: ``TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits)``; empty without.
        tls_client: what is to be said of the client's certificate in the Received header; empty without TLS.
        uid: the submitting user of local submission; None for network clients.
        forwarded: what a content filter has said of the client behind it; None for nearly all messages.
    """

    protocol: str
    client_name: str = "unknown"
    client_address: str = ""
    client_port: int = 0
    helo: str = ""
    service: str = ""
    sasl_method: str = ""
    sasl_username: str = ""
    sasl_sender: str = ""
    tls: str = ""
    tls_client: str = ""
    uid: int | None = None
    forwarded: Forwarded | None = None

    @property
    def client(self) -> str:
        """``name[address]``, as the log writes it."""
        return f"{self.client_name}[{self.client_address}]"

    @property
    def logged(self) -> Forwarded:
        """The client whom the log speaks of and who is told onward: the one behind a filter, or the connection's."""
        forwarded = self.forwarded
        if forwarded is not None and forwarded.client:
            return forwarded
        ident = forwarded.ident if forwarded is not None else ""
        local = forwarded.local if forwarded is not None else None
        return Forwarded(
            self.client_name, self.client_address, self.client_port, self.helo, self.protocol, ident, local, client=True
        )


@dataclass(frozen=True, slots=True)
class Envelope:
    """Everything about a message that is not its content.

    Attributes:
        sender: the reverse-path; empty is the null sender.
        recipients: one or more, in the order received.
        arrival: seconds since the epoch when the first command of the transaction came in.
        origin: how it came in.
        body: the declared body type.
        smtputf8: the client asked for SMTPUTF8 (RFC 6531).
        ret: what a delivery report shall return.
        envid: the envelope id of RFC 3461 section 4.4, decoded; empty when unsaid.
        content_filter: ``transport:nexthop`` that gets the message in place of its recipients' own transports
            (content_filter, FILTER); empty without.
        redirect: the one address that gets the message in place of its recipients (REDIRECT); cleanup makes it the
            only recipient, so that it is always empty in the queue.
        expanded: recipients that asked for a report of success and were aliases of others, with the address before the
            expansion; ``expanded`` is what the report says of them (RFC 3461 section 5.2.7.3). Set by cleanup.
        traced: the sender gets a report of the first attempt, however it ends (``sendmail -v``).
        verp: each recipient gets it with a sender of his own, made with these two delimiters (``model.verp``); empty
            without, and in what an agent is asked for, where ``sender`` is the recipient's own already.
    """

    sender: str
    recipients: tuple[Recipient, ...]
    arrival: float
    origin: Origin
    body: BodyType = BodyType.UNSAID
    smtputf8: bool = False
    ret: Ret = Ret.UNSAID
    envid: str = ""
    content_filter: str = ""
    redirect: str = ""
    expanded: tuple[Recipient, ...] = ()
    traced: bool = False
    verp: str = ""
