"""Files that root alone may read, read by root before its children give it up.

Administrators keep passwords and keys where only root can see them (``sasl_passwd``, a client's TLS key), as Postfix's
daemons open them before they become ``mail_owner``. Our processes are that user from their first step on; so the
parent reads such files, and its children find them here when the system refuses.

What is held is the process's, as its user is: set by the parent (``hold``), inherited by fork, asked by whoever reads
tables and keys. It is as old as the last start or reload; a change of the file is seen after ``postfix reload``.

Guarantees: a file is taken from here only when the system says that we may not read it, so that nothing changes for
files that we may. No file over ``_LARGEST`` is held, and no more than ``_MOST`` in all.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterable
from pathlib import Path

_LARGEST = 16 << 20
_MOST = 64 << 20

_held: dict[str, bytes] = {}


def hold(paths: Iterable[Path], uid: int, groups: Collection[int]) -> tuple[Path, ...]:
    """Read what a user may not read himself, in place of what was held before; the files that are held now.

    Files that are not there, that cannot be read by us either, or that are too large, are left to fail where they are
    wanted.
    """
    _held.clear()
    room = _MOST
    for path in dict.fromkeys(paths):
        try:
            status = path.stat()
            if not stat.S_ISREG(status.st_mode) or may_read(path, uid, groups) or status.st_size > min(_LARGEST, room):
                continue
            data = path.read_bytes()
        except OSError:
            continue
        room -= len(data)
        _held[str(path)] = data
    return tuple(Path(name) for name in _held)


def may_read(path: Path, uid: int, groups: Collection[int]) -> bool:
    """Whether a user may read a file and pass the directories above it, by their modes. Raises OSError."""
    above = [(parent, 0o1) for parent in path.absolute().parents]
    return all(_allows(each.stat(), uid, groups, bit) for each, bit in (*above, (path, 0o4)))


def _allows(status: os.stat_result, uid: int, groups: Collection[int], bit: int) -> bool:
    shift = 6 if status.st_uid == uid else 3 if status.st_gid in groups else 0
    return bool(status.st_mode >> shift & bit)


def is_held(path: Path | str) -> bool:
    """Whether root has read it for us."""
    return str(path) in _held


def stamp(path: Path | str) -> tuple[int, int, int]:
    """What changes with a file: time, number, size; always the same for one whose directory is closed to us.

    Raises:
        OSError: it is not there, or we may not know.
    """
    try:
        status = os.stat(path)  # noqa: PTH116 - asked often; Path.stat costs four times as much
    except PermissionError:
        if str(path) not in _held:
            raise
        return 0, 0, len(_held[str(path)])
    return status.st_mtime_ns, status.st_ino, status.st_size


def read_bytes(path: Path) -> bytes:
    """The content of a file, by our own right or as root has read it. Raises OSError."""
    try:
        return path.read_bytes()
    except PermissionError:
        if str(path) not in _held:
            raise
        return _held[str(path)]


def open_descriptor(path: Path | str) -> int:
    """A descriptor to read a file from, or a copy in memory. Raises OSError."""
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except PermissionError:
        if str(path) not in _held:
            raise
    descriptor = os.memfd_create("held", os.MFD_CLOEXEC)
    try:
        data = memoryview(_held[str(path)])
        while data:
            data = data[os.write(descriptor, data) :]
        os.lseek(descriptor, 0, os.SEEK_SET)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor
