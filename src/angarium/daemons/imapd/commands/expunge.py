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
    return await _remove(connection, None)


async def uid_expunge(connection: ImapConnection, command: UidExpunge) -> str:
    r"""Remove those of the set that are \Deleted."""
    _mailbox, view, _hub = connection.selected()
    return await _remove(connection, view.uids_at(view.positions(command.numbers, uid=True)))


async def _remove(connection: ImapConnection, uids: Sequence[int] | None) -> str:
    mailbox, _view, hub = connection.selected()
    if connection.read_only:
        msg = "[READ-ONLY] Mailbox is read-only"
        raise No(msg)
    removed: Sequence[int] = ()
    if uids is None or uids:
        removed = await connection.account_store().expunge(mailbox.id, uids)
        connection.statistics.expunged += len(removed)
    await connection.look()
    if removed and connection.qresync:
        return f"[HIGHESTMODSEQ {hub.latest.highestmodseq}] Expunge completed."  # RFC 7162 section 3.2.7
    return "Expunge completed."
