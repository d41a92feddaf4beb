"""GETQUOTA, GETQUOTAROOT, SETQUOTA (RFC 9208). An account has one root; limits are the administrator's to set.

Its domain is a second one when ``imapd_quota_domain`` says so: what a domain holds tells a user of others. A mailbox
that does not count has no root.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from angarium.daemons.imapd.errors import No
from angarium.mailstore.interface import NoSuchMailboxError, Quota
from angarium.protocols.imap import render
from angarium.protocols.imap.types import MailboxCommand, QuotaCommand

if TYPE_CHECKING:
    from angarium.daemons.imapd.connection import ImapConnection

ROOT = b"User quota"
DOMAIN_ROOT = b"Domain quota"


async def get_quota_root(connection: ImapConnection, command: MailboxCommand) -> str:
    """The root of a mailbox, and its quota."""
    store = connection.account_store()
    try:
        mailbox = await store.mailbox(command.mailbox)
        counted = await store.is_counted(mailbox)
    except NoSuchMailboxError:  # the roots of one that could be made
        counted = True
    roots = await _roots(connection) if counted else {}
    name = render.mailbox(command.mailbox, utf8=connection.session.utf8)
    connection.untagged(b" ".join((b"QUOTAROOT", name, *map(render.astring, roots))))
    for root, quota in roots.items():
        _tell(connection, root, quota)
    return "Getquotaroot completed."


async def get_quota(connection: ImapConnection, command: QuotaCommand) -> str:
    """The quota of the root."""
    quota = (await _roots(connection)).get(command.root)
    if quota is None:
        msg = "[NONEXISTENT] No such quota root"
        raise No(msg)
    _tell(connection, command.root, quota)
    return "Getquota completed."


async def set_quota(_connection: ImapConnection, _command: QuotaCommand) -> str:
    """Refused."""
    msg = "[NOPERM] Quota is set by the administrator"
    raise No(msg)


async def _roots(connection: ImapConnection) -> dict[bytes, Quota]:
    quota = await connection.account_store().quota()
    roots = {ROOT: quota}
    if quota.domain is not None and connection.service.parameters.quota_domain:
        roots[DOMAIN_ROOT] = quota.domain
    return roots


def _tell(connection: ImapConnection, root: bytes, quota: Quota) -> None:
    resources = []
    if quota.bytes_limit:
        # Storage is counted in units of 1,024 bytes (RFC 9208 section 5.1): a begun one counts.
        resources.append(b"STORAGE %d %d" % (-(-quota.bytes_used // 1024), -(-quota.bytes_limit // 1024)))
    if quota.messages_limit:
        resources.append(b"MESSAGE %d %d" % (quota.messages_used, quota.messages_limit))
    connection.untagged(b"QUOTA %b (%b)" % (render.astring(root), b" ".join(resources)))
