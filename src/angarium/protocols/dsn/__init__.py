"""Delivery status notifications: RFC 3464 reports in the multipart/report of RFC 6522, as values and as bytes."""

from angarium.protocols.dsn.parser import ReportError, parse_delivery_status
from angarium.protocols.dsn.render import render_delivery_status, render_notification
from angarium.protocols.dsn.types import Notification, RecipientStatus, Report, Returned

__all__ = [
    "Notification",
    "RecipientStatus",
    "Report",
    "ReportError",
    "Returned",
    "parse_delivery_status",
    "render_delivery_status",
    "render_notification",
]
