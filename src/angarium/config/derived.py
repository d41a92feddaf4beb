"""Defaults that Postfix computes: ``myhostname``, ``mydomain``, ``mynetworks``, and what names this version.

They are computed only when asked for, since most commands ask for none of them.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from angarium.config.values import names

if TYPE_CHECKING:
    from angarium.config.interfaces import Interface

MAIL_VERSION = "3.9.1"
"""The release of Postfix whose behaviour and log lines ours are compatible with: what scripts compare with."""

MAIL_RELEASE_DATE = "20241204"

DEFAULT_DOMAIN = "localdomain"

Ask = Callable[[str], str]


def myhostname(ask: Ask, explicit_domain: str | None) -> str:
    """The machine's name, with ``mydomain`` behind it when it has no dot."""
    del ask
    name = os.uname().nodename
    return name if "." in name else f"{name}.{explicit_domain or DEFAULT_DOMAIN}"


def mydomain(ask: Ask) -> str:
    """``myhostname`` without its first label."""
    return ask("myhostname").partition(".")[2] or DEFAULT_DOMAIN


def mynetworks(ask: Ask) -> str:
    """Our own networks or addresses, by ``mynetworks_style``, of the interfaces that ``inet_interfaces`` names."""
    style = ask("mynetworks_style").lower()
    seen: dict[str, None] = {}
    for interface in chosen_interfaces(ask("inet_interfaces"), ask("inet_protocols")):
        seen.setdefault(_network(interface, style))
    return " ".join(seen)


def chosen_interfaces(inet_interfaces: str, inet_protocols: str) -> list[Interface]:
    """This machine's addresses that ``inet_interfaces`` and ``inet_protocols`` select."""
    from angarium.config.interfaces import own_addresses  # late: most commands never ask for networks

    wanted = [word.lower() for word in names(inet_interfaces)]
    protocols = {word.lower() for word in names(inet_protocols)}
    versions = {4, 6} if "all" in protocols else {int(word[-1]) for word in protocols if word in ("ipv4", "ipv6")}
    chosen = []
    for interface in own_addresses():
        if interface.version not in versions:
            continue
        if "all" in wanted:
            chosen.append(interface)
        elif "loopback-only" in wanted or "localhost" in wanted:
            if interface.ip.is_loopback:
                chosen.append(interface)
        elif str(interface.ip) in [word.strip("[]") for word in wanted]:
            chosen.append(interface)
    return chosen


def _network(interface: Interface, style: str) -> str:
    import ipaddress  # late, as above

    address = interface.ip
    length: int
    if style == "host":
        length = address.max_prefixlen
    elif style == "class" and isinstance(address, ipaddress.IPv4Address):
        first = address.packed[0]
        length = 8 if first < 128 else 16 if first < 192 else 24
    else:
        length = interface.network.prefixlen
    network = ipaddress.ip_network((address, length), strict=False)
    if network.version == 6:
        return f"[{network.network_address}]/{length}"
    return f"{network.network_address}/{length}"
