"""Who connects: the client's address, and the host name that belongs to it.

The name is the address's PTR name when that name resolves to the address again, else ``unknown``
(postconf(5) ``smtpd_peername_lookup``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from angarium.runtime.dns import Records, Resolver


@dataclass(frozen=True, slots=True)
class Client:
    """The peer of a connection. ``name`` is verified, or ``unknown``."""

    name: str
    address: str
    port: int = 0
    label: str = ""

    @property
    def shown(self) -> str:
        """``name[address]``, as the log and replies show it."""
        return self.label or f"{self.name}[{self.address}]"


@dataclass(frozen=True, slots=True)
class ClientName:
    """Outcome of a name lookup; ``warning`` is for the log when the name is not to be trusted."""

    name: str
    warning: str = ""


class ClientResolver(Protocol):
    """Finds the host name of an address. Never raises; what fails is ``unknown``."""

    async def client_name(self, address: str) -> ClientName:
        """The name of ``address``."""
        ...


UNKNOWN = ClientName("unknown")


class DnsClientResolver:
    """Asks the hosts file and DNS, through the process's resolver, which remembers answers."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver

    async def client_name(self, address: str) -> ClientName:
        """The name of ``address``."""
        names = await self._resolver.ptr(address)
        if not isinstance(names, Records):
            return UNKNOWN
        name = names.values[0]
        family = 6 if ":" in address else 4
        found = await self._resolver.addresses(name, families=(family,))
        if isinstance(found, Records):
            if address in found.values:
                return ClientName(name)
            return ClientName("unknown", f"hostname {name} does not resolve to address {address}")
        return ClientName("unknown", f"hostname {name} does not resolve to address {address}: {found}")
