"""A client session that is written to the log line by line: for the peers that debug_peer_list names.

``> host[address]:port: command`` and ``< host[address]:port: reply``, as Postfix has it. What we log in with is not
shown, and no message.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from angarium.protocols.smtp.client import ClientSession, Event
from angarium.protocols.smtp.client_states import Step

_SHOWN = 2048
"""The longest line that is shown whole."""


class DebugPeerSession(ClientSession):
    """See the module.

    Args:
        peer: what the lines call the server.
        log: takes them.
        settings: of ``ClientSession``.
    """

    def __init__(self, peer: str, log: Callable[[str], None], **settings: Any) -> None:
        super().__init__(**settings)
        self._peer = peer
        self._log = log
        self._begun = b""

    def output(self) -> bytes:
        """The octets to write now."""
        data = super().output()
        for line in data.splitlines():
            self._trace(">", _without_secret(line) if self.step is Step.AUTH else line)
        return data

    def receive_data(self, data: bytes) -> list[Event]:
        """Take octets in; what happened."""
        *lines, self._begun = (self._begun + data).split(b"\n")
        self._begun = self._begun[:_SHOWN]
        for line in lines:
            self._trace("<", line.rstrip(b"\r"))
        return super().receive_data(data)

    def _trace(self, direction: str, line: bytes) -> None:
        text = line[:_SHOWN].decode("utf-8", "surrogateescape")
        shown = text if text.isprintable() else "".join(char if char.isprintable() else "?" for char in text)
        self._log(f"{direction} {self._peer}: {shown}")


def _without_secret(line: bytes) -> bytes:
    """``AUTH mechanism``; nothing of what follows, or of a line that is all secret."""
    command, _, rest = line.partition(b" ")
    if command != b"AUTH":
        return b"..."
    mechanism, blank, _ = rest.partition(b" ")
    return b"AUTH " + mechanism + (b" ..." if blank else b"")
