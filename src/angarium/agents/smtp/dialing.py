"""From a target to an open connection: TCP from the address that main.cf wants, or a unix socket.

smtp_bind_address and smtp_bind_address6 say from where; without them a host that listens on one address only, and not
on loopback, calls from that one, so that a virtual host is known by its own address. A source address that cannot be
had is a warning, and the call is made without it; smtp_bind_address_enforce defers the mail instead.

Fails with OSError (no connection) or ``UnboundError`` (no source address).
"""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path

from angarium.agents.smtp.connection import Connection
from angarium.agents.smtp.hosts import Target
from angarium.agents.smtp.parameters import SmtpParameters
from angarium.agents.smtp.trouble import UnboundError
from angarium.runtime.log import ServiceLog


async def dial(connection: Connection, parameters: SmtpParameters, log: ServiceLog) -> None:
    """Open ``connection`` to its target. Raises OSError and UnboundError."""
    target = connection.target
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(parameters.timeouts.connect or None):
        if not target.port:
            path = Path(parameters.queue_directory, target.address)
            await loop.create_unix_connection(lambda: connection, str(path))
            return
        source = _source(target, parameters)
        bound = _bound(source, target, parameters, log) if source else None
        if bound is None:
            await loop.create_connection(lambda: connection, target.address, target.port)
            return
        try:
            await loop.sock_connect(bound, (target.address, target.port))
            await loop.create_connection(lambda: connection, sock=bound)
        except BaseException:
            bound.close()
            raise


def _source(target: Target, parameters: SmtpParameters) -> str:
    if ":" in target.address:
        return parameters.bind_address6 or parameters.only_address6
    return parameters.bind_address or parameters.only_address


def _bound(source: str, target: Target, parameters: SmtpParameters, log: ServiceLog) -> socket.socket | None:
    """A socket with the source address; None when it cannot be had and need not."""
    family = socket.AF_INET6 if ":" in target.address else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setblocking(False)
        bound.bind((source, 0))
    except OSError as error:
        bound.close()
        reason = os.strerror(error.errno) if error.errno else str(error)
        log.warning(f"smtp_connect_addr: bind {source}: {reason}")
        if parameters.bind_address_enforce:
            raise UnboundError from None
        return None
    return bound
