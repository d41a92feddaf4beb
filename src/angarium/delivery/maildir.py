"""Delivers a message into a Maildir: written to ``tmp``, then linked into ``new`` under a name that is unique.

The name is that of local(8): ``TIME.VdeviceIinodeMmicroseconds.host``. Runs with the recipient's rights, and blocks.
The Maildir and its three directories are made when they are missing.

Guarantees: a file in ``new`` is whole and on stable storage; nothing of a delivery that failed stays.

Fails with DeliveryError.
"""

from __future__ import annotations

import contextlib
import errno
import os
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from angarium.delivery.filerights import whoever
from angarium.delivery.troubles import DeliveryError, storage_error
from angarium.delivery.user import User
from angarium.model.dsn import Dsn

_FAILED = Dsn(5, 2, 0)


@dataclass(frozen=True, slots=True)
class Moment:
    """What makes a name unique beside the file itself: seconds and microseconds, process (or thread) and host."""

    seconds: int
    microseconds: int
    pid: int
    host: str

    @classmethod
    def now(cls, host: str) -> Moment:
        """This moment; threads of a process do not get in each other's way."""
        now = time.time_ns()
        return cls(now // 10**9, now % 10**9 // 1000, threading.get_native_id(), host)

    @property
    def temporary(self) -> str:
        """The name in ``tmp``."""
        return f"{self.seconds}.P{self.pid}.{_host(self.host)}"

    def final(self, device: int, inode: int) -> str:
        """The name in ``new``."""
        return f"{self.seconds}.V{device:x}I{inode:x}M{self.microseconds}.{_host(self.host)}"


def _host(name: str) -> str:
    """A host name that may stand in a name of a Maildir."""
    return name.replace("/", "\\057").replace(":", "\\072")


def deliver(
    path: str,
    pieces: Iterable[bytes],
    moment: Moment,
    size_limit: int = 0,
    failure: Dsn = _FAILED,
    user: User | None = None,
) -> str:
    """Deliver; the path of the new file.

    Args:
        path: the Maildir, with or without the slash.
        pieces: the message as ``framing`` has it.
        moment: of the delivery.
        size_limit: mailbox_size_limit, bytes; 0: none.
        failure: the code of a failure that nothing else is known of.
        user: whose rights we have, for the log; None: whoever the process is.

    Raises:
        DeliveryError: see the module.
    """
    base = path.removesuffix("/")
    temporary = f"{base}/tmp/{moment.temporary}"  # noqa: S108  # of the Maildir
    try:
        descriptor = _created(base, temporary)
    except OSError as error:
        raise _refused(storage_error(error, f"create maildir file {temporary}", failure), error, user) from error
    try:
        try:
            _write(descriptor, pieces, size_limit)
        except OSError as error:
            raise storage_error(error, "error writing message", failure, "input/output error") from error
        status = os.fstat(descriptor)
        final = f"{base}/new/{moment.final(status.st_dev, status.st_ino)}"
        try:
            _publish(base, temporary, final)
        except OSError as error:
            raise _refused(storage_error(error, f"create maildir file {final}", failure), error, user) from error
    finally:
        os.close(descriptor)
        with contextlib.suppress(OSError):
            Path(temporary).unlink()
    return final


def _refused(trouble: DeliveryError, error: OSError, user: User | None) -> DeliveryError:
    """The failure with what an administrator may do about it."""
    if error.errno == errno.EACCES:
        uid, gid = (user.uid, user.gid) if user else whoever()
        who = f"UID/GID={uid}/{gid}"
        trouble.cause = (
            f"maildir access problem for {who}: {trouble.text}\nperhaps you need to create the maildirs in advance"
        )
    return trouble


def _created(base: str, temporary: str) -> int:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        return os.open(temporary, flags, 0o600)
    except FileNotFoundError:
        _make(base)
    except FileExistsError:
        Path(temporary).unlink()  # of a process that had our number and died in this second
    return os.open(temporary, flags, 0o600)


def _make(base: str) -> None:
    for name in ("tmp", "new", "cur"):
        missing = [Path(base, name)]
        while not missing[-1].parent.is_dir() and missing[-1].parent != missing[-1]:
            missing.append(missing[-1].parent)
        for path in reversed(missing):
            path.mkdir(0o700, exist_ok=True)  # each of them closed to others, whatever the umask


def _write(descriptor: int, pieces: Iterable[bytes], size_limit: int) -> None:
    length = 0
    for piece in pieces:
        length += len(piece)
        if size_limit and length > size_limit:
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
        rest = memoryview(piece)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
    os.fsync(descriptor)


def _publish(base: str, temporary: str, final: str) -> None:
    try:
        os.link(temporary, final)
    except FileNotFoundError:
        _make(base)
        os.link(temporary, final)
    directory = os.open(f"{base}/new", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
