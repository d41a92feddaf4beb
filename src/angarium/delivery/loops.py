"""Delivered-To headers: who has had a message already (the loop detection of local(8) and pipe(8))."""

from __future__ import annotations

import re

from angarium.cleanup.headers import HeaderBlock
from angarium.model.delivery import DeliveryRequest

_DELIVERED_TO = b"delivered-to"
_FIRST = re.compile(rb"(?i)^delivered-to", re.MULTILINE)
_LOOK = 65536
"""Bytes of a message that are looked through for the word first."""


def delivered_to(request: DeliveryRequest) -> frozenset[str]:
    """The addresses of the message's Delivered-To headers, in lower case."""
    if not _FIRST.search(request.content.read(0, _LOOK)) and request.content.size <= _LOOK:
        return frozenset()  # most messages: nothing to take apart
    header = HeaderBlock.read(request.content)
    found: set[str] = set()
    at = header.find(_DELIVERED_TO)
    while at >= 0:
        begin, end = header.span(at)
        value = header.raw[begin:end].partition(b":")[2]
        found.add(value.decode("utf-8", "surrogateescape").strip().lower())
        at = header.find(_DELIVERED_TO, at + 1)
    return frozenset(found)
