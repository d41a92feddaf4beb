"""The listening sockets of master.cf's services.

``smtp``, ``2525``, ``127.0.0.1:2525`` and ``[::1]:smtp`` are what a service name may be (master(5)). Without a host the
service listens on each address of ``inet_interfaces``, for each family of ``inet_protocols``.

A socket that systemd hands over (socket activation) takes the place of one that we would bind to the same address.

Fails with ConfigError for a name that is no service, OSError when the address cannot be bound.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from pathlib import Path

from angarium.config.config import Config
from angarium.config.error import ConfigError
from angarium.config.master_cf import MasterService

BACKLOG = 512
_FIRST_ADOPTED = 3
_OURS = {"imap": "143", "imaps": "993", "pop3": "110", "pop3s": "995"}
"""Names that not every system's list of services has, and Postfix's known_tcp_ports neither."""

_FAMILIES = {"ipv4": socket.AF_INET, "ipv6": socket.AF_INET6}


Adopted = Mapping[tuple[str, int], socket.socket]
"""Listening sockets that somebody else has bound, by address and port."""


def adopted_sockets() -> Adopted:
    """The TCP sockets that systemd hands over (sd_listen_fds(3)); none without socket activation."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        return {}
    found: dict[tuple[str, int], socket.socket] = {}
    for descriptor in range(_FIRST_ADOPTED, _FIRST_ADOPTED + int(os.environ.get("LISTEN_FDS", "0"))):
        os.set_inheritable(descriptor, False)
        each = socket.socket(fileno=descriptor)
        if each.family in _FAMILIES.values() and each.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            each.setblocking(False)
            found[each.getsockname()[:2]] = each
        else:
            each.close()
    return found


def bind(entry: MasterService, conf: Config, adopted: Adopted | None = None) -> list[socket.socket]:
    """Listening, non-blocking sockets of one inet service; those of ``adopted`` that it wants are not bound again."""
    host, port = split_service(entry.name)
    port = known_ports(conf).get(port, port)
    families = _families(conf)
    hosts = [host] if host else _interfaces(conf, families)
    found: dict[tuple[socket.AddressFamily, str, int], None] = {}
    for each in hosts:
        try:
            answers = socket.getaddrinfo(each, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        except socket.gaierror as error:
            raise ConfigError(f"service {entry.name}: {error.strerror}", entry.file, entry.line) from error
        for family, _type, _protocol, _name, answer in answers:
            if family in families:
                found.setdefault((family, str(answer[0]), int(answer[1])))
    sockets: list[socket.socket] = []
    for kind, address, number in found:
        theirs = (adopted or {}).get((address, number))
        # A reload may have closed one when its service went; then it is ours to bind.
        sockets.append(theirs if theirs is not None and theirs.fileno() >= 0 else _listen(kind, address, number))
    return sockets


def known_ports(conf: Config) -> dict[str, str]:
    """The names of ``known_tcp_ports``: ``smtp=25, smtps=submissions=465``. What is malformed is left out."""
    ports = dict(_OURS)
    for equation in conf.names("known_tcp_ports"):
        *names, port = equation.split("=")
        if port.isascii() and port.isdigit():
            ports.update(dict.fromkeys(names, port))
    return ports


def bind_unix(path: Path) -> socket.socket:
    """A listening, non-blocking unix socket that everyone may connect to, in the place of an older one."""
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    mask = os.umask(0o111)  # a chmod afterwards could be led astray by who may write to the directory
    try:
        listener.bind(str(path))
        listener.listen(BACKLOG)
    except BaseException:
        listener.close()
        raise
    finally:
        os.umask(mask)
    return listener


def bind_nameless() -> socket.socket:
    """A listening, non-blocking unix socket that only who is told its address finds; no file system is involved.

    So nobody who may write to a directory of the server's can lead root astray, or take its place.
    """
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        listener.bind("")
        listener.listen(BACKLOG)
    except BaseException:
        listener.close()
        raise
    return listener


def split_service(name: str) -> tuple[str, str]:
    """``host:port`` taken apart; the host is empty when there is none, and without its brackets."""
    host, _, port = name.rpartition(":")
    return host.removeprefix("[").removesuffix("]"), port


def _families(conf: Config) -> list[socket.AddressFamily]:
    names = conf.names("inet_protocols")
    if "all" in names:
        names = list(_FAMILIES)
    return [_FAMILIES[name] for name in names if name in _FAMILIES]


def _interfaces(conf: Config, families: list[socket.AddressFamily]) -> list[str]:
    hosts: list[str] = []
    for name in conf.names("inet_interfaces"):
        if name == "all":
            everywhere = (("0.0.0.0", socket.AF_INET), ("::", socket.AF_INET6))  # noqa: S104 - the administrator asked for it
            hosts += [host for host, family in everywhere if family in families]
        elif name == "loopback-only":
            hosts += ["127.0.0.1"] * (socket.AF_INET in families) + ["::1"] * (socket.AF_INET6 in families)
        else:
            hosts.append(name.removeprefix("[").removesuffix("]"))
    return hosts


def _listen(family: socket.AddressFamily, host: str, port: int) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except BaseException:
        listener.close()
        raise
    return listener
