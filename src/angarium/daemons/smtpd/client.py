"""Who connects: the client's address, and the host name that belongs to it.

The name is the address's PTR name when that name resolves to the address again, else ``unknown``
(postconf(5) ``smtpd_peername_lookup``).
"""

from __future__ import annotations

import asyncio
import socket
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol


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


class SystemClientResolver:
    """Asks the system's resolver, so that /etc/hosts counts, as Postfix does it. Remembers answers for a while."""

    def __init__(self, clock: Callable[[], float], *, keep: float = 60.0, limit: int = 10_000) -> None:
        self._clock = clock
        self._keep = keep
        self._limit = limit
        self._known: OrderedDict[str, tuple[float, ClientName]] = OrderedDict()

    async def client_name(self, address: str) -> ClientName:
        """The name of ``address``."""
        known = self._known.get(address)
        now = self._clock()
        if known is not None and known[0] > now:
            return known[1]
        name = await self._look_up(address)
        self._known[address] = (now + self._keep, name)
        if len(self._known) > self._limit:
            self._known.popitem(last=False)
        return name

    async def _look_up(self, address: str) -> ClientName:
        loop = asyncio.get_running_loop()
        try:
            name, _ = await loop.getnameinfo((address, 0), socket.NI_NAMEREQD | socket.NI_NUMERICSERV)
        except OSError:
            return UNKNOWN
        try:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            found = await loop.getaddrinfo(name, None, family=family, type=socket.SOCK_STREAM)
        except OSError as error:
            return ClientName("unknown", f"hostname {name} does not resolve to address {address}: {error.strerror}")
        if any(entry[4][0] == address for entry in found):
            return ClientName(name)
        return ClientName("unknown", f"hostname {name} does not resolve to address {address}")
