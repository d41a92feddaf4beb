"""The programs that a line of master.cf may name, and what becomes of each.

Kept apart from ``wiring`` so that a command can check master.cf without importing the whole server.
"""

from __future__ import annotations

from collections.abc import Sequence

from angarium.config.config import Config
from angarium.config.master_cf import MasterService

NETWORK = frozenset({"smtpd", "imapd", "pop3d"})
"""Their inet services run in the workers."""

LOCAL = frozenset({"pickup", "showq", "quota-status"})
"""Their services listen beside the queue manager: on a unix socket, quota-status perhaps on an inet one."""

AGENTS = frozenset({"smtp", "lmtp", "virtual", "local", "pipe", "error", "discard"})
"""They deliver mail: their services are the queue manager's transports."""

PRIVILEGED = frozenset({"local", "pipe"})
"""Agents that become other users: a server that root has started runs them in a process of root's."""

SPAWNING = frozenset({"spawn"})
"""Their services, unix and inet, run a command for each connection: in that process, else beside the queue manager."""

BUILT_IN = frozenset(
    {
        "anvil",
        "bounce",
        "cleanup",
        "flush",
        "oqmgr",
        "postlogd",
        "proxymap",
        "qmgr",
        "scache",
        "tlsmgr",
        "tlsproxy",
        "trivial-rewrite",
        "verify",
    }
)
"""Their work is done inside the processes that need it: their lines are accepted and start nothing."""


def is_privileged(entry: MasterService, conf: Config) -> bool:
    """Whether the agent of a line becomes other users. Raises ConfigError."""
    if entry.type != "unix":
        return False
    return entry.command in PRIVILEGED or (entry.command == "virtual" and delivers_to_files(entry, conf))


def delivers_to_files(entry: MasterService, conf: Config) -> bool:
    """Whether a line for ``virtual`` delivers to Maildirs and mailbox files of users. Raises ConfigError."""
    return conf.for_service(entry).choice("virtual_mailbox_format") == "files"


def has_only_files(conf: Config) -> bool:
    """Whether virtual_mailbox_base belongs to users, and the mailstore has no part in it. Raises ConfigError."""
    lines = [entry for entry in conf.master.services if entry.type == "unix" and entry.command == "virtual"]
    return bool(lines) and all(delivers_to_files(entry, conf) for entry in lines)


def unsupported(entries: Sequence[MasterService]) -> list[MasterService]:
    """The services that nothing here runs; mail for such a transport waits in the queue."""
    return [entry for entry in entries if entry.command not in NETWORK | LOCAL | AGENTS | SPAWNING | BUILT_IN]
