"""Who the workers are: ``mail_owner``, and how root becomes him for good.

Started by anyone but root, the server stays who it is: a demo, a test. Started by root it gives up root in every
child, before the child opens anything; the master keeps it, to bind ports and to read keys.

Fails with ConfigError for an unknown mail_owner, PermissionError when the kernel refuses.
"""

from __future__ import annotations

import os
import pwd
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
        """Give a file or directory to him, unless it is his. Raises OSError."""
        status = path.stat()
        if (status.st_uid, status.st_gid) != (self.uid, self.gid):
            os.chown(path, self.uid, self.gid)

    def become(self) -> None:
        """Turn this process into his, without a way back. Raises OSError."""
        os.initgroups(self.name, self.gid)
        os.setresgid(self.gid, self.gid, self.gid)
        os.setresuid(self.uid, self.uid, self.uid)


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
