"""A message while it is being received: in memory up to 1 MiB, beyond that in a spool file.

With many large ones at once the bound is lower (``runtime.spool``), so that clients that stop in the middle of a
message cannot fill the memory.
"""

from __future__ import annotations

from angarium.model.content import Content, MemoryContent
from angarium.runtime.spool import Spool, SpoolFile


class IncomingMessage:
    """Collects the octets of one message.

    Args:
        spool: where large messages go; None keeps them in memory (for tests).
        limit: octets after which the rest is counted and thrown away; 0 is none.
    """

    __slots__ = ("_file", "_held", "_limit", "_pieces", "_spool", "size")

    def __init__(self, spool: Spool | None, limit: int) -> None:
        self._spool = spool
        self._limit = limit
        self._pieces: list[bytes] = []
        self._held = 0
        self._file: SpoolFile | None = None
        self.size = 0

    @property
    def too_big(self) -> bool:
        """More than ``limit`` octets came in."""
        return 0 < self._limit < self.size

    def write(self, data: bytes) -> None:
        """Take octets in. Raises OSError when the spool cannot take them."""
        self.size += len(data)
        if 0 < self._limit < self.size:
            self.abandon()
            return
        if self._file is not None:
            self._file.write(data)
            return
        self._pieces.append(data)
        self._held += len(data)
        spool = self._spool
        if spool is not None:
            spool.in_memory += len(data)
            if spool.wants(self._held):
                self._file = spool.create()
                for piece in self._pieces:
                    self._file.write(piece)
                self._forget()

    def finish(self) -> Content:
        """The whole message."""
        if self._file is not None:
            content = self._file.finish()
            self._file = None
            return content
        pieces = self._pieces
        whole = MemoryContent(pieces[0] if len(pieces) == 1 else b"".join(pieces))
        self._forget()
        return whole

    def abandon(self) -> None:
        """Throw away what came in."""
        self._forget()
        if self._file is not None:
            self._file.abandon()
            self._file = None

    def _forget(self) -> None:
        """Hold nothing in memory any more."""
        self._pieces = []
        if self._spool is not None:
            self._spool.in_memory -= self._held
        self._held = 0
