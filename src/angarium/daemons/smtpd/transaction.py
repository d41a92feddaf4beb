"""A mail transaction while it is under way (RFC 5321 section 3.3)."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from angarium.daemons.smtpd.proxyfilter import FilterConnection
from angarium.model.envelope import Recipient
from angarium.protocols.smtp.types import MailCommand


class Chunking(enum.Enum):
    """Where a message that comes by BDAT stands; FAILED lasts until the last chunk or RSET."""

    NONE = "none"
    STARTED = "started"
    FAILED = "failed"


@dataclass(slots=True)
class Transaction:
    """From MAIL to the end of the message, or RSET.

    ``command`` is MAIL as the client wrote it, ``held`` its RCPT commands that the before-queue filter has yet to hear,
    ``filter`` the connection to it, ``filter_asked`` that it has heard DATA.
    """

    mail: MailCommand
    arrival: float
    recipients: list[Recipient] = field(default_factory=list)
    queue_id: str = ""
    hold: bool = False
    discard: bool = False
    redirect: str = ""
    content_filter: str = ""
    bcc: str = ""
    prepend: list[str] = field(default_factory=list)
    overshoot: int = 0
    refused: int = 0
    command: str = ""
    held: list[str] = field(default_factory=list)
    filter: FilterConnection | None = None
    filter_asked: bool = False
