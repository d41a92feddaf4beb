"""What smtpd asks before it says yes: facts of the session go in, a ``Verdict`` comes out."""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct

from angarium.model.verdict import Verdict
from angarium.runtime.tlspeer import PeerCertificate

SYNTAX = "address syntax"
"""The source of a refusal of what cannot be an address."""


class Facts(Struct, frozen=True):
    """What is known of a session at one command. Later commands know more; unknown is empty.

    Attributes:
        client_name: verified host name or ``unknown``.
        client_address: IP address in text.
        client_port: its port.
        helo: argument of HELO or EHLO.
        protocol: ``SMTP`` or ``ESMTP``.
        tls: TLS is on.
        sasl_username: the authenticated name; empty when not.
        sasl_method: the mechanism.
        sender: of MAIL FROM, internal form; None before it.
        recipient: of RCPT TO, internal form; None before it.
        recipient_count: recipients accepted so far.
        size: declared or, at END-OF-MESSAGE, real size in bytes.
        queue_id: empty before one is allocated.
        reverse_client_name: the name that the client's address has, verified or not, or ``unknown``.
        name_failed: the client's name could not be looked up or verified now; later it may.
        reverse_failed: its address's name could not be looked up now.
        server_address: where the client has connected to.
        server_port: likewise.
        instance: numbers that are the same for all commands of a message and, in this process, for no other's.
        sasl_sender: the AUTH= parameter of MAIL FROM.
        cipher: protocol, cipher and bits of TLS; empty without.
        talked_early: commands have come before they might (RFC 2920), at any time of the session.
        later: what a stage before has left for the recipients that nothing refuses (``Verdict.later``).
        certificate: the client's, if it has shown one.
    """

    client_name: str
    client_address: str
    client_port: int = 0
    helo: str = ""
    protocol: str = "SMTP"
    tls: bool = False
    sasl_username: str = ""
    sasl_method: str = ""
    sender: str | None = None
    recipient: str | None = None
    recipient_count: int = 0
    size: int = 0
    queue_id: str = ""
    reverse_client_name: str = "unknown"
    name_failed: bool = False
    reverse_failed: bool = False
    server_address: str = ""
    server_port: int = 0
    instance: tuple[int, int] = (0, 0)
    sasl_sender: str = ""
    cipher: tuple[str, str, int] = ("", "", 0)
    talked_early: bool = False
    later: Verdict | None = None
    certificate: PeerCertificate | None = None


class Policy(Protocol):
    """The restriction lists of one smtpd service, one method a protocol stage.

    ``smtpd_delay_reject`` is the policy's affair: with it, the client, helo and sender lists are evaluated in ``rcpt``.
    """

    @property
    def silent(self) -> frozenset[str]:
        """Those of ``CONNECT``, ``HELO``, ``EHLO``, ``DATA``, ``BDAT``, ``END-OF-MESSAGE`` at which nothing is asked.

        No facts are needed there.
        """
        ...

    def close(self) -> None:
        """The service is over: give up what it holds open."""
        ...

    async def connect(self, facts: Facts) -> Verdict:
        """smtpd_client_restrictions, when not delayed."""
        ...

    async def helo(self, facts: Facts) -> Verdict:
        """smtpd_helo_restrictions, when not delayed."""
        ...

    async def mail(self, facts: Facts) -> Verdict:
        """smtpd_sender_restrictions when not delayed, smtpd_reject_unlisted_sender."""
        ...

    async def rcpt(self, facts: Facts) -> Verdict:
        """Delayed lists, smtpd_relay_restrictions, smtpd_recipient_restrictions, unlisted recipient, quota."""
        ...

    async def data(self, facts: Facts) -> Verdict:
        """smtpd_data_restrictions."""
        ...

    async def end_of_data(self, facts: Facts) -> Verdict:
        """smtpd_end_of_data_restrictions."""
        ...

    async def etrn(self, facts: Facts) -> Verdict:
        """smtpd_etrn_restrictions."""
        ...

    async def vrfy(self, facts: Facts) -> Verdict:
        """Whether ``facts.recipient`` may be confirmed."""
        ...
