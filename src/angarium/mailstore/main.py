"""Puts the mailstore together."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

from angarium.mailstore.parameters import MailstoreParameters
from angarium.mailstore.store import SqliteMailStore
from angarium.mailstore.writing import Limits
from angarium.runtime.bus import Bus
from angarium.runtime.log import ServiceLog

QuotaLookup = Callable[[str], Awaitable[tuple[int, int] | None]]


def open_mailstore(
    parameters: MailstoreParameters,
    log: ServiceLog,
    bus: Bus | None = None,
    quota: QuotaLookup | None = None,
    clock: Callable[[], float] = time.time,
) -> SqliteMailStore:
    """The mailstore of this process; nothing is opened yet. Make it after the last fork.

    Args:
        parameters: ``MailstoreParameters.from_config(conf)``.
        log: for damage and full disks.
        bus: tells other processes of changes; may be started later. None when there is one process.
        quota: an account's own limits as ``(bytes, messages)``, 0 for none, or None when it has none of its own and
            ``mailstore_bytes_limit`` and ``mailstore_messages_limit`` hold. Asked once an append, so it answers fast.
        clock: seconds since the epoch.
    """
    usual = Limits(parameters.bytes_limit, parameters.messages_limit)

    async def limits(account: str) -> Limits:
        own = await quota(account) if quota is not None else None
        return usual if own is None else Limits(*own)

    return SqliteMailStore(
        parameters.virtual_mailbox_base,
        log,
        bus,
        limits,
        open_accounts=parameters.open_accounts,
        idle_limit=parameters.idle_limit,
        file_threshold=parameters.body_file_threshold,
        key_lifetime=parameters.duplicate_lifetime,
        writers=parameters.writer_threads,
        clock=clock,
    )
