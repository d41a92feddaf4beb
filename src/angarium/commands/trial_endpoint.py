"""What smtp-source(1) and smtp-sink(1) have in common: the names of places, and how they end.

A place is ``[inet:][host]:port`` or ``unix:pathname``. Fails with ``EndpointError``.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass


class EndpointError(ValueError):
    """The text is for the user."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where to connect to, or to listen: a path, or a host (empty: any) and a port."""

    path: str = ""
    host: str = ""
    port: int = 0


def parse_endpoint(text: str, *, default_port: int | None = None) -> Endpoint:
    """Read a place; without ``default_port`` it must name a port. Raises EndpointError."""
    if text.startswith("unix:"):
        return Endpoint(path=text[5:])
    rest = text.removeprefix("inet:")
    if rest.startswith("["):
        host, closing, after = rest[1:].partition("]")
        if not closing or (after and not after.startswith(":")):
            msg = f"{text}: no place"
            raise EndpointError(msg)
        port = after[1:]
    elif ":" in rest:
        host, _, port = rest.rpartition(":")
    elif default_port is None:
        host, port = "", rest
    else:
        host, port = rest, ""
    if not port and default_port is not None:
        return Endpoint(host=host, port=default_port)
    return Endpoint(host=host, port=_port(port))


def _port(text: str) -> int:
    if text.isascii() and text.isdigit() and int(text) < 65536:
        return int(text)
    try:
        return socket.getservbyname(text, "tcp")
    except OSError as error:
        msg = f"unknown port: {text}"
        raise EndpointError(msg) from error


def family(options: set[str]) -> socket.AddressFamily:
    """What ``-4`` and ``-6`` say."""
    if "-4" in options:
        return socket.AF_INET
    return socket.AF_INET6 if "-6" in options else socket.AF_UNSPEC
