"""The commands: what each verb of ``protocols.imap.states`` does. One module a command, or a family of small ones.

A handler is given the connection and the command, writes its untagged responses, and returns the text of the tagged
OK (None when the answer comes later, as for IDLE). It refuses with ``errors.No`` and ``errors.Bad``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from angarium.daemons.imapd.commands import (
    authenticate,
    capability,
    copy,
    expunge,
    fetch,
    idle,
    listing,
    login,
    mailboxes,
    quota,
    search,
    select,
    starttls,
    status,
    store,
)

if TYPE_CHECKING:
    from angarium.daemons.imapd.connection import ImapConnection

Handler = Callable[["ImapConnection", Any], Awaitable[str | None]]
"""The command's own type is fixed by the parser's table for that verb."""

HANDLERS: dict[str, Handler] = {
    "CAPABILITY": capability.capability,
    "NOOP": idle.noop,
    "LOGOUT": login.logout,
    "ID": capability.identify,
    "STARTTLS": starttls.starttls,
    "AUTHENTICATE": authenticate.authenticate,
    "LOGIN": login.login,
    "ENABLE": capability.enable,
    "SELECT": select.select,
    "EXAMINE": select.select,
    "CREATE": mailboxes.create,
    "DELETE": mailboxes.delete,
    "RENAME": mailboxes.rename,
    "SUBSCRIBE": mailboxes.subscribe,
    "UNSUBSCRIBE": mailboxes.subscribe,
    "LIST": listing.list_mailboxes,
    "LSUB": listing.list_subscribed,
    "NAMESPACE": listing.namespace,
    "STATUS": status.status,
    "IDLE": idle.idle,
    "GETQUOTA": quota.get_quota,
    "GETQUOTAROOT": quota.get_quota_root,
    "SETQUOTA": quota.set_quota,
    "CHECK": idle.noop,
    "CLOSE": select.close,
    "UNSELECT": select.unselect,
    "EXPUNGE": expunge.expunge,
    "SEARCH": search.search,
    "FETCH": fetch.fetch,
    "STORE": store.store,
    "COPY": copy.copy,
    "MOVE": copy.copy,
    "UID EXPUNGE": expunge.uid_expunge,
    "UID SEARCH": search.search,
    "UID FETCH": fetch.fetch,
    "UID STORE": store.store,
    "UID COPY": copy.copy,
    "UID MOVE": copy.copy,
}
