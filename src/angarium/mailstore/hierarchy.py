"""The mailboxes of an account: creating, deleting, renaming (RFC 9051 sections 6.3.4 to 6.3.6), inside a transaction.

``/`` separates levels. A level that was never created, or was deleted while there are mailboxes below it, is a bare
one: not selectable, and gone when the last mailbox below it goes. UIDVALIDITY only grows within an account, so that a
name that is created anew is told from the old one.
"""

from __future__ import annotations

from collections.abc import Iterator

from angarium.mailstore import reading, writing
from angarium.mailstore.interface import Mailbox, MailboxExistsError, MailboxNameError, NoSuchMailboxError
from angarium.mailstore.rows import all_rows, maybe_row, one_row
from angarium.model.quota import UNLIMITED
from angarium.runtime.sqlite import Connection

INBOX = "INBOX"
SEPARATOR = "/"
MAX_NAME = 1000
MAX_LEVELS = 32
MAX_MAILBOXES = 50_000
"""Mailboxes of an account, and names that it has subscribed."""
_SHOWN = 60

SPECIAL_FOLDERS = (
    ("Sent", "\\Sent"),
    ("Drafts", "\\Drafts"),
    ("Junk", "\\Junk"),
    ("Trash", "\\Trash"),
    ("Archive", "\\Archive"),
)
"""What a new account has beside INBOX (RFC 6154)."""


def canonical(name: str) -> str:
    """The name with INBOX in upper case at its start, whatever the case it was written in."""
    first, slash, rest = name.partition(SEPARATOR)
    return INBOX + slash + rest if first.upper() == INBOX else name


def check_name(name: str) -> str:
    """The canonical form of a name that a mailbox may have. Raises MailboxNameError."""
    name = canonical(name)
    levels = name.split(SEPARATOR)
    if not all(levels) or len(levels) > MAX_LEVELS or len(name) > MAX_NAME:
        raise MailboxNameError(f"not a mailbox name: {name[:_SHOWN]!r}")
    if any(ord(char) < 0x20 or ord(char) == 0x7F for char in name) or not name.isprintable():
        raise MailboxNameError(f"control characters in a mailbox name: {name[:_SHOWN]!r}")
    return name


def populate(connection: Connection, now: float) -> None:
    """Give a new account its mailboxes, subscribed."""
    for name, use in ((INBOX, ""), *SPECIAL_FOLDERS):
        _insert(connection, name, use, now)
        connection.execute("INSERT OR IGNORE INTO subscription VALUES (?)", (name,))


def create(connection: Connection, name: str, special_use: str, now: float) -> Mailbox:
    """Create a mailbox and the levels above it. Raises MailboxExistsError."""
    row = maybe_row(connection, "SELECT id, selectable FROM mailbox WHERE name = ?", (name,))
    if row is None:
        _check_room(connection, "mailbox")
        _create_above(connection, name)
        _insert(connection, name, special_use, now)
    elif row[1]:
        raise MailboxExistsError(name)
    else:
        connection.execute(
            "UPDATE mailbox SET selectable = 1, uidvalidity = ?, uidnext = 1, firstrecent = 1, special_use = ?"
            " WHERE id = ?",
            (_uidvalidity(connection, now), special_use, row[0]),
        )
    return reading.mailbox(connection, name)


def delete(connection: Connection, name: str) -> tuple[int, int]:
    """Delete a mailbox; its id and the modseq to announce. Raises NoSuchMailboxError and MailboxNameError."""
    if name == INBOX:
        raise MailboxNameError("INBOX cannot be deleted")
    row = maybe_row(connection, "SELECT id, selectable FROM mailbox WHERE name = ?", (name,))
    if row is None:
        raise NoSuchMailboxError(name)
    identity, selectable = row
    below = _has_below(connection, name)
    if not selectable and below:
        raise MailboxNameError(f"{name} has mailboxes below it")
    writing.release(connection, identity, None)
    connection.execute("DELETE FROM message WHERE mailbox = ?", (identity,))
    connection.execute("DELETE FROM vanished WHERE mailbox = ?", (identity,))
    if below:
        connection.execute(
            "UPDATE mailbox SET selectable = 0, special_use = '', messages = 0, bytes = 0, unseen = 0, deleted = 0,"
            " gaps = 0, highestmodseq = highestmodseq + 1 WHERE id = ?",
            (identity,),
        )
    else:
        connection.execute("DELETE FROM mailbox WHERE id = ?", (identity,))
        _delete_bare_above(connection, name)
    return identity, 0


def rename(connection: Connection, old: str, new: str, now: float) -> list[tuple[int, int]]:
    """Rename a mailbox and those below it; ``(id, modseq)`` to announce.

    Raises:
        NoSuchMailboxError, MailboxExistsError, MailboxNameError.
    """
    found = maybe_row(connection, "SELECT id, special_use FROM mailbox WHERE name = ?", (old,))
    if found is None:
        raise NoSuchMailboxError(old)
    if maybe_row(connection, "SELECT 1 FROM mailbox WHERE name = ?", (new,)) is not None:
        raise MailboxExistsError(new)
    if old == INBOX:
        return _empty_inbox(connection, new, now)
    if new.startswith(old + SEPARATOR):
        raise MailboxNameError(f"{new} is below {old}")
    _create_above(connection, new)
    renamed = [found[0]]
    connection.execute("UPDATE mailbox SET name = ? WHERE id = ?", (new, found[0]))
    for identity, name in all_rows(connection, "SELECT id, name FROM mailbox WHERE name > ? AND name < ?", _below(old)):
        connection.execute("UPDATE mailbox SET name = ? WHERE id = ?", (new + name[len(old) :], identity))
        renamed.append(identity)
    _delete_bare_above(connection, old)
    return [(identity, 0) for identity in renamed]


def _empty_inbox(connection: Connection, new: str, now: float) -> list[tuple[int, int]]:
    """Renaming INBOX moves its messages (RFC 9051 section 6.3.6)."""
    source = reading.mailbox(connection, INBOX)
    create(connection, new, "", now)
    row = one_row(connection, "SELECT group_concat(uid) FROM message WHERE mailbox = ?", (source.id,))
    uids = reading.integers(row[0])
    if not uids:
        return []
    _copied, target, modseq, source_modseq = writing.move(connection, source.id, uids, new, UNLIMITED, now)
    return [(target, modseq), (source.id, source_modseq)]


def _above(name: str) -> Iterator[str]:
    """The names of the levels above, the nearest first."""
    while SEPARATOR in name:
        name = name.rpartition(SEPARATOR)[0]
        yield name


def _create_above(connection: Connection, name: str) -> None:
    for level in _above(name):
        connection.execute(
            "INSERT INTO mailbox (name, uidvalidity, selectable) VALUES (?, 0, 0) ON CONFLICT (name) DO NOTHING",
            (level,),
        )


def _delete_bare_above(connection: Connection, name: str) -> None:
    for level in _above(name):
        if _has_below(connection, level):
            return
        connection.execute("DELETE FROM mailbox WHERE name = ? AND NOT selectable", (level,))


def _below(name: str) -> tuple[str, str]:
    """Between which names those below this one sort."""
    return name + SEPARATOR, name + chr(ord(SEPARATOR) + 1)


def _has_below(connection: Connection, name: str) -> bool:
    found = maybe_row(
        connection,
        "SELECT 1 FROM mailbox WHERE name > ? AND name < ? LIMIT 1",
        _below(name),
    )
    return found is not None


def subscribe(connection: Connection, name: str) -> None:
    """Subscribe a name, whether there is such a mailbox or not. Raises MailboxNameError."""
    _check_room(connection, "subscription")
    connection.execute("INSERT OR IGNORE INTO subscription VALUES (?)", (name,))


def _check_room(connection: Connection, table: str) -> None:
    """Raise MailboxNameError when the account has as many as it may."""
    if one_row(connection, f"SELECT count(*) FROM {table}")[0] >= MAX_MAILBOXES:  # noqa: S608 - names of ours
        raise MailboxNameError(f"more than {MAX_MAILBOXES} names")


def _insert(connection: Connection, name: str, special_use: str, now: float) -> None:
    connection.execute(
        "INSERT INTO mailbox (name, uidvalidity, special_use) VALUES (?, ?, ?)",
        (name, _uidvalidity(connection, now), special_use),
    )


def _uidvalidity(connection: Connection, now: float) -> int:
    row = one_row(
        connection, "UPDATE account SET uidvalidity = max(uidvalidity + 1, ?) RETURNING uidvalidity", (int(now),)
    )
    return int(row[0])
