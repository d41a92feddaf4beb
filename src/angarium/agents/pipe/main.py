"""Puts delivery to commands together: the agent of the queue manager, and the service of the process of root's."""

from __future__ import annotations

from angarium.agents.pipe.deliverer import PipeDeliverer
from angarium.agents.pipe.parameters import PipeParameters
from angarium.config.master_cf import MasterService
from angarium.delivery.actor import NOBODY, Reserved
from angarium.delivery.attributes import PIPE, Attributes, read_attributes
from angarium.delivery.command import Commands, OwnCommands
from angarium.delivery.launcher import Launcher
from angarium.delivery.outcomes import OutcomeAgent, OutcomeService, RemoteDeliverer
from angarium.runtime.log import ServiceLog

__all__ = ["PipeParameters", "pipe_agent", "pipe_service"]


def pipe_agent(
    entry: MasterService,
    parameters: PipeParameters,
    log: ServiceLog,
    address: str | bytes | None,
    launcher: Launcher,
) -> OutcomeAgent:
    """The agent of a line of master.cf.

    Args:
        entry: the line.
        parameters: ``PipeParameters.from_config(conf, entry.name)``.
        log: ``postfix/pipe``.
        address: of the service in the process of root's; None: the command is run from here, as ourselves.
        launcher: starts the command then.
    """
    attributes = read_attributes(entry, PIPE)
    return OutcomeAgent(
        RemoteDeliverer(address, log)
        if address
        else PipeDeliverer(attributes, parameters, OwnCommands(launcher), log, NOBODY),
        relayed=isinstance(attributes, Attributes) and "X" not in attributes.flags,
    )


def pipe_service(
    entry: MasterService,
    parameters: PipeParameters,
    log: ServiceLog,
    askers: frozenset[int],
    reserved: Reserved,
    launcher: Launcher,
) -> OutcomeService:
    """The service of a process of root's, which answers the users in ``askers``."""
    deliverer = PipeDeliverer(read_attributes(entry, PIPE), parameters, Commands(launcher), log, reserved)
    return OutcomeService(deliverer, askers, log)
