"""The socketmap protocol, socketmap_table(5): ``name SPACE key`` in a netstring, and a reply in one.

| reply | meaning |
|---|---|
| ``OK data`` | found |
| ``NOTFOUND`` | not found |
| ``TEMP reason``, ``TIMEOUT reason``, ``PERM reason``, anything else | the server cannot answer |
"""

from __future__ import annotations

from dataclasses import dataclass

from angarium.protocols.lookup import netstring

REPLY_LIMIT = 100_000

_KINDS = {b"TEMP": "temporary", b"TIMEOUT": "timeout", b"PERM": "permanent"}


@dataclass(frozen=True, slots=True)
class SocketmapReply:
    """One reply: found with ``data``, not found, or ``fault`` says why there is no answer."""

    data: bytes | None = None
    fault: str = ""


def request(name: str, key: bytes) -> bytes:
    """The request for one key of a map."""
    return netstring.encode(name.encode("utf-8", "surrogateescape") + b" " + key)


def parse_reply(reply: bytes) -> SocketmapReply:
    """What a reply, out of its netstring, says."""
    status, space, text = reply.partition(b" ")
    if status == b"OK" and space:
        return SocketmapReply(text)
    if status == b"NOTFOUND":
        return SocketmapReply()
    kind = _KINDS.get(status, "unknown")
    return SocketmapReply(fault=f"socketmap server {kind} error: {text.decode('utf-8', 'replace'):.200}")
