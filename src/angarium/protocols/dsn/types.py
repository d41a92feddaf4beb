"""What a delivery status notification says, as values. Dates are text: the caller has the clock and the zone."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RecipientStatus:
    """The fields of one recipient (RFC 3464 section 2.3).

    Attributes:
        final: address that was tried.
        action: ``failed``, ``delayed``, ``delivered``, ``relayed`` or ``expanded``.
        status: the enhanced status code.
        diagnostic_type: ``smtp`` for a peer's words, ``X-Postfix`` for ours.
        diagnostic: the words.
        original: ``type;address`` as the sender gave it (ORCPT); empty when unsaid.
        remote_mta: the peer's name; empty when none spoke.
        will_retry_until: a date; empty when the message is not tried again.
        last_attempt: a date; empty when unsaid.
    """

    final: str
    action: str
    status: str
    diagnostic_type: str
    diagnostic: str
    original: str = ""
    remote_mta: str = ""
    will_retry_until: str = ""
    last_attempt: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """A delivery-status part (RFC 3464 section 2.1).

    Attributes:
        reporting_mta: our name.
        queue_id: of the message reported on.
        sender: its sender.
        arrival_date: when it came in.
        recipients: one or more.
        envelope_id: ENVID of the sender; empty when unsaid.
        smtputf8: the message came with SMTPUTF8, so the parts are those of RFC 6533.
    """

    reporting_mta: str
    queue_id: str
    sender: str
    arrival_date: str
    recipients: tuple[RecipientStatus, ...]
    envelope_id: str = ""
    smtputf8: bool = False


@dataclass(frozen=True, slots=True)
class Returned:
    """The message reported on, or its header.

    Attributes:
        content: the bytes, in wire form.
        whole: the message; False: its header alone.
        description: for people, ``Undelivered Message``; ``Headers`` is appended when that is all.
    """

    content: bytes
    whole: bool
    description: str


@dataclass(frozen=True, slots=True)
class Notification:
    """A whole notification.

    Attributes:
        date: of the notification.
        sender_header: what the From header says.
        subject: of the notification.
        to: the address it goes to, as a header shows it.
        auto_submitted: ``auto-replied`` to senders, ``auto-generated`` to the postmaster (RFC 3834).
        message_id: with its angle brackets.
        boundary: unique in the message.
        text: for people, lines separated by LF.
        explanations: one a recipient, for people; long ones are folded.
        report: for programs.
        returned: the message reported on.
        references: message id of the message reported on, for threads; empty for none.
        charset: of the text.
    """

    date: str
    sender_header: str
    subject: str
    to: str
    auto_submitted: str
    message_id: str
    boundary: str
    text: str
    explanations: tuple[str, ...]
    report: Report
    returned: Returned
    references: str = ""
    charset: str = "utf-8"
