"""A mail transaction while it is under way (RFC 5321 section 3.3)."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from angarium.model.envelope import Recipient
from angarium.protocols.smtp.types import MailCommand


class Chunking(enum.Enum):
    """Where a message that comes by BDAT stands; FAILED lasts until the last chunk or RSET."""

    NONE = "none"
    STARTED = "started"
    FAILED = "failed"


@dataclass(slots=True)
class Transaction:
    """From MAIL to the end of the message, or RSET."""

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
