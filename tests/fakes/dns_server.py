"""A name server with a script: answers from a dictionary, over UDP and TCP, in a thread of its own."""

from __future__ import annotations

import socket
import threading
from collections.abc import Collection, Mapping, Sequence

import dns.flags
import dns.message
import dns.rcode
import dns.rrset

SERVFAIL = ("SERVFAIL",)

Zone = Mapping[tuple[str, str], Sequence[str]]
"""(name, type) -> records in text, or ``SERVFAIL``. A name that has no record of any type does not exist."""


class FakeDnsServer:
    """``with FakeDnsServer(zone, "127.0.0.9") as (address, port):``; port 0 takes a free one.

    For names in ``signed``, and those below them, it vouches when it is asked for DNSSEC.
    """

    def __init__(self, zone: Zone, address: str = "127.0.0.1", port: int = 0, signed: Collection[str] = ()) -> None:
        self._zone = zone
        self._signed = signed
        self._names = {name for name, _ in zone}
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((address, port))
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> tuple[str, int]:
        self._thread.start()
        address, port = self._socket.getsockname()
        return address, port

    def __exit__(self, *_error: object) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as poke:
            poke.sendto(b"", self._socket.getsockname())
        self._thread.join()
        self._socket.close()

    def _serve(self) -> None:
        while True:
            data, peer = self._socket.recvfrom(4096)
            if not data:
                return
            self._socket.sendto(self.answer(data), peer)

    def answer(self, data: bytes) -> bytes:
        """The response to a query, both in wire form."""
        query = dns.message.from_wire(data)
        question = query.question[0]
        name, kind = str(question.name).rstrip(".").lower(), question.rdtype.name
        response = dns.message.make_response(query)
        response.flags |= dns.flags.RA
        asks = query.flags & dns.flags.AD or query.ednsflags & dns.flags.DO
        if asks and any(name == each or name.endswith("." + each) for each in self._signed):
            response.flags |= dns.flags.AD
        records = self._zone.get((name, kind), ())
        if records == SERVFAIL:
            response.set_rcode(dns.rcode.SERVFAIL)
        elif records:
            response.answer.append(dns.rrset.from_text(name + ".", 300, "IN", kind, *records))
        elif not any(known == name or known.endswith("." + name) for known in self._names):
            response.set_rcode(dns.rcode.NXDOMAIN)
        return response.to_wire()
