"""Which queue managers live: each holds a lock that goes with its process, however that ends.

A manager has a number that is never used again, and a lock on ``qmgr.NUMBER.lock`` in the queue directory. Its leases
carry the number, so another manager can tell whether they are still being worked on. So a new manager may begin while
an old one lets its last deliveries end, and neither touches what the other has. All managers share a lock on
``qmgr.lock``, by which commands see whether there is one.

Fails with OSError.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

PRESENCE = "qmgr.lock"


class Ownership:
    """One living manager."""

    def __init__(self, directory: Path, number: int, descriptors: tuple[int, ...]) -> None:
        self.number = number
        self._directory = directory
        self._descriptors = descriptors

    @classmethod
    def begin(cls, directory: Path, number: int) -> Ownership:
        """Become the manager of that number. Raises OSError."""
        presence = os.open(directory / PRESENCE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(presence, fcntl.LOCK_SH)
        path = _path(directory, number)
        while True:
            own = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(own, fcntl.LOCK_EX)
            try:
                if path.stat().st_ino == os.fstat(own).st_ino:
                    return cls(directory, number, (presence, own))
            except FileNotFoundError:
                pass
            os.close(own)  # somebody tidied it away between its making and its locking

    def lives(self, number: int) -> bool:
        """Whether the manager of that number does."""
        return _locked(_path(self._directory, number), fcntl.LOCK_SH)

    def tidy(self) -> None:
        """Remove the lock files of managers that are gone."""
        for path in self._directory.glob("qmgr.*.lock"):
            if path != _path(self._directory, self.number) and not _locked(path, fcntl.LOCK_EX):
                path.unlink(missing_ok=True)

    def end(self) -> None:
        """Be a manager no more: what is still leased returns to incoming when another looks."""
        _path(self._directory, self.number).unlink(missing_ok=True)
        for descriptor in self._descriptors:
            os.close(descriptor)


def manager_lives(directory: Path) -> bool:
    """Whether any manager does."""
    return _locked(directory / PRESENCE, fcntl.LOCK_EX)  # managers share theirs


def _path(directory: Path, number: int) -> Path:
    return directory / f"qmgr.{number}.lock"


def _locked(path: Path, kind: int) -> bool:
    """Whether a lock of that kind cannot be had. One who only asks for a shared one stands in no other asker's way."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
