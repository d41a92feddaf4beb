"""Room in a write-ahead log: a flush is cheap when the file does not become longer.

``fdatasync`` of octets that take the place of others writes them and nothing else. When the file has grown it writes
the file system's journal too, which costs as much again, and time of the processor that no process is charged for. So
a log that is in use is made longer at once, by as much as it has, with zeros.

Guarantees: only behind the end of the file, and only while the caller is inside a write transaction, when no other
connection may append. Zeros are no frame to SQLite: their salt and checksum do not fit (https://sqlite.org/fileformat2.html,
section 4.1), as the rest of an older log behind a newer one does not.

Nothing fails here: a disk without room for zeros may have room for the frames.
"""

from __future__ import annotations

import contextlib
import os

_HEADER = 32
_FRAME = 24
_MARGIN = 32
"""Frames that are to be free before a commit."""
_BEGIN = 16
"""Frames that a log has before it counts as in use: a single delivery shall not cost zeros."""
_PIECE = bytes(256 * 1024)


class WalRoom:
    """The log of one connection.

    Args:
        path: of the log.
        page_size: of the database, in bytes.
        most: frames beyond which nothing is added: where it begins anew.
    """

    def __init__(self, path: str, page_size: int, most: int) -> None:
        self._path = path
        self._frame = page_size + _FRAME
        self._most = most
        self._room = 0
        self._descriptor = -1

    def make(self, used: int) -> None:
        """See to it that there is room behind the ``used`` frames. Inside a write transaction only."""
        if used < _BEGIN or used + _MARGIN <= self._room or self._room >= self._most:
            return
        with contextlib.suppress(OSError):
            if self._descriptor < 0:
                self._descriptor = os.open(self._path, os.O_WRONLY | os.O_CLOEXEC)
            size = os.fstat(self._descriptor).st_size
            wanted = _HEADER + self._frame * min(2 * used + _MARGIN, self._most)
            while size < wanted:
                size += os.pwrite(self._descriptor, _PIECE[: wanted - size], size)
            self._room = (size - _HEADER) // self._frame

    def close(self) -> None:
        """Give the descriptor back."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
