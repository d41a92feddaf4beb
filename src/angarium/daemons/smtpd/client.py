"""Who connects: the client's address, and the host name that belongs to it.

The name is the address's PTR name when that name resolves to the address again, else ``unknown``
(postconf(5) ``smtpd_peername_lookup``).
"""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct
from msgspec.structs import replace

from angarium.runtime.dns import DnsFailure, Records, Resolver


class Client(Struct, frozen=True):
    """The peer of a connection. ``name`` is verified, or ``unknown``.

    ``reverse_name`` is what its address is called, verified or not; ``name_failed`` and ``reverse_failed`` say that
    the one or the other could not be looked up now. ``server`` is our address and port that it has connected to.
    """

    name: str
    address: str
    port: int = 0
    label: str = ""
    reverse_name: str = "unknown"
    name_failed: bool = False
    reverse_failed: bool = False
    server: tuple[str, int] = ("", 0)

    @property
    def shown(self) -> str:
        """``name[address]``, as the log and replies show it."""
        return self.label or f"{self.name}[{self.address}]"

    def labelled(self, *, port: bool) -> Client:
        """The client with what the log calls it; ``port``: with its port (smtpd_client_port_logging)."""
        label = f"{self.name}[{self.address}]"
        return replace(self, label=f"{label}:{self.port or 'unknown'}" if port else label)


class ClientName(Struct, frozen=True):
    """Outcome of a lookup; ``warning`` is for the log when the name is not to be trusted; the rest as in ``Client``."""

    name: str
    warning: str = ""
    reverse_name: str = "unknown"
    name_failed: bool = False
    reverse_failed: bool = False


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
            failed = isinstance(names, DnsFailure)
            return ClientName("unknown", name_failed=failed, reverse_failed=failed)
        name = names.values[0]
        family = 6 if ":" in address else 4
        found = await self._resolver.addresses(name, families=(family,))
        if isinstance(found, Records):
            if address in found.values:
                return ClientName(name, reverse_name=name)
            return ClientName("unknown", f"hostname {name} does not resolve to address {address}", name)
        warning = f"hostname {name} does not resolve to address {address}: {found}"
        return ClientName("unknown", warning, name, name_failed=isinstance(found, DnsFailure))
