"""Notifications as bytes, in the parts, fields and order that Postfix's bounce(8) writes.

RFC 6522 (multipart/report), RFC 3464 (delivery-status), RFC 6533 (the same for SMTPUTF8). Lines end in CRLF.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from angarium.protocols.dsn.types import Notification, RecipientStatus, Report

WIDTH = 79
"""Columns of a folded line, its indent included."""

_INDENT = "    "


def fold(text: str) -> Iterator[str]:
    """``text`` in lines of up to 79 columns, broken at blanks; a longer word stays whole."""
    line = ""
    for word in text.split(" "):
        if not line:
            line = word
        elif len(line) + 1 + len(word) <= WIDTH:
            line += " " + word
        else:
            yield line
            line = _INDENT + word
    yield line


def _one_line(text: str) -> str:
    """``text`` without what would break a header field; a peer's words may hold anything."""
    return "".join(char if char.isprintable() else "?" for char in text.replace("\r\n", " ").replace("\n", " "))


def _address_type(address: str, report: Report) -> str:
    return "utf-8" if report.smtputf8 and not address.isascii() else "rfc822"


def _recipient(status: RecipientStatus, report: Report) -> Iterator[str]:
    yield ""
    yield f"Final-Recipient: {_address_type(status.final, report)}; {_one_line(status.final)}"
    if status.original:
        yield f"Original-Recipient: {_one_line(status.original)}"
    yield f"Action: {status.action}"
    yield f"Status: {status.status}"
    if status.remote_mta:
        yield f"Remote-MTA: dns; {_one_line(status.remote_mta)}"
    yield from fold(f"Diagnostic-Code: {status.diagnostic_type}; {_one_line(status.diagnostic).rstrip()}")
    if status.last_attempt:
        yield f"Last-Attempt-Date: {status.last_attempt}"
    if status.will_retry_until:
        yield f"Will-Retry-Until: {status.will_retry_until}"


def _status_lines(report: Report) -> Iterator[str]:
    yield f"Reporting-MTA: dns; {report.reporting_mta}"
    if report.envelope_id:
        yield f"Original-Envelope-Id: {_one_line(report.envelope_id)}"
    yield f"X-Postfix-Queue-ID: {report.queue_id}"
    yield f"X-Postfix-Sender: {_address_type(report.sender, report)}; {_one_line(report.sender)}"
    yield f"Arrival-Date: {report.arrival_date}"
    for status in report.recipients:
        yield from _recipient(status, report)


def render_delivery_status(report: Report) -> bytes:
    """The body of the delivery-status part."""
    return _wire(_status_lines(report))


def _wire(lines: Iterator[str]) -> bytes:
    return "".join(line + "\r\n" for line in lines).encode("utf-8", "surrogateescape")


def _head(notification: Notification) -> Iterator[str]:
    boundary = notification.boundary
    yield f"Date: {notification.date}"
    yield f"From: {notification.sender_header}"
    yield f"Subject: {notification.subject}"
    yield f"To: {_one_line(notification.to)}"
    if notification.references:
        yield f"References: {notification.references}"
        yield f"In-Reply-To: {notification.references}"
    yield f"Auto-Submitted: {notification.auto_submitted}"
    yield "MIME-Version: 1.0"
    yield "Content-Type: multipart/report; report-type=delivery-status;"
    yield f'\tboundary="{boundary}"'
    yield "Content-Transfer-Encoding: 8bit"
    yield f"Message-Id: {notification.message_id}"
    yield ""
    yield "This is a MIME-encapsulated message."
    yield ""
    yield f"--{boundary}"
    yield "Content-Description: Notification"
    yield f"Content-Type: text/plain; charset={notification.charset}"
    yield "Content-Transfer-Encoding: 8bit"
    yield ""
    yield from notification.text.split("\n")
    for explanation in notification.explanations:
        yield from fold(_one_line(explanation).rstrip())
        yield ""
    yield f"--{boundary}"
    yield "Content-Description: Delivery report"
    if notification.report.smtputf8:
        yield "Content-Type: message/global-delivery-status"
        yield "Content-Transfer-Encoding: 8bit"
    else:
        yield "Content-Type: message/delivery-status"
    yield ""
    yield from _status_lines(notification.report)
    yield ""
    yield f"--{boundary}"
    returned = notification.returned
    yield f"Content-Description: {returned.description}{'' if returned.whole else ' Headers'}"
    yield f"Content-Type: {_returned_type(notification)}"
    yield "Content-Transfer-Encoding: 8bit"
    yield ""


def _returned_type(notification: Notification) -> str:
    if notification.report.smtputf8:
        return "message/global" if notification.returned.whole else "message/global-headers"
    return "message/rfc822" if notification.returned.whole else "text/rfc822-headers"


def render_notification(notification: Notification) -> bytes:
    """The whole message, from its Date header on.

    What is returned may have been written to hold the boundary, which can be guessed: then another is taken, lest the
    sender of the message chose the parts of our report (RFC 2046 section 5.1).
    """
    content = notification.returned.content
    boundary = notification.boundary
    number = 0
    while f"--{boundary}".encode() in content or f"--{boundary}" in notification.text:
        number += 1
        boundary = f"{number}.{notification.boundary}"
    if number:
        notification = replace(notification, boundary=boundary)
    if content and not content.endswith(b"\n"):
        content += b"\r\n"
    return b"".join((_wire(_head(notification)), content, f"\r\n--{notification.boundary}--\r\n".encode()))
