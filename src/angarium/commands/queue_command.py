"""A command on the queue: becomes the queue's owner, and opens it."""

from __future__ import annotations

import contextlib
import os

from angarium.commands.command import Command, CommandError, complain, guarded, parse_options
from angarium.mailqueue.control import QueueControl

__all__ = ["CommandError", "QueueCommand", "complain", "guarded", "parse_options"]


class QueueCommand(Command):
    """A command that may open the queue."""

    def open_queue(self, *, readonly: bool = False) -> QueueControl:
        """The queue; root becomes its owner first, for good.

        So the files that SQLite makes are his, as the server needs them, and nothing that he may have put into his
        directory has root's rights.

        Raises:
            QueueDamagedError, PermissionError: as ``QueueControl``.
        """
        if os.geteuid() == 0:
            with contextlib.suppress(FileNotFoundError):
                status = self.queue_directory.stat()
                if status.st_uid:
                    _ = self.log  # which he may not be allowed to open
                    os.setgroups([])
                    os.setgid(status.st_gid)
                    os.setuid(status.st_uid)
        return QueueControl(self.queue_directory, readonly=readonly)
