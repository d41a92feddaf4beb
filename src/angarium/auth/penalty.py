"""What wrong passwords cost the address that they come from, whatever the protocol.

Lives in one process, which its services share. Exempt networks (loopback by default, where proxies and web mail sit)
are not counted. An IPv6 client counts as its network of 64 bits, for it may take any address in it. The table is
bounded: the oldest entries go first.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from collections.abc import Iterable

_MAX_ADDRESSES = 20_000
_FORGET_AFTER = 60.0 * 15
_FIRST_DELAY = 2.0
_LAST_DELAY = 15.0


class Networks:
    """A set of networks, as ``127.0.0.0/8 [::1]/128``.

    Raises:
        ValueError: not networks.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._networks = tuple(
            ipaddress.ip_network(name.replace("[", "").replace("]", ""), strict=False) for name in names
        )

    def __contains__(self, address: object) -> bool:
        try:
            parsed = ipaddress.ip_address(str(address).partition("%")[0])
        except ValueError:
            return False
        if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
            parsed = parsed.ipv4_mapped
        return any(parsed in network for network in self._networks if network.version == parsed.version)


class LoginPenalty:
    """Seconds to wait before the next attempt of an address: 2, 4, 8, at most 15; forgotten after 15 quiet minutes."""

    def __init__(self, exempt: Networks) -> None:
        self._exempt = exempt
        self._failures: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def delay(self, address: str, now: float) -> float:
        """How long this address has to wait now."""
        failures, last = self._failures.get(_source(address), (0, 0.0))
        if not failures or now - last > _FORGET_AFTER:
            return 0.0
        return min(_LAST_DELAY, _FIRST_DELAY * float(1 << min(failures - 1, 8)))

    def failed(self, address: str, now: float) -> None:
        """A wrong password came from there."""
        if address in self._exempt:
            return
        source = _source(address)
        failures, last = self._failures.pop(source, (0, 0.0))
        if now - last > _FORGET_AFTER:
            failures = 0
        self._failures[source] = (failures + 1, now)
        if len(self._failures) > _MAX_ADDRESSES:
            self._failures.popitem(last=False)

    def succeeded(self, address: str) -> None:
        """A right one: all is forgiven."""
        self._failures.pop(_source(address), None)


def _source(address: str) -> str:
    """What counts as one client."""
    if ":" not in address:
        return address
    try:
        parsed = ipaddress.IPv6Address(address.partition("%")[0])
    except ValueError:
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(parsed) >> 64 << 64, 64)))
