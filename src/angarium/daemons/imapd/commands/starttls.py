"""STARTTLS (RFC 9051 section 6.2.1)."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from angarium.daemons.imapd.errors import Bad
from angarium.protocols.imap.types import Simple

if TYPE_CHECKING:
    from angarium.daemons.imapd.connection import ImapConnection


async def starttls(connection: ImapConnection, command: Simple) -> None:
    """Answer, then negotiate; a failed handshake ends the connection."""
    context = connection.service.tls_context
    if context is None or connection.tls:
        msg = "TLS is already active." if connection.tls else "TLS support isn't enabled."
        raise Bad(msg)
    connection.answer(command.tag, b"OK", "Begin TLS negotiation now.")
    try:
        await connection.start_tls(context)
    except (ssl.SSLError, OSError) as error:
        connection.abort(f"TLS handshaking failed: {error}")
