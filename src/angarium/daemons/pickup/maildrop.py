"""The maildrop directory: what was submitted while nobody listened.

A file there is a submission, written by the sendmail command of its owner; it is whole when its owner may execute it
(as with Postfix's postdrop). The directory is writable for all and readable for the mail system alone, with the sticky
bit; pickup makes it.

Guarantees: a file is removed only after the queue has its message. A file that makes no sense, was cut off, has
another name too (a hard link could make somebody else the owner) or is no file is reported and left, with the
suffix ``.bad``. The sender is the owner of the file. Two pickups may look at once, as they do for a moment after a
reload: a lock on the file decides. Whatever is wrong with one file, the others are taken: the directory is open to
every user of the machine.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import time
from pathlib import Path

from angarium.daemons.pickup.access import User
from angarium.daemons.pickup.connection import Receiver
from angarium.daemons.pickup.intake import Intake
from angarium.protocols.pickup.session import PickupError, PickupSession, Piece, Question, Submission
from angarium.runtime.log import ServiceLog
from angarium.runtime.spool import Spool

_CHUNK = 256 * 1024
_ABANDONED = 24 * 3600.0
_LONGEST_NAME = 255


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
            if path.suffix == ".bad":
                continue
            try:
                taken += self._is_whole(path) and await self._take(path)
            except Exception as error:  # noqa: BLE001 - no user's file may hold up the mail of the others
                self._log.warning(f"maildrop/{path.name}: {type(error).__name__}: {error}")
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
        with os.fdopen(descriptor, "rb"):  # which closes it, and so gives the lock back
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
                return self._reject(path, "not a file of its own")
            if not self._is_mine(path, descriptor):
                return False
            return await self._submit(path, descriptor, status.st_uid)

    @staticmethod
    def _is_mine(path: Path, descriptor: int) -> bool:
        """Lock the file; whether it is still there, and nobody else has the lock."""
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return path.lstat().st_ino == os.fstat(descriptor).st_ino
        except (BlockingIOError, FileNotFoundError):
            return False  # another pickup takes it, or has

    async def _submit(self, path: Path, descriptor: int, owner: int) -> bool:
        receiver = Receiver(self._limit, self._spool)
        try:
            submission = self._read(descriptor, receiver)
            content = receiver.finish()
            if receiver.too_big:
                return self._reject(path, "message file too big")
        except PickupError as error:
            return self._reject(path, str(error))
        finally:
            receiver.abandon()
        reply = await self._intake.take(User.of(owner), submission, content)
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
                elif isinstance(event, Question):
                    raise PickupError("not a submission")
                elif not receiver.too_big:
                    return event.submission
            if receiver.too_big:
                raise PickupError("message file too big")
        raise PickupError("the end is missing")

    def _reject(self, path: Path, why: str) -> bool:
        target = path.with_name(path.name + ".bad")
        if len(os.fsencode(target.name)) > _LONGEST_NAME or os.path.lexists(target):
            target = path.with_name(f"{os.urandom(12).hex()}.bad")
        self._log.warning(f"maildrop/{path.name}: {why}: left as {target.name}")
        with contextlib.suppress(FileNotFoundError):  # its owner has taken it back
            path.rename(target)
        return False
