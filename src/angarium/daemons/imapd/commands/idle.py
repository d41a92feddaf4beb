"""NOOP, CHECK (RFC 3501 section 6.4.1) and IDLE (RFC 2177): the ways to hear what has happened."""

from __future__ import annotations

from typing import TYPE_CHECKING

from angarium.protocols.imap.types import Simple

if TYPE_CHECKING:
    from angarium.daemons.imapd.connection import ImapConnection


async def noop(connection: ImapConnection, command: Simple) -> str:
    """Look into the store; the connection tells what there is before the tagged answer."""
    await connection.look()
    return "NOOP completed." if command.verb == "NOOP" else "Check completed."


async def idle(connection: ImapConnection, command: Simple) -> None:
    """Tell what has happened so far; from then on the hub tells."""
    await connection.look()
    connection.show_updates(expunge=True)
    connection.write(b"+ idling\r\n")
    connection.start_idle(command.tag)
