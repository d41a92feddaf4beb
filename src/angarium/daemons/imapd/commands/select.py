"""SELECT and EXAMINE (RFC 9051 sections 6.3.2 and 6.3.3), CLOSE and UNSELECT (RFC 3691)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from angarium.daemons.imapd.commands.capability import enable_condstore
from angarium.daemons.imapd.errors import Bad, No
from angarium.daemons.imapd.updates import render_states
from angarium.daemons.imapd.view import View, recent_count
from angarium.protocols.imap import render
from angarium.protocols.imap.sequence import SequenceSet, compact
from angarium.protocols.imap.states import State
from angarium.protocols.imap.types import Resync, Select, Simple

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
    if command.resync is not None and not connection.qresync:
        msg = "QRESYNC not enabled"
        raise Bad(msg)
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
    view = View(snapshot)
    connection.hub, connection.mailbox, connection.view = hub, mailbox, view
    if snapshot.uids:
        end = snapshot.uids[-1] + 1
        view.add_recent(hub.first_recent if command.read_only else await hub.claim_durably(end), end)
    connection.read_only = command.read_only
    connection.session.state = State.SELECTED
    connection.known_keywords = snapshot.keywords
    lines = [
        flags_lines(snapshot.keywords, read_only=command.read_only),
        b"* %d EXISTS\r\n* %d RECENT\r\n" % (len(snapshot), recent_count(snapshot, view.recent)),
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
    if command.resync is not None and command.resync.uidvalidity == status.uidvalidity:
        await _resync(connection, command.resync)
    return "[READ-ONLY] Examine completed." if command.read_only else "[READ-WRITE] Select completed."


async def _resync(connection: ImapConnection, resync: Resync) -> None:
    """Tell what has happened to the UIDs that the client knows since it last looked (RFC 7162 section 3.2.5.1)."""
    mailbox, view, _hub = connection.selected()
    snapshot = view.snapshot
    changes = await connection.account_store().changes(mailbox.id, resync.modseq)
    connection.write(vanished_earlier(changes.vanished, resync.known))
    changed = [at for at, modseq in enumerate(snapshot.modseqs) if modseq > resync.modseq]
    if resync.known is not None:
        uids = resync.known.among((snapshot.uids[at] for at in changed), 0)
        changed = list(map(snapshot.position, uids))
    if changed:
        connection.write(render_states(snapshot, changed, uid=True, modseq=True, recent=view.recent))


def vanished_earlier(uids: Iterable[int], known: SequenceSet | None, largest: int = 0) -> bytes:
    """``VANISHED (EARLIER)`` for those of ``uids`` that the client knows; nothing when there are none."""
    told = compact(uids if known is None else known.among(uids, largest))
    return b"* VANISHED (EARLIER) %b\r\n" % told if told else b""


async def close(connection: ImapConnection, _command: Simple) -> str:
    r"""Remove what is \Deleted without saying so, and leave (section 6.4.1)."""
    mailbox, view, hub = connection.selected()
    code = ""
    if not connection.read_only and any("\\Deleted" in flags for flags in set(view.snapshot.flags)):
        removed = await connection.account_store().expunge(mailbox.id)
        connection.statistics.expunged += len(removed)
        if removed and connection.qresync:
            await hub.refresh()
            code = f"[HIGHESTMODSEQ {hub.latest.highestmodseq}] "  # RFC 7162 section 3.2.8
    connection.deselect()
    return code + "Close completed."


async def unselect(connection: ImapConnection, _command: Simple) -> str:
    """Leave."""
    connection.deselect()
    return "Unselect completed."
