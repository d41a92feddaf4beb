"""GETQUOTA, GETQUOTAROOT, SETQUOTA (RFC 9208). An account has one root; limits are the administrator's to set."""

from __future__ import annotations

from typing import TYPE_CHECKING

from angarium.daemons.imapd.errors import No
from angarium.protocols.imap import render
from angarium.protocols.imap.types import MailboxCommand, QuotaCommand

if TYPE_CHECKING:
    from angarium.daemons.imapd.connection import ImapConnection

ROOT = b"User quota"


async def get_quota_root(connection: ImapConnection, command: MailboxCommand) -> str:
    """The root of a mailbox, and its quota."""
    name = render.mailbox(command.mailbox, utf8=connection.session.utf8)
    connection.untagged(b"QUOTAROOT %b %b" % (name, render.astring(ROOT)))
    await _tell(connection)
    return "Getquotaroot completed."


async def get_quota(connection: ImapConnection, command: QuotaCommand) -> str:
    """The quota of the root."""
    if command.root != ROOT:
        msg = "[NONEXISTENT] No such quota root"
        raise No(msg)
    await _tell(connection)
    return "Getquota completed."


async def set_quota(_connection: ImapConnection, _command: QuotaCommand) -> str:
    """Refused."""
    msg = "[NOPERM] Quota is set by the administrator"
    raise No(msg)


async def _tell(connection: ImapConnection) -> None:
    quota = await connection.account_store().quota()
    resources = []
    if quota.bytes_limit:
        # Storage is counted in units of 1,024 bytes (RFC 9208 section 5.1): a begun one counts.
        resources.append(b"STORAGE %d %d" % (-(-quota.bytes_used // 1024), -(-quota.bytes_limit // 1024)))
    if quota.messages_limit:
        resources.append(b"MESSAGE %d %d" % (quota.messages_used, quota.messages_limit))
    connection.untagged(b"QUOTA %b (%b)" % (render.astring(ROOT), b" ".join(resources)))
