"""Who the workers are: ``mail_owner``, and how root becomes him for good.

Started by anyone but root, the server stays who it is: a demo, a test. Started by root it gives up root in every
child, before the child opens anything; the master keeps it, to bind ports and to read keys.

A child also drops what it does not need (``confine``): the environment but for import_environment, the right to gain
privileges by what it executes, and core files, which would hold keys and passwords.

Fails with ConfigError for an unknown mail_owner, PermissionError when the kernel refuses.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import pwd
import resource
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from angarium.config.config import Config
from angarium.config.error import ConfigError


@dataclass(frozen=True, slots=True)
class Owner:
    """The user that workers run as.

    Attributes:
        name: login name.
        uid: user id.
        gid: primary group.
    """

    name: str
    uid: int
    gid: int

    def own(self, path: Path) -> None:
        """Give a directory to him, unless it is his. Raises OSError."""
        status = path.stat()
        if (status.st_uid, status.st_gid) != (self.uid, self.gid):
            os.chown(path, self.uid, self.gid)

    def own_file(self, path: Path) -> None:
        """Give a file to him that may be in a directory of his: what is a link to another's stays the other's.

        Raises:
            OSError: it cannot be opened.
        """
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            return  # it was a moment ago: SQLite removes its own
        try:
            status = os.fstat(descriptor)
            alone = stat.S_ISREG(status.st_mode) and status.st_nlink == 1
            if alone and (status.st_uid, status.st_gid) != (self.uid, self.gid):
                os.fchown(descriptor, self.uid, self.gid)
        finally:
            os.close(descriptor)

    def become(self) -> None:
        """Turn this process into his, without a way back. Raises OSError."""
        os.initgroups(self.name, self.gid)
        os.setresgid(self.gid, self.gid, self.gid)
        os.setresuid(self.uid, self.uid, self.uid)


_PATH = "/usr/bin:/bin"
_PR_SET_NO_NEW_PRIVS = 38


def confine(environment: Sequence[str], *, executes: bool = False) -> None:
    """Keep of the environment what is named, and give up what a server never needs.

    Args:
        environment: import_environment: names, and ``name=value``.
        executes: this process runs commands for users, who may gain by them what they may gain by any command.
    """
    keep_environment(environment)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if not executes and hasattr(library := ctypes.CDLL(None), "prctl"):
        library.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def keep_environment(wanted: Sequence[str]) -> None:
    """Of this process's environment, the variables that are named, and those that are given with a value."""
    kept = {"PATH": _PATH}
    for word in wanted:
        name, equals, value = word.partition("=")
        if equals:
            kept[name] = value
        elif name in os.environ:
            kept[name] = os.environ[name]
    os.environ.clear()
    os.environ.update(kept)


def mail_owner(conf: Config) -> Owner | None:
    """The user to become; None when the server was not started by root, or when mail_owner is root himself."""
    if os.geteuid() != 0:
        return None
    name = conf.text("mail_owner")
    try:
        entry = pwd.getpwnam(name)
    except KeyError as error:
        place = conf.setting("mail_owner")
        text = f"parameter mail_owner: unknown user name value: {name}"
        raise ConfigError(text, place.file if place else "", place.line if place else 0) from error
    return None if entry.pw_uid == 0 else Owner(name, entry.pw_uid, entry.pw_gid)
