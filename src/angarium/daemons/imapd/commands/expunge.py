r"""EXPUNGE (RFC 9051 section 6.4.3) and UID EXPUNGE (RFC 4315 section 2.1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from angarium.daemons.imapd.errors import No
from angarium.protocols.imap.types import Simple, UidExpunge

if TYPE_CHECKING:
    from angarium.daemons.imapd.connection import ImapConnection


async def expunge(connection: ImapConnection, _command: Simple) -> str:
    r"""Remove all \Deleted messages."""
    await _remove(connection, None)
    return "Expunge completed."


async def uid_expunge(connection: ImapConnection, command: UidExpunge) -> str:
    r"""Remove those of the set that are \Deleted."""
    _mailbox, view, _hub = connection.selected()
    await _remove(connection, view.uids_at(view.positions(command.numbers, uid=True)))
    return "Expunge completed."


async def _remove(connection: ImapConnection, uids: Sequence[int] | None) -> None:
    mailbox, _view, _hub = connection.selected()
    if connection.read_only:
        msg = "[READ-ONLY] Mailbox is read-only"
        raise No(msg)
    if uids is None or uids:
        removed = await connection.account_store().expunge(mailbox.id, uids)
        connection.statistics.expunged += len(removed)
    await connection.look()
