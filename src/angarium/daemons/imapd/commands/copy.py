"""COPY (RFC 9051 section 6.4.7) and MOVE (RFC 6851), with COPYUID (RFC 4315)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from angarium.daemons.imapd.commands.store import positions_or_bad
from angarium.daemons.imapd.errors import No
from angarium.protocols.imap.sequence import compact
from angarium.protocols.imap.types import Copy

if TYPE_CHECKING:
    from angarium.daemons.imapd.connection import ImapConnection


async def copy(connection: ImapConnection, command: Copy) -> str:
    """Copy or move messages; all or none."""
    mailbox, view, hub = connection.selected()
    done = "Move completed." if command.move else "Copy completed."
    if command.move and connection.read_only:
        msg = "[READ-ONLY] Mailbox is read-only"
        raise No(msg)
    positions = positions_or_bad(view, command.numbers, uid=command.uid)
    store = connection.account_store()
    target = await store.mailbox(command.mailbox)
    if not target.selectable:
        msg = "[TRYCREATE] Mailbox cannot hold messages"
        raise No(msg)
    if not positions:
        return done
    uids = view.uids_at(positions)
    if command.move:
        copied = await store.move(mailbox.id, uids, command.mailbox)
    else:
        copied = await store.copy(mailbox.id, uids, command.mailbox)
    if target.special_use == "\\Trash":
        connection.statistics.trashed += len(copied.pairs)
    code = ""
    if copied.pairs:
        old = compact(pair[0] for pair in copied.pairs).decode()
        new = compact(pair[1] for pair in copied.pairs).decode()
        code = f"[COPYUID {copied.uidvalidity} {old} {new}] "
    if command.move:
        if code:
            # Before the EXPUNGEs, so that the client can still match numbers (RFC 6851 section 4.3).
            connection.untagged(b"OK " + code.encode("ascii") + b"Moved UIDs.")
        connection.statistics.expunged += len(copied.pairs)
        await connection.look()
        if connection.qresync and code:
            return f"[HIGHESTMODSEQ {hub.latest.highestmodseq}] {done}"
        return done
    if target.id == mailbox.id:
        await connection.look()
    return code + done
