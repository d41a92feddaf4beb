"""CREATE, DELETE, RENAME, SUBSCRIBE, UNSUBSCRIBE (RFC 9051 section 6.3), CREATE with USE (RFC 6154)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from angarium.daemons.imapd.errors import No
from angarium.protocols.imap.types import Create, MailboxCommand, Rename

if TYPE_CHECKING:
    from angarium.daemons.imapd.connection import ImapConnection

SPECIAL_USES = {use.lower(): use for use in ("\\Archive", "\\Drafts", "\\Junk", "\\Sent", "\\Trash")}
"""Uses that a client may give (RFC 6154 section 2); \\All and \\Flagged would be virtual mailboxes."""


async def create(connection: ImapConnection, command: Create) -> str:
    """Create a mailbox; a trailing separator only announces names below it (section 6.3.4)."""
    use = ""
    for name in command.special_use:
        known = SPECIAL_USES.get(name.lower())
        if known is None or (use and known != use):
            msg = "[USEATTR] Special use not supported"
            raise No(msg)
        use = known
    name = command.mailbox.rstrip("/")
    if name == "INBOX":
        msg = "[ALREADYEXISTS] Mailbox already exists"
        raise No(msg)
    await connection.account_store().create(name, use)
    return "Create completed."


async def delete(connection: ImapConnection, command: MailboxCommand) -> str:
    """Delete a mailbox; whoever has it selected sees its messages go."""
    if command.mailbox == "INBOX":
        msg = "[CANNOT] INBOX can't be deleted."
        raise No(msg)
    store = connection.account_store()
    mailbox = await store.mailbox(command.mailbox)
    await store.delete(command.mailbox)
    if connection.mailbox is not None and connection.mailbox.id == mailbox.id:
        connection.deselect()
    connection.service.hubs.forget(store.account, mailbox.id)
    return "Delete completed."


async def rename(connection: ImapConnection, command: Rename) -> str:
    """Rename a mailbox, with what is below it."""
    await connection.account_store().rename(command.old, command.new.rstrip("/"))
    await connection.look()
    return "Rename completed."


async def subscribe(connection: ImapConnection, command: MailboxCommand) -> str:
    """Put a name on the list of subscriptions, or take it off."""
    on = command.verb == "SUBSCRIBE"
    store = connection.account_store()
    name = command.mailbox.rstrip("/") or command.mailbox
    if on:
        await store.mailbox(name)
    await store.subscribe(name, on)
    return "Subscribe completed." if on else "Unsubscribe completed."
