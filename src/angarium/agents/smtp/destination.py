"""Destinations as transport(5) and relayhost write them: ``domain``, ``domain:port``, ``[host]``, ``[ipv6:address]``.

smtp(8), "SMTP DESTINATION SYNTAX" and "LMTP DESTINATION SYNTAX". Several destinations may stand in one nexthop,
separated by commas or blanks; they are tried in turn. LMTP asks for no mail exchangers and knows the socket
``unix:path`` beside ``inet:host:port``. Fails with ValueError for what is none.
"""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass, replace
from functools import lru_cache

from angarium.protocols.smtp.dialect import LMTP, SMTP, Dialect

_SEPARATORS = re.compile(r"[\s,]+")
_FORM = re.compile(r"(?:\[(?P<literal>[^\[\]]+)\]|(?P<domain>[^\[\]:]+))(?::(?P<port>[A-Za-z0-9_-]+))?")


@dataclass(frozen=True, slots=True)
class Destination:
    """Where to deliver.

    Attributes:
        text: as it was written, without the type of an LMTP destination, for the password table.
        host: a domain, or a host's name or address.
        port: TCP port.
        exchangers: ask for mail exchangers: there were no brackets.
        service: the port as it was written; empty when it was not.
        path: of a unix socket; empty for TCP.
    """

    text: str
    host: str
    port: int
    exchangers: bool
    service: str = ""
    path: str = ""


@lru_cache(maxsize=4096)
def destinations(nexthop: str, default_port: int, dialect: Dialect = SMTP) -> tuple[Destination, ...]:
    """The destinations of a nexthop, in order.

    Raises:
        ValueError: none, or one that is not of the form.
    """
    read = _lmtp_destination if dialect is LMTP else _destination
    found = tuple(read(word, default_port) for word in _SEPARATORS.split(nexthop) if word)
    if not found:
        msg = f'null destination: "{nexthop}"'
        raise ValueError(msg)
    return found


def _destination(word: str, default_port: int) -> Destination:
    text = word.removeprefix("inet:")
    match = _FORM.fullmatch(text)
    if match is None:
        msg = f'malformed destination: "{word}"'
        raise ValueError(msg)
    host = match["literal"] or match["domain"]
    if host[:5].lower() == "ipv6:":
        host = host[5:]
    port = _port(match["port"], default_port, word)
    return Destination(word, host, port, match["literal"] is None, match["port"] or "")


def _lmtp_destination(word: str, default_port: int) -> Destination:
    if word.startswith("unix:"):
        path = word[5:]
        if not path:
            msg = f'malformed destination: "{word}"'
            raise ValueError(msg)
        return Destination(path, path, 0, exchangers=False, path=path)
    text = word.removeprefix("inet:")
    return replace(_destination(text, default_port), exchangers=False)


def _port(text: str | None, default: int, word: str) -> int:
    if text is None:
        return default
    try:
        port = int(text) if text.isdigit() else socket.getservbyname(text, "tcp")
    except OSError as error:
        msg = f'unknown service: "{word}"'
        raise ValueError(msg) from error
    if not 0 < port < 65536:
        msg = f'unknown port: "{word}"'
        raise ValueError(msg)
    return port
