"""A service: what master starts on a set of sockets, in a worker process or, in a demo or a test, in its own."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import Protocol


class Service(Protocol):
    """Something that runs until it is drained or cancelled."""

    @property
    def name(self) -> str:
        """For the log: ``postfix/smtpd``."""
        ...

    async def run(self, sockets: Sequence[socket.socket]) -> None:
        """Serve on listening, non-blocking sockets. Returns when drained; on cancellation closes all and re-raises."""
        ...

    def drain(self) -> None:
        """Stop accepting, let running sessions end, then let ``run`` return."""
        ...
