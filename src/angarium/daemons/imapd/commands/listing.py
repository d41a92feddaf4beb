"""LIST with its extensions (RFC 9051 section 6.3.9, RFC 6154, RFC 5819), LSUB (RFC 3501) and NAMESPACE (RFC 2342)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from angarium.daemons.imapd.commands.status import status_line, storage_deleted
from angarium.daemons.imapd.turns import Turns
from angarium.mailstore.interface import Mailbox
from angarium.protocols.imap import render
from angarium.protocols.imap.pattern import Pattern
from angarium.protocols.imap.types import List, Simple

if TYPE_CHECKING:
    from angarium.daemons.imapd.connection import ImapConnection


@dataclass(frozen=True, slots=True)
class _Entry:
    name: str
    mailbox: Mailbox | None
    subscribed: bool
    has_children: bool
    child_subscribed: bool = False
    child_special: bool = False


def _canonical(pattern: str) -> str:
    """INBOX is INBOX in any case, however the pattern was put together."""
    return "INBOX" + pattern[5:] if pattern[:5].upper() == "INBOX" and pattern[5:6] in ("", "/") else pattern


async def list_mailboxes(connection: ImapConnection, command: List) -> str:
    """LIST."""
    utf8 = connection.session.utf8
    if command.patterns == ("",) and not command.extended:
        connection.untagged(b'LIST (\\Noselect) "/" ""')
        return "List completed."
    turns = Turns()
    entries = await _entries(connection, turns)
    lines: list[bytes] = []
    store = connection.account_store()
    patterns = [Pattern(_canonical(command.reference + pattern)) for pattern in dict.fromkeys(command.patterns)]
    for entry in entries:
        await turns.pause()
        if not any(pattern.matches(entry.name) for pattern in patterns):
            continue
        line = _select(entry, command, utf8=utf8)
        if line is None:
            continue
        lines.append(line)
        mailbox = entry.mailbox
        if command.status and mailbox is not None and mailbox.selectable:
            numbers = await store.status(mailbox.id)
            deleted = await storage_deleted(store, mailbox.id, command.status)
            lines.append(status_line(entry.name, command.status, numbers, deleted, utf8=utf8))
    if command.status and "HIGHESTMODSEQ" in command.status:
        connection.condstore = True
    connection.write(b"".join(lines))
    return "List completed."


def _select(entry: _Entry, command: List, *, utf8: bool) -> bytes | None:
    """The LIST response for an entry whose name matches, None when it is not asked for."""
    selection = command.selection
    recursive = "RECURSIVEMATCH" in selection
    special = entry.mailbox is not None and bool(entry.mailbox.special_use)
    child_info = []
    if "SUBSCRIBED" in selection and not entry.subscribed and not (recursive and entry.child_subscribed):
        return None
    if "SPECIAL-USE" in selection and not special and not (recursive and entry.child_special):
        return None
    if recursive and "SUBSCRIBED" in selection and entry.child_subscribed:
        child_info.append(b'"SUBSCRIBED"')
    if recursive and "SPECIAL-USE" in selection and entry.child_special:
        child_info.append(b'"SPECIAL-USE"')
    if entry.mailbox is None and "SUBSCRIBED" not in selection:
        return None
    attributes = _attributes(entry, tell_subscribed=bool({"SUBSCRIBED"} & (selection | command.returns)))
    extra = b' ("CHILDINFO" (%b))' % b" ".join(child_info) if child_info else b""
    return b'* LIST (%b) "/" %b%b\r\n' % (attributes, render.mailbox(entry.name, utf8=utf8), extra)


def _attributes(entry: _Entry, *, tell_subscribed: bool) -> bytes:
    words = []
    if entry.mailbox is None:
        words.append(b"\\NonExistent")
    elif not entry.mailbox.selectable:
        words.append(b"\\Noselect")
    words.append(b"\\HasChildren" if entry.has_children else b"\\HasNoChildren")
    if entry.mailbox is not None and entry.mailbox.special_use:
        words.append(entry.mailbox.special_use.encode("ascii"))
    if tell_subscribed and entry.subscribed:
        words.append(b"\\Subscribed")
    return b" ".join(words)


async def _entries(connection: ImapConnection, turns: Turns) -> list[_Entry]:
    """All names that LIST can tell: mailboxes, and subscriptions of what is gone."""
    store = connection.account_store()
    mailboxes = await store.mailboxes()
    await turns.pause()
    subscribed = set(await store.subscriptions())
    by_name = {mailbox.name: mailbox for mailbox in mailboxes}
    parents = _parents(by_name)
    subscribed_parents = _parents(subscribed)
    special_parents = _parents(mailbox.name for mailbox in mailboxes if mailbox.special_use)
    names = [mailbox.name for mailbox in mailboxes] + sorted(subscribed - by_name.keys())
    await turns.pause()
    return [
        _Entry(
            name,
            by_name.get(name),
            name in subscribed,
            name in parents,
            name in subscribed_parents,
            name in special_parents,
        )
        for name in names
    ]


def _parents(names: Iterable[str]) -> set[str]:
    """All names above ``names``."""
    found: set[str] = set()
    for name in names:
        at = name.rfind("/")
        while at > 0 and name[:at] not in found:
            found.add(name[:at])
            at = name.rfind("/", 0, at)
    return found


async def list_subscribed(connection: ImapConnection, command: List) -> str:
    r"""LSUB; with ``%`` a level above a subscribed name is told with \Noselect (RFC 3501 section 6.3.9)."""
    store = connection.account_store()
    utf8 = connection.session.utf8
    text = _canonical(command.reference + command.patterns[0])
    pattern = Pattern(text)
    turns = Turns()
    subscribed = sorted(set(await store.subscriptions()), key=lambda name: (name != "INBOX", name))
    told: dict[str, bytes] = {}
    for name in subscribed:
        await turns.pause()
        if pattern.matches(name):
            told[name] = b""
    if "%" in text:
        for parent in sorted(_parents(subscribed)):
            await turns.pause()
            if parent not in told and pattern.matches(parent):
                told[parent] = b"\\Noselect"
    connection.write(
        b"".join(b'* LSUB (%b) "/" %b\r\n' % (words, render.mailbox(name, utf8=utf8)) for name, words in told.items())
    )
    return "Lsub completed."


async def namespace(connection: ImapConnection, _command: Simple) -> str:
    """One personal namespace without a prefix."""
    connection.untagged(b'NAMESPACE (("" "/")) NIL NIL')
    return "Namespace completed."
