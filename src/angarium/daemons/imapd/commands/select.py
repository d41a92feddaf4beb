"""SELECT and EXAMINE (RFC 9051 sections 6.3.2 and 6.3.3), CLOSE and UNSELECT (RFC 3691)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from angarium.daemons.imapd.commands.capability import enable_condstore
from angarium.daemons.imapd.errors import No
from angarium.daemons.imapd.view import View
from angarium.protocols.imap import render
from angarium.protocols.imap.states import State
from angarium.protocols.imap.types import Select, Simple

if TYPE_CHECKING:
    from angarium.daemons.imapd.connection import ImapConnection

_SYSTEM = ("\\Answered", "\\Flagged", "\\Deleted", "\\Seen", "\\Draft")


def flags_lines(keywords: Iterable[str], *, read_only: bool) -> bytes:
    """The FLAGS and PERMANENTFLAGS responses."""
    names = render.flags((*_SYSTEM, *keywords))
    if read_only:
        return b"* FLAGS %b\r\n* OK [PERMANENTFLAGS ()] Read-only mailbox.\r\n" % names
    return b"* FLAGS %b\r\n* OK [PERMANENTFLAGS %b \\*)] Flags permitted.\r\n" % (names, names[:-1])


async def select(connection: ImapConnection, command: Select) -> str:
    """Select a mailbox. When it fails, none is selected."""
    if connection.mailbox is not None:
        connection.deselect()
        connection.untagged(b"OK [CLOSED] Previous mailbox closed.")
    store = connection.account_store()
    mailbox = await store.mailbox(command.mailbox)
    if not mailbox.selectable:
        msg = "[NONEXISTENT] Mailbox isn't selectable"
        raise No(msg)
    hub = connection.service.hubs.enter(store, mailbox.id, connection)
    try:
        status = await hub.load()
    except BaseException:
        connection.service.hubs.leave(hub, connection)
        raise
    snapshot = hub.latest
    connection.hub, connection.mailbox, connection.view = hub, mailbox, View(snapshot)
    connection.read_only = command.read_only
    connection.session.state = State.SELECTED
    connection.known_keywords = snapshot.keywords
    lines = [
        flags_lines(snapshot.keywords, read_only=command.read_only),
        b"* %d EXISTS\r\n* 0 RECENT\r\n" % len(snapshot),
    ]
    unseen = next((at for at, flags in enumerate(snapshot.flags, 1) if "\\Seen" not in flags), 0)
    if unseen:
        lines.append(b"* OK [UNSEEN %d] First unseen.\r\n" % unseen)
    uidnext = max(status.uidnext, snapshot.uids[-1] + 1 if len(snapshot) else 1)
    lines.append(
        b"* OK [UIDVALIDITY %d] UIDs valid\r\n* OK [UIDNEXT %d] Predicted next UID\r\n" % (status.uidvalidity, uidnext)
    )
    if not command.condstore or connection.condstore:
        lines.append(b"* OK [HIGHESTMODSEQ %d] Highest\r\n" % max(1, snapshot.highestmodseq))
    connection.write(b"".join(lines))
    if command.condstore:
        enable_condstore(connection)
    return "[READ-ONLY] Examine completed." if command.read_only else "[READ-WRITE] Select completed."


async def close(connection: ImapConnection, _command: Simple) -> str:
    r"""Remove what is \Deleted without saying so, and leave (section 6.4.1)."""
    mailbox, view, _hub = connection.selected()
    if not connection.read_only and any("\\Deleted" in flags for flags in set(view.snapshot.flags)):
        removed = await connection.account_store().expunge(mailbox.id)
        connection.statistics.expunged += len(removed)
    connection.deselect()
    return "Close completed."


async def unselect(connection: ImapConnection, _command: Simple) -> str:
    """Leave."""
    connection.deselect()
    return "Unselect completed."
