"""CAPABILITY, ENABLE (RFC 5161) and ID (RFC 2971): what the two sides can do. Only what works whole is announced."""

from __future__ import annotations

from typing import TYPE_CHECKING

from angarium.protocols.imap import render
from angarium.protocols.imap.states import State
from angarium.protocols.imap.types import Enable, Id, Simple
from angarium.protocols.sasl.mechanisms import MECHANISMS

if TYPE_CHECKING:
    from angarium.daemons.imapd.connection import ImapConnection

_ALWAYS = b"IMAP4rev1 SASL-IR LITERAL+ ID ENABLE IDLE"
_KNOWN = (
    b"NAMESPACE CHILDREN UIDPLUS MOVE UNSELECT SPECIAL-USE CREATE-SPECIAL-USE LIST-EXTENDED LIST-STATUS ESEARCH "
    b"SEARCHRES CONDSTORE QRESYNC MULTIAPPEND STATUS=SIZE QUOTA QUOTA=RES-STORAGE QUOTA=RES-MESSAGE UTF8=ACCEPT"
)

_MAX_LOGGED = 1000
_MAX_IDENTIFIED = 3
"""Times that one connection may fill the log with it, log-in or not."""


def capabilities(connection: ImapConnection) -> bytes:
    """What is announced in the present state."""
    if connection.session.state is not State.NOT_AUTHENTICATED:
        return _ALWAYS + b" " + _KNOWN
    words = [_ALWAYS]
    if connection.service.tls_context is not None and not connection.tls:
        words.append(b"STARTTLS")
    if connection.secure or not connection.service.parameters.tls_auth_only:
        words.extend(b"AUTH=" + name.encode("ascii") for name in MECHANISMS)
    else:
        words.append(b"LOGINDISABLED")
    return b" ".join(words)


async def capability(connection: ImapConnection, _command: Simple) -> str:
    """``* CAPABILITY …``."""
    connection.untagged(b"CAPABILITY " + capabilities(connection))
    return "Capability completed."


async def enable(connection: ImapConnection, command: Enable) -> str:
    """Switch on CONDSTORE, QRESYNC or UTF8=ACCEPT; names that we do not know are passed over in silence."""
    enabled = []
    for name in command.names:
        if name in ("CONDSTORE", "QRESYNC"):
            enable_condstore(connection)
            connection.qresync = connection.qresync or name == "QRESYNC"
        elif name == "UTF8=ACCEPT":
            connection.session.utf8 = True
        else:
            continue
        enabled.append(name.encode("ascii"))
    connection.untagged(b" ".join((b"ENABLED", *enabled)))
    return "Enabled."


def enable_condstore(connection: ImapConnection) -> None:
    """A CONDSTORE enabling command was given; the first one tells where the mailbox stands (RFC 7162 section 3.1)."""
    if connection.condstore:
        return
    connection.condstore = True
    if connection.view is not None:
        connection.untagged(b"OK [HIGHESTMODSEQ %d] Highest" % max(1, connection.view.snapshot.highestmodseq))


def _word(data: bytes | None) -> str:
    return "NIL" if data is None else data.decode("utf-8", "replace")


async def identify(connection: ImapConnection, command: Id) -> str:
    """Say who we are; what the client says about itself goes to the log's event only."""
    if command.fields and connection.statistics.identified < _MAX_IDENTIFIED:
        connection.statistics.identified += 1
        said = ", ".join(f"{_word(key)}={_word(value)}" for key, value in command.fields)
        connection.service.log.identified(connection, said[:_MAX_LOGGED])
    name = connection.service.parameters.id_send
    connection.untagged(b"ID " + (b'("name" %b)' % render.string(name.encode()) if name else b"NIL"))
    return "ID completed."
