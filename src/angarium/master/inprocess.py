"""The whole server in one process: every service of master.cf as a task of one event loop.

For a demo, a test, a debugger. It binds, it does not fork, it does not change users. ``OneProcess.serve`` runs until
it is cancelled or told to stop; sessions under way get ``STOP_PATIENCE`` to end.

Fails like ``wiring``; a service that ends by itself ends the server, with the service's error.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path

from angarium.config.config import Config
from angarium.config.master_cf import MasterService
from angarium.master import programs
from angarium.master.listeners import adopted_sockets, bind, bind_unix
from angarium.master.node import Node, make_directories
from angarium.master.tls import server_tls
from angarium.master.transports import queue_manager
from angarium.master.wiring import NetworkWiring, local_service, socket_path
from angarium.runtime.log import MailLog
from angarium.runtime.service import Service

STOP_PATIENCE = 1.0
"""Seconds that sessions have to end."""


class OneProcess:
    """All services of a configuration.

    Args:
        conf: main.cf; master.cf beside it says which services there are.
        sink: the mail log.

    Raises:
        ConfigError, TlsError, OSError: something cannot be read, made or bound.
    """

    def __init__(self, conf: Config, sink: MailLog) -> None:
        self._conf = conf
        self._sink = sink
        self._entries = conf.master.services
        adopted = adopted_sockets()
        self._listening: list[tuple[MasterService, list[socket.socket]]] = [
            (entry, bind(entry, conf, adopted))
            for entry in self._entries
            if entry.command in programs.NETWORK and entry.type == "inet"
        ]
        self._contexts = {entry.key: server_tls(conf, entry, sink) for entry, _sockets in self._listening}
        make_directories(Path(conf.text("queue_directory")))
        place = Path(conf.text("queue_directory"))
        self._local: list[tuple[MasterService, list[socket.socket]]] = [
            (entry, bind(entry, conf, adopted) if entry.type == "inet" else [bind_unix(socket_path(entry, place))])
            for entry in self._entries
            if entry.command in programs.LOCAL | programs.SPAWNING and entry.type in ("unix", "inet")
        ]
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Let ``serve`` return when the sessions have ended, or have had their time."""
        self._stopping.set()

    async def serve(self, ready: Callable[[], None] = lambda: None) -> None:
        """Run all services; ``ready`` is called when they listen."""
        node = Node(self._conf, self._sink)
        await node.start()
        wiring = NetworkWiring(node, self._contexts)
        services: list[tuple[Service, list[socket.socket]]] = [
            (wiring.service(entry), sockets) for entry, sockets in self._listening
        ]
        services.append((queue_manager(node, self._entries), []))
        services += [(local_service(node, entry), sockets) for entry, sockets in self._local]
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(service.run(sockets)) for service, sockets in services]
                ready()
                await self._stopping.wait()
                for service, _sockets in services:
                    service.drain()
                await asyncio.wait(tasks, timeout=STOP_PATIENCE)
                for task in tasks:
                    task.cancel()
        finally:
            await node.close()
