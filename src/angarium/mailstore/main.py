"""Puts the mailstore together."""

from __future__ import annotations

import time
from collections.abc import Callable

from angarium.mailstore.owed import Tell
from angarium.mailstore.parameters import MailstoreParameters
from angarium.mailstore.store import PlanLookup, SqliteMailStore
from angarium.model.quota import QuotaPlan
from angarium.runtime.bus import Bus
from angarium.runtime.log import ServiceLog


def open_mailstore(
    parameters: MailstoreParameters,
    log: ServiceLog,
    bus: Bus | None = None,
    quota: PlanLookup | None = None,
    tell: Tell | None = None,
    clock: Callable[[], float] = time.time,
) -> SqliteMailStore:
    """The mailstore of this process; nothing is opened yet. Make it after the last fork.

    Args:
        parameters: ``MailstoreParameters.from_config(conf)``.
        log: for damage and full disks.
        bus: tells other processes of changes; may be started later. None when there is one process.
        quota: what is in force for an account. Asked once an append, so it answers fast; MailstoreUnavailableError when
            it cannot. None: ``parameters.quota`` for all.
        tell: called on the loop, after the commit, with the thresholds that a transaction passed. It must not block;
            what it returns is awaited, and says whether all has been told. What has not is told again later, or by
            the next process that uses the account. None: this process leaves it to others.
        clock: seconds since the epoch.
    """

    async def usual(account: str) -> QuotaPlan:  # noqa: ARG001 - the shape of a PlanLookup
        return parameters.quota

    return SqliteMailStore(
        parameters.virtual_mailbox_base,
        log,
        bus,
        quota or usual,
        tell,
        open_accounts=parameters.open_accounts,
        idle_limit=parameters.idle_limit,
        file_threshold=parameters.body_file_threshold,
        key_lifetime=parameters.duplicate_lifetime,
        writers=parameters.writer_threads,
        clock=clock,
    )
