"""Puts the virtual delivery agent together."""

from __future__ import annotations

import time
from collections.abc import Callable

from angarium.agents.virtual.agent import VirtualAgent
from angarium.agents.virtual.lookup import Locate
from angarium.agents.virtual.parameters import VirtualParameters
from angarium.mailstore.interface import MailStore
from angarium.runtime.log import ServiceLog


def local_zone(now: float) -> int:
    """Minutes east of UTC, of this machine's time zone at that time."""
    return time.localtime(now).tm_gmtoff // 60


def virtual_agent(
    parameters: VirtualParameters,
    store: MailStore,
    locate: Locate,
    log: ServiceLog,
    clock: Callable[[], float] = time.time,
) -> VirtualAgent:
    """The agent for the transport ``virtual``.

    Args:
        parameters: ``VirtualParameters.from_config(conf)``.
        store: the mailstore, from ``mailstore.main.open_mailstore``.
        locate: an asynchronous lookup in ``virtual_mailbox_maps``: a key (``user@domain`` or ``@domain``, lower case)
            to a ``Lookup``. The agent itself tries the address with and without its extension, and the domain.
        log: ``ServiceLog(sink, "postfix/virtual")``.
        clock: seconds since the epoch.
    """
    return VirtualAgent(parameters, store, locate, log, clock, local_zone)
