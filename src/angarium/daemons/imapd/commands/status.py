"""STATUS (RFC 9051 section 6.3.11), with HIGHESTMODSEQ (RFC 7162), the RECENT of RFC 3501, and DELETED-STORAGE."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from angarium.daemons.imapd.commands.capability import enable_condstore
from angarium.daemons.imapd.errors import No
from angarium.mailstore.interface import AccountStore, MailboxStatus
from angarium.protocols.imap import render
from angarium.protocols.imap.types import Status

if TYPE_CHECKING:
    from angarium.daemons.imapd.connection import ImapConnection


async def storage_deleted(store: AccountStore, mailbox: int, items: Iterable[str]) -> int:
    """DELETED-STORAGE, in the units of STORAGE (RFC 9208 sections 4.1.4 and 5.1), if it is asked for."""
    return -(-await store.deleted_size(mailbox) // 1024) if "DELETED-STORAGE" in items else 0


def status_line(name: str, items: Iterable[str], numbers: MailboxStatus, deleted: int, *, utf8: bool) -> bytes:
    """``* STATUS name (items)``."""
    values = {
        "MESSAGES": numbers.messages,
        "RECENT": numbers.recent,
        "UIDNEXT": numbers.uidnext,
        "UIDVALIDITY": numbers.uidvalidity,
        "UNSEEN": numbers.unseen,
        "DELETED": numbers.deleted,
        "SIZE": numbers.size,
        "HIGHESTMODSEQ": max(1, numbers.highestmodseq),
        "DELETED-STORAGE": deleted,
    }
    return b"* STATUS %b %b\r\n" % (
        render.mailbox(name, utf8=utf8),
        render.status((item, values[item]) for item in items),
    )


async def status(connection: ImapConnection, command: Status) -> str:
    """The numbers of a mailbox, selected or not."""
    store = connection.account_store()
    mailbox = await store.mailbox(command.mailbox)
    if not mailbox.selectable:
        msg = "[NONEXISTENT] Mailbox isn't selectable"
        raise No(msg)
    numbers = await store.status(mailbox.id)
    if "HIGHESTMODSEQ" in command.items:
        enable_condstore(connection)
    deleted = await storage_deleted(store, mailbox.id, command.items)
    connection.write(status_line(command.mailbox, command.items, numbers, deleted, utf8=connection.session.utf8))
    return "Status completed."
