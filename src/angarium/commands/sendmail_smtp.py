"""``sendmail -bs``: SMTP on standard input and output.

It is a pipe to the first smtpd service of master.cf that listens on TCP: the session has that service's rules, and
the client's address is this machine's. So a local user can do here what he could do with telnet, and no more.
"""

from __future__ import annotations

import os
import selectors
import socket
import sys
from pathlib import Path

from angarium.config.config import Config

EX_UNAVAILABLE = 69
_CHUNK = 64 * 1024


def smtpd_address(conf: Config) -> tuple[str, int]:
    """Host and port of the first smtpd service on TCP.

    Raises:
        LookupError: there is none.
    """
    for service in conf.master.services:
        if service.type == "inet" and service.command.split()[0] == "smtpd":
            host, _, port = service.name.rpartition(":")
            if not host:
                interfaces = conf.names("inet_interfaces")
                host = "127.0.0.1" if set(interfaces) & {"all", "loopback-only"} else interfaces[0]
            number = int(port) if port.isdigit() else socket.getservbyname(port, "tcp")
            return host.strip("[]"), number
    raise LookupError("no smtpd service in master.cf")


def converse(directory: str) -> int:
    """Carry bytes both ways until the server hangs up; returns the exit status."""
    try:
        conf = Config.load(Path(directory))
        connection = socket.create_connection(smtpd_address(conf), timeout=30)
    except (OSError, LookupError) as error:
        print(f"sendmail: fatal: {error}", file=sys.stderr)
        return EX_UNAVAILABLE
    with connection, selectors.DefaultSelector() as selector:
        connection.settimeout(300)
        selector.register(connection, selectors.EVENT_READ)
        standard_input = sys.stdin.fileno()
        selector.register(standard_input, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj is connection:
                    data = connection.recv(_CHUNK)
                    if not data:
                        return 0
                    _write_all(sys.stdout.fileno(), data)
                elif data := os.read(standard_input, _CHUNK):
                    connection.sendall(data)
                else:
                    selector.unregister(standard_input)
                    connection.shutdown(socket.SHUT_WR)


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
