"""STORE and UID STORE (RFC 9051 section 6.4.6), with UNCHANGEDSINCE (RFC 7162 section 3.1.3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from angarium.daemons.imapd.commands.capability import enable_condstore
from angarium.daemons.imapd.errors import Bad, No, bound_keywords
from angarium.daemons.imapd.updates import render_states
from angarium.daemons.imapd.view import Flags, View
from angarium.mailstore.interface import FlagOperation, MessageState
from angarium.protocols.imap.sequence import SequenceSet, compact
from angarium.protocols.imap.types import Store, StoreOperation

if TYPE_CHECKING:
    from angarium.daemons.imapd.connection import ImapConnection

_TOLD_AT_ONCE = 2500
_LARGE = 256 * 1024

_OPERATIONS = {
    StoreOperation.REPLACE: FlagOperation.REPLACE,
    StoreOperation.ADD: FlagOperation.ADD,
    StoreOperation.REMOVE: FlagOperation.REMOVE,
}


def positions_or_bad(view: View, numbers: SequenceSet, *, uid: bool) -> Sequence[int]:
    """The positions that a command names. Raises Bad for a number that does not exist."""
    try:
        return view.positions(numbers, uid=uid)
    except IndexError as error:
        msg = "Invalid messageset"
        raise Bad(msg) from error


async def apply_flags(
    connection: ImapConnection, uids: Sequence[int], operation: FlagOperation, flags: Flags, unchanged_since: int = -1
) -> tuple[Sequence[MessageState], Sequence[int]]:
    """Change flags in the store, and in the session's view without an echo to its client."""
    mailbox, view, hub = connection.selected()
    states, kept = await connection.account_store().store_flags(mailbox.id, uids, operation, flags, unchanged_since)
    if states and not hub.absorb(states, view):
        view.snapshot = view.snapshot.with_states(states, view.snapshot.highestmodseq)
        await hub.refresh()
    return states, kept


async def store(connection: ImapConnection, command: Store) -> str:
    """Change flags; tell the new ones unless asked to be silent."""
    _mailbox, view, _hub = connection.selected()
    if connection.read_only:
        msg = "[READ-ONLY] Mailbox is read-only"
        raise No(msg)
    conditional = command.unchanged_since >= 0
    if conditional:
        enable_condstore(connection)
    positions = positions_or_bad(view, command.numbers, uid=command.uid)
    if not positions:
        return "Store completed."
    flags = _known_spelling(command.flags, view)
    uids = view.uids_at(positions)
    states, kept = await apply_flags(connection, uids, _OPERATIONS[command.operation], flags, command.unchanged_since)
    if "\\Deleted" in flags and command.operation is not StoreOperation.REMOVE:
        connection.statistics.deleted += len(states)
    connection.note_keywords(connection.known_keywords | {name for name in flags if not name.startswith("\\")})
    untouched = set(kept)
    # The view may not have moved its numbers meanwhile: EXPUNGE is withheld during STORE.
    snapshot = view.snapshot
    if not command.silent:
        tell = [at for at in positions if snapshot.uids[at] not in untouched] if untouched else positions
        for start in range(0, len(tell), _TOLD_AT_ONCE):
            connection.write(
                render_states(
                    snapshot,
                    tell[start : start + _TOLD_AT_ONCE],
                    uid=command.uid or connection.condstore,
                    modseq=connection.condstore,
                    recent=view.recent,
                )
            )
            if connection.pending > _LARGE:
                await connection.drain()
    elif connection.condstore and states:
        # The client has to know the new modseq, even of a silent change (RFC 7162 section 3.1.3).
        changed = [at for at in map(snapshot.position, (state.uid for state in states)) if at >= 0]
        connection.write(render_states(snapshot, changed, uid=True, modseq=True, recent=(), flags=False))
    if untouched:
        numbers = sorted(untouched) if command.uid else sorted(snapshot.position(uid) + 1 for uid in untouched)
        return f"[MODIFIED {compact(numbers).decode()}] Conditional store failed."
    return "Store completed."


def _known_spelling(flags: Flags, view: View) -> Flags:
    """Keywords are compared without case (RFC 9051 section 2.3.2); the first spelling in the mailbox stays."""
    if all(name.startswith("\\") for name in flags):
        return flags
    known = {name.lower(): name for name in view.snapshot.keywords}
    result = frozenset(known.get(name.lower(), name) for name in flags)
    bound_keywords(result | view.snapshot.keywords)
    return result
