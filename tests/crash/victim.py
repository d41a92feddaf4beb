"""A server to be killed: ``python victim.py ROLE CONFIG`` prints ``ready`` when it serves.

Roles: ``network`` is every network service of master.cf, ``qmgr`` the queue manager, ``all`` both in one process.
Two processes share queue and mailboxes as master's workers and qmgr do.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from angarium.config.config import Config
from angarium.master import programs
from angarium.master.listeners import bind
from angarium.master.node import Node, make_directories
from angarium.master.tls import server_tls
from angarium.master.transports import queue_manager
from angarium.master.wiring import NetworkWiring
from angarium.runtime.log import open_log


async def serve(role: str, conf: Config) -> None:
    entries = conf.master.services
    make_directories(Path(conf.text("queue_directory")))
    node = Node(conf, open_log(conf.text("maillog_file"), "text", "mail"))
    await node.start()
    async with asyncio.TaskGroup() as group:
        if role != "qmgr":
            network = [entry for entry in entries if entry.command in programs.NETWORK and entry.type == "inet"]
            wiring = NetworkWiring(node, {entry.key: server_tls(conf, entry) for entry in network})
            for entry in network:
                group.create_task(wiring.service(entry).run(bind(entry, conf)))
        if role != "network":
            group.create_task(queue_manager(node, entries).run([]))
        await asyncio.sleep(0)
        print("ready", flush=True)


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], Config.load(Path(sys.argv[2]))))
