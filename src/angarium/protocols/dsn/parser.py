"""Reads the delivery-status part of a report (RFC 3464 section 2): the inverse of ``render_delivery_status``.

Bounded: at most ``MAX_BYTES`` bytes and ``MAX_RECIPIENTS`` groups. Fields that we do not know are skipped, as RFC 3464
section 2.1.1 asks for; a part without its required fields is refused.
"""

from __future__ import annotations

from angarium.protocols.dsn.types import RecipientStatus, Report

MAX_BYTES = 1024 * 1024
MAX_RECIPIENTS = 10_000

_ACTIONS = frozenset({"failed", "delayed", "delivered", "relayed", "expanded"})


class ReportError(ValueError):
    """Not a delivery-status part."""


def parse_delivery_status(data: bytes, *, smtputf8: bool = False) -> Report:
    """The report that ``data`` holds. Raises ReportError."""
    if len(data) > MAX_BYTES:
        msg = f"a delivery-status part of {len(data)} bytes"
        raise ReportError(msg)
    text = data.decode("utf-8", "surrogateescape").replace("\r\n", "\n")
    groups = [fields for fields in map(_fields, text.split("\n\n")) if fields]
    if not groups or "reporting-mta" not in groups[0]:
        msg = "no Reporting-MTA field"
        raise ReportError(msg)
    if not 2 <= len(groups) <= MAX_RECIPIENTS + 1:
        msg = f"{len(groups) - 1} recipients"
        raise ReportError(msg)
    message = groups[0]
    return Report(
        reporting_mta=_typed(message["reporting-mta"])[1],
        queue_id=message.get("x-postfix-queue-id", ""),
        sender=_typed(message.get("x-postfix-sender", ""))[1],
        arrival_date=message.get("arrival-date", ""),
        recipients=tuple(_recipient(group) for group in groups[1:]),
        envelope_id=message.get("original-envelope-id", ""),
        smtputf8=smtputf8,
    )


def _fields(group: str) -> dict[str, str]:
    """The fields of a group by lower-case name, unfolded; the first of a name counts."""
    fields: dict[str, str] = {}
    name = ""
    for line in group.split("\n"):
        if line[:1] in (" ", "\t"):
            if name:
                fields[name] += " " + line.strip()
            continue
        label, colon, value = line.partition(":")
        name = label.strip().lower() if colon else ""
        if name in fields:
            name = ""
        if name:
            fields[name] = value.strip()
    return fields


def _typed(value: str) -> tuple[str, str]:
    """``type; text`` taken apart."""
    kind, semicolon, text = value.partition(";")
    return (kind.strip(), text.strip()) if semicolon else ("", value.strip())


def _recipient(fields: dict[str, str]) -> RecipientStatus:
    missing = [name for name in ("final-recipient", "action", "status") if name not in fields]
    if missing:
        msg = f"no {missing[0]} field"
        raise ReportError(msg)
    action = fields["action"].lower()
    if action not in _ACTIONS:
        msg = f"unknown action {action!r}"
        raise ReportError(msg)
    kind, diagnostic = _typed(fields.get("diagnostic-code", ""))
    return RecipientStatus(
        final=_typed(fields["final-recipient"])[1],
        action=action,
        status=fields["status"],
        diagnostic_type=kind,
        diagnostic=diagnostic,
        original=fields.get("original-recipient", ""),
        remote_mta=_typed(fields.get("remote-mta", ""))[1],
        will_retry_until=fields.get("will-retry-until", ""),
        last_attempt=fields.get("last-attempt-date", ""),
    )
