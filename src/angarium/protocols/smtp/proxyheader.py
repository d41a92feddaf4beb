"""The PROXY protocol, versions 1 and 2: the line or block with which a load balancer says whose connection it is.

Version 1 is a line of text, ``PROXY TCP4 client server client-port server-port``, version 2 a block of octets behind
a signature (HAProxy's proxy-protocol.txt). Of version 2 what follows the addresses is passed over. ``LOCAL`` (version
2) says that the connection is the balancer's own; ``UNKNOWN`` (version 1) and families other than TCP over IP are
refused, as Postfix refuses them.

Guarantees: at most ``LIMIT`` octets are looked at; any octets give a header, "more", or ProxyHeaderError.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

from angarium.protocols.smtp.forwarding import Families

LIMIT = 536
_SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
_FIXED = 16
_WORD = b"PROXY "
_KINDS: dict[str, type[IPv4Address | IPv6Address]] = {"TCP4": IPv4Address, "TCP6": IPv6Address}
_SIZES = {0x11: 4, 0x21: 16}
"""Version 2's family and protocol -> octets of an address."""


class ProxyHeaderError(Exception):
    """What came in is no header; the text is for the log."""


@dataclass(frozen=True, slots=True)
class ProxyHeader:
    """One header.

    Attributes:
        size: its octets.
        client: the client's address and port; None: the connection is the proxy's own.
        server: the address and port that the client has connected to; None likewise.
    """

    size: int
    client: tuple[str, int] | None = None
    server: tuple[str, int] | None = None


def parse_proxy_header(data: bytes, families: Families) -> ProxyHeader | None:
    """Read the header that ``data`` begins with; None: more must come.

    Raises:
        ProxyHeaderError: it is none, or one that cannot be used.
    """
    if not data.startswith(_SIGNATURE[: len(data)]) and not data.startswith(_WORD[: len(data)]):
        what = "unrecognized protocol header" if len(data) >= len(_SIGNATURE) else "short protocol header"
        raise ProxyHeaderError(f"{what}: {_shown(data)}")
    if data[:1] == b"P":
        return _version_1(data, families)
    return _version_2(data, families) if len(data) >= _FIXED else None


def _shown(data: bytes) -> str:
    """As much as the log has room for; ``wording.escape`` makes it safe."""
    return data[:LIMIT].decode("utf-8", "surrogateescape")


def _version_1(data: bytes, families: Families) -> ProxyHeader | None:
    end = data.find(b"\n", 0, LIMIT)
    if end < 0:
        if len(data) < LIMIT:
            return None
        raise ProxyHeaderError(f"missing protocol header terminator: {_shown(data)}")
    text = _shown(data[: end + 1])
    if end + 1 < len(_SIGNATURE):
        raise ProxyHeaderError(f"short protocol header: {text}")
    words = [*text.split(), "", "", "", "", ""]
    kind = _KINDS.get(words[1])
    if kind is None or not (families.ipv4 if kind is IPv4Address else families.ipv6):
        raise ProxyHeaderError(f"bad or missing protocol type: {text}")
    addresses = []
    for word, whose in ((words[2], "client"), (words[3], "server")):
        address = _address(word, kind)
        if address is None:
            raise ProxyHeaderError(f"bad or missing {whose} address: {text}")
        addresses.append(address)
    ports = []
    for word, whose in ((words[4], "client"), (words[5], "server")):
        if not word.isascii() or not word.isdigit() or len(word) > 5 or int(word) > 65535:
            raise ProxyHeaderError(f"bad or missing {whose} port: {text}")
        ports.append(int(word))
    return ProxyHeader(end + 1, (addresses[0], ports[0]), (addresses[1], ports[1]))


def _address(text: str, kind: type[IPv4Address | IPv6Address]) -> str | None:
    if "%" in text:  # a zone may be any text, and there is none of another machine's
        return None
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return _plain(address) if isinstance(address, kind) else None


def _plain(address: IPv4Address | IPv6Address) -> str:
    """The address; IPv4 inside of IPv6 is IPv4."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return str(mapped or address)


def _version_2(data: bytes, families: Families) -> ProxyHeader | None:
    length = int.from_bytes(data[14:16], "big")
    size = _FIXED + length
    if data[12] >> 4 != 2:
        raise ProxyHeaderError(f"unrecognized protocol version: {_shown(data)}")
    if size > LIMIT:
        raise ProxyHeaderError(f"too long protocol header: {_shown(data)}")
    if len(data) < size:
        return None
    command = data[12] & 15
    if command == 0:
        return ProxyHeader(size)
    if command != 1:
        raise ProxyHeaderError(f"bad command 0x{command:x} in proxy protocol header: {_shown(data)}")
    octets = _SIZES.get(data[13], 0)
    if not octets or not (families.ipv4 if octets == 4 else families.ipv6):
        raise ProxyHeaderError(f"unsupported network protocol: {_shown(data)}")
    if length < 2 * octets + 4:
        raise ProxyHeaderError(f"short address field: {_shown(data)}")
    client = _plain(ip_address(data[16 : 16 + octets]))
    server = _plain(ip_address(data[16 + octets : 16 + 2 * octets]))
    ports = data[16 + 2 * octets : 20 + 2 * octets]
    return ProxyHeader(size, (client, int.from_bytes(ports[:2], "big")), (server, int.from_bytes(ports[2:], "big")))
