"""The programs that a line of master.cf may name, and what becomes of each.

Kept apart from ``wiring`` so that a command can check master.cf without importing the whole server.
"""

from __future__ import annotations

from collections.abc import Sequence

from angarium.config.master_cf import MasterService

NETWORK = frozenset({"smtpd", "imapd", "pop3d"})
"""Their inet services run in the workers."""

LOCAL = frozenset({"pickup", "showq"})
"""Their services listen on a unix socket, beside the queue manager."""

AGENTS = frozenset({"smtp", "lmtp", "virtual", "local", "error", "discard"})
"""They deliver mail: their services are the queue manager's transports."""

PRIVILEGED = frozenset({"local"})
"""Agents that become their recipients: a server that root has started runs them in a process of root's."""

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
    }
)
"""Their work is done inside the processes that need it: their lines are accepted and start nothing."""


def unsupported(entries: Sequence[MasterService]) -> list[MasterService]:
    """The services that nothing here runs; mail for such a transport waits in the queue."""
    return [entry for entry in entries if entry.command not in NETWORK | LOCAL | AGENTS | BUILT_IN]
