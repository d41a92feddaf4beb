"""The maildrop directory: what was submitted while nobody listened.

A file there is a submission, written by the sendmail command of its owner; it is whole when its owner may execute it
(as with Postfix's postdrop). The directory is writable for all and readable for the mail system alone, with the sticky
bit; pickup makes it.

Guarantees: a file is removed only after the queue has its message. A file that makes no sense, was cut off, has
another name too (a hard link could make somebody else the owner) or is no file is reported and left, with the
suffix ``.bad``. The sender is the owner of the file.
"""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path

from angarium.daemons.pickup.connection import Receiver
from angarium.daemons.pickup.intake import Intake, User
from angarium.protocols.pickup.session import End, PickupError, PickupSession, Piece, Submission
from angarium.runtime.log import ServiceLog
from angarium.runtime.spool import Spool

_CHUNK = 256 * 1024
_ABANDONED = 24 * 3600.0


class Maildrop:
    """The directory.

    Args:
        directory: where.
        intake: takes the submissions.
        log: of the service.
        limit: message_size_limit.
        spool: for large messages.
    """

    def __init__(self, directory: Path, intake: Intake, log: ServiceLog, limit: int, spool: Spool | None) -> None:
        self._directory = directory
        self._intake = intake
        self._log = log
        self._limit = limit
        self._spool = spool

    def prepare(self) -> None:
        """Make the directory. Raises OSError."""
        self._directory.mkdir(exist_ok=True)
        if stat.S_IMODE(self._directory.stat().st_mode) != 0o1733:
            self._directory.chmod(0o1733)

    async def collect(self) -> int:
        """Take what is there; how many messages."""
        taken = 0
        for path in sorted(self._directory.iterdir()):
            if path.suffix != ".bad" and self._is_whole(path) and await self._take(path):
                taken += 1
        return taken

    def _is_whole(self, path: Path) -> bool:
        """Whether the file is ready; one that was begun long ago and never finished is removed."""
        try:
            status = path.lstat()
            if not stat.S_ISREG(status.st_mode):
                return self._reject(path, "not a file")
            if status.st_mode & stat.S_IXUSR:
                return True
            if status.st_mtime < time.time() - _ABANDONED:
                path.unlink()
        except FileNotFoundError:
            return False  # somebody else was faster
        return False

    async def _take(self, path: Path) -> bool:
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            self._log.warning(f"maildrop/{path.name}: {error.strerror}")
            return False
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
                return self._reject(path, "not a file of its own")
            receiver = Receiver(self._limit, self._spool)
            try:
                submission = self._read(file.fileno(), receiver)
            except PickupError as error:
                return self._reject(path, str(error))
        if receiver.too_big:
            return self._reject(path, "message file too big")
        reply = await self._intake.take(User.of(status.st_uid), submission, receiver.finish())
        if reply.positive:
            self._remove(path)
            return True
        self._log.warning(f"maildrop/{path.name}: {reply}")
        if not reply.temporary:
            self._reject(path, str(reply))
        return False

    @staticmethod
    def _remove(path: Path) -> None:
        path.unlink(missing_ok=True)

    @staticmethod
    def _read(descriptor: int, receiver: Receiver) -> Submission:
        session = PickupSession()
        while data := os.read(descriptor, _CHUNK):
            for event in session.receive_data(data):
                if isinstance(event, Piece):
                    receiver.write(event.data)
                elif isinstance(event, End):
                    return event.submission
        raise PickupError("the end is missing")

    def _reject(self, path: Path, why: str) -> bool:
        self._log.warning(f"maildrop/{path.name}: {why}: left as {path.name}.bad")
        path.rename(path.with_name(path.name + ".bad"))
        return False
