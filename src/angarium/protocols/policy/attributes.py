"""Attributes on the wire: ``name=value`` lines and an empty line after them (SMTPD_POLICY_README).

Guarantees: a value cannot break out of its line, whatever it holds. ``AttributeReader`` is bounded: a peer that sends
more than ``LIMIT`` octets without an empty line, or a line that is no ``name=value``, is a ``ValueError``.
"""

from __future__ import annotations

from collections.abc import Mapping

LIMIT = 100_000
"""Octets of one reply."""

_BREAKS = str.maketrans("\r\n\0", "???")


def render(attributes: Mapping[str, str]) -> bytes:
    """One request."""
    lines = [f"{name}={value.translate(_BREAKS)}\n" for name, value in attributes.items()]
    return ("".join(lines) + "\n").encode("utf-8", "surrogateescape")


class AttributeReader:
    """Takes octets as they come and gives replies."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def receive_data(self, data: bytes) -> list[dict[str, str]]:
        """The replies that are complete now; of an attribute that comes twice the first holds.

        Raises:
            ValueError: the peer does not speak the protocol.
        """
        self._buffer += data
        replies = []
        while (end := self._buffer.find(b"\n\n")) >= 0:
            text = self._buffer[:end].decode("utf-8", "surrogateescape")
            del self._buffer[: end + 2]
            replies.append(_read(text))
        if len(self._buffer) > LIMIT:
            msg = "a reply without end"
            raise ValueError(msg)
        return replies


def _read(text: str) -> dict[str, str]:
    attributes: dict[str, str] = {}
    for line in text.split("\n"):
        name, equals, value = line.partition("=")
        if not equals or not name.strip():
            msg = f"not an attribute: {line[:100]!r}"
            raise ValueError(msg)
        attributes.setdefault(name.strip(), value)
    return attributes
