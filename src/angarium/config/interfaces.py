"""The addresses of this machine's network interfaces, with their prefix lengths, asked of the kernel by netlink.

``mynetworks`` and ``inet_interfaces = all`` are made of them. Fails with an empty list where there is no netlink.
"""

from __future__ import annotations

import ipaddress
import socket
import struct
from functools import lru_cache

_GET_ADDRESSES = 22  # RTM_GETADDR
_NEW_ADDRESS = 20  # RTM_NEWADDR
_DONE = 3  # NLMSG_DONE
_REQUEST_DUMP = 0x301  # NLM_F_REQUEST | NLM_F_DUMP
_ADDRESS, _LOCAL = 1, 2  # IFA_ADDRESS, IFA_LOCAL

Interface = ipaddress.IPv4Interface | ipaddress.IPv6Interface


@lru_cache(maxsize=1)
def own_addresses() -> tuple[Interface, ...]:
    """The addresses of all interfaces: IPv4 first, then IPv6, in the kernel's order."""
    found: list[Interface] = []
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            found += _addresses(family)
        except (OSError, AttributeError):
            continue  # no netlink here, or no such family: there is nothing to list
    return tuple(found)


def _addresses(family: int) -> list[Interface]:
    found: list[Interface] = []
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as netlink:
        netlink.settimeout(2)
        netlink.send(struct.pack("=IHHIIBxxxI", 24, _GET_ADDRESSES, _REQUEST_DUMP, 1, 0, family, 0))
        while True:
            data = netlink.recv(65536)
            at = 0
            while at + 16 <= len(data):
                length, kind = struct.unpack_from("=IH", data, at)
                if kind == _DONE or length < 16:
                    return found
                if kind == _NEW_ADDRESS and data[at + 16] == family:
                    interface = _interface(data[at : at + length])
                    if interface is not None:
                        found.append(interface)
                at += (length + 3) & ~3


def _interface(message: bytes) -> Interface | None:
    """One RTM_NEWADDR message. IFA_LOCAL is the interface's own address on a point-to-point link."""
    prefix_length = message[17]
    attributes: dict[int, bytes] = {}
    at = 24
    while at + 4 <= len(message):
        length, kind = struct.unpack_from("=HH", message, at)
        if length < 4:
            break
        attributes[kind] = message[at + 4 : at + length]
        at += (length + 3) & ~3
    packed = attributes.get(_LOCAL) or attributes.get(_ADDRESS)
    if packed is None:
        return None
    address = ipaddress.ip_address(packed)
    return ipaddress.ip_interface((address, prefix_length))
