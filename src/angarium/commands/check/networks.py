"""Checks of mynetworks: clients in it may relay, so it holds what is ours and nothing else."""

from __future__ import annotations

import ipaddress
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

from angarium.commands.check.finding import Finding, Rule, Severity
from angarium.commands.check.installation import Installation
from angarium.config.config import Config

WORLD = Rule(
    "mynetworks-world",
    Severity.ERROR,
    "mynetworks trusts {network}: {count} addresses",
    "list the networks of your own machines; strangers use port 25 without trust",
)
GATEWAY = Rule(
    "mynetworks-gateway",
    Severity.WARNING,
    "mynetworks trusts {network}, and with it the gateway {gateway}",
    "where the gateway translates addresses, the whole Internet comes from it: list the machines without it",
)
MALFORMED = Rule(
    "mynetworks-malformed",
    Severity.ERROR,
    "mynetworks: {word}: {reason}",
    "clients cannot be told apart and get a temporary error: {hint}",
)

SPEAKERS = Rule(
    "xclient-world",
    Severity.ERROR,
    "smtpd_authorized_xclient_hosts trusts {word}: anybody may say that he is another client",
    "list the proxies alone: who may use XCLIENT may be in mynetworks, or logged in, as he likes",
)

RULES = (WORLD, GATEWAY, MALFORMED, SPEAKERS)

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_WIDEST = {4: 7, 6: 15}
"""Prefix lengths up to which a network is more than anybody has."""


def check(site: Installation) -> Iterator[Finding]:
    """Find networks that are too wide to be trusted."""
    gateways = default_gateways()
    for view, entry in site.views:
        if entry is None or "mynetworks" in entry.overrides:
            yield from _of_view(site, view, gateways)
        if entry is None or "smtpd_authorized_xclient_hosts" in entry.overrides:
            for word, place in site.words(view, "smtpd_authorized_xclient_hosts"):
                if not word.startswith("!") and is_world(word):
                    yield Finding(SPEAKERS, *place, {"word": word})


def _of_view(site: Installation, view: Config, gateways: list[Address]) -> Iterator[Finding]:
    places = dict(reversed(site.words(view, "mynetworks")))
    excluded = [network for word in places if word.startswith("!") and isinstance(network := parse(word[1:]), _KINDS)]
    for word, place in reversed(places.items()):
        if word.lower() == "static:all":
            yield Finding(WORLD, *place, {"network": word, "count": "all"})
        if word.startswith(("!", "/")) or (":" in word and not word.startswith("[") and word[:1].isalpha()):
            continue
        network = parse(word)
        if isinstance(network, str):
            fault, hint = network.split("|")
            yield Finding(MALFORMED, *place, {"word": word, "reason": fault, "hint": hint})
            continue
        if network.prefixlen <= _WIDEST[network.version]:
            yield Finding(WORLD, *place, {"network": word, "count": f"{network.num_addresses:,}"})
            continue
        for gateway in gateways:
            ours = gateway.version == network.version and gateway in network and not gateway.is_loopback
            if ours and not any(gateway in other for other in excluded if other.version == gateway.version):
                yield Finding(GATEWAY, *place, {"network": word, "gateway": gateway})


_KINDS = (ipaddress.IPv4Network, ipaddress.IPv6Network)


def parse(word: str) -> Network | str:
    """``10.0.0.0/8``, ``[::1]/128`` as a network; what is wrong and what to do, parted by ``|``, when it is none."""
    text = word
    if word.startswith("["):
        inner, bracket, rest = word[1:].partition("]")
        if not bracket or (rest and not rest.startswith("/")):
            return 'bad address pattern|write it as "[address]/length"'
        text = inner + rest
    elif word.count(":") > 1:
        return f'bad address pattern|write "[{word.partition("/")[0]}]" with brackets'
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        pass
    try:
        meant = ipaddress.ip_network(text, strict=False)
    except ValueError:
        return "this is neither an address nor a network|names have no place in mynetworks"
    shown = f"[{meant.network_address}]/{meant.prefixlen}" if meant.version == 6 else str(meant)
    return f'non-null host address bits in "{word}"|perhaps you should use "{shown}" instead'


def is_world(word: str) -> bool:
    """Whether an entry of mynetworks matches more than anybody has."""
    if word in ("static:all", "static:ALL"):
        return True
    network = parse(word)
    return isinstance(network, _KINDS) and network.prefixlen <= _WIDEST[network.version]


def default_gateways() -> list[Address]:
    """The gateways of the default routes of this machine, from the kernel's tables; none where there are none."""
    found: list[Address] = []
    try:
        for row in Path("/proc/net/route").read_text(encoding="ascii").splitlines()[1:]:
            columns = row.split()
            if columns[1] == "00000000" and columns[2] != "00000000":
                found.append(ipaddress.IPv4Address(socket.inet_ntoa(struct.pack("=I", int(columns[2], 16)))))
        for row in Path("/proc/net/ipv6_route").read_text(encoding="ascii").splitlines():
            columns = row.split()
            if columns[0] == "0" * 32 and columns[1] == "00" and columns[4] != "0" * 32:
                found.append(ipaddress.IPv6Address(bytes.fromhex(columns[4])))
    except (OSError, ValueError, IndexError):
        return found
    return list(dict.fromkeys(found))
