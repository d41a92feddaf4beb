"""Puts local delivery together: the agent of the queue manager, and the service of the local process."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace

from angarium.agents.local.agent import Deliverer, LocalAgent
from angarium.agents.local.aliases import AliasTables, AskAlias
from angarium.agents.local.deliverer import LocalDeliverer, Part
from angarium.agents.local.parameters import LocalParameters
from angarium.agents.local.remote import RemoteDeliverer
from angarium.agents.local.service import LocalService
from angarium.agents.local.trial import TrialWorld
from angarium.agents.local.world import Ask, MachineWorld
from angarium.delivery.command import Commands, OwnCommands
from angarium.delivery.filerights import FileRights
from angarium.delivery.launcher import Launcher
from angarium.delivery.rights import ForkedRights, OwnRights
from angarium.model.delivery import DeliveryRequest
from angarium.rewrite.interface import Resolver
from angarium.runtime.log import ServiceLog

__all__ = [
    "AliasTables",
    "AskAlias",
    "LocalAgent",
    "LocalParameters",
    "LocalService",
    "Part",
    "RemoteDeliverer",
    "local_deliverer",
    "local_service",
    "local_trial",
]


def local_deliverer(
    parameters: LocalParameters,
    alias: AskAlias,
    resolver: Resolver,
    log: ServiceLog,
    launcher: Launcher,
    tables: Mapping[str, Ask] | None = None,
) -> Deliverer:
    """What delivers in this process with the rights of its own user.

    Args:
        parameters: ``LocalParameters.from_config(conf, transport)``.
        alias: ``AliasTables.find``.
        resolver: completes addresses, and knows which are ours.
        log: ``postfix/local``.
        launcher: starts commands.
        tables: other tables, see ``MachineWorld``.
    """
    rights = OwnRights()
    world = MachineWorld(parameters, alias, rights, log, tables=tables)
    return LocalDeliverer(parameters, world, resolver, OwnCommands(launcher), rights, log)


async def local_trial(
    parameters: LocalParameters,
    alias: AskAlias,
    resolver: Resolver,
    log: ServiceLog,
    request: DeliveryRequest,
    tables: Mapping[str, Ask] | None = None,
) -> tuple[Sequence[Part], Sequence[str]]:
    """What would be done for the one recipient of a request, and what was read to know it; nothing is delivered.

    Root reads files with the rights of their users; somebody else sees his own alone.
    """
    seen: list[str] = []
    rights = ForkedRights() if os.geteuid() == 0 else OwnRights()
    world = TrialWorld(parameters, alias, rights, log, seen, tables)
    deliverer = LocalDeliverer(parameters, world, resolver, OwnCommands(Launcher()), rights, log)
    (parts,) = await deliverer.deliver(replace(request, verify=True))
    return parts, seen


def local_service(
    parameters: LocalParameters,
    alias: AskAlias,
    resolver: Resolver,
    log: ServiceLog,
    askers: frozenset[int],
    launcher: Launcher,
    tables: Mapping[str, Ask] | None = None,
) -> LocalService:
    """The service of a process of root's, which answers the users in ``askers``."""
    rights = FileRights()
    world = MachineWorld(parameters, alias, rights, log, tables=tables)
    deliverer = LocalDeliverer(parameters, world, resolver, Commands(launcher), rights, log)
    return LocalService(deliverer, askers, log)
