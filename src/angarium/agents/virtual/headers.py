"""The header lines that a final delivery puts before a message, as virtual(8) writes them to a mailbox."""

from __future__ import annotations

from angarium.protocols.smtp.path import quote_address


def delivery_headers(sender: str, original: str, recipient: str) -> bytes:
    """Return-Path, X-Original-To (unless ``original`` is empty) and Delivered-To, in that order."""
    lines = (
        f"Return-Path: <{quote_address(sender)}>\r\n"
        + (f"X-Original-To: {quote_address(original)}\r\n" if original else "")
        + f"Delivered-To: {quote_address(recipient)}\r\n"
    )
    return lines.encode("utf-8", "surrogateescape")
