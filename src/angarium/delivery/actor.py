"""Who runs a command: the ``user=`` of pipe(8) and spawn(8), and who may not.

Never root, never a group of root's, never the owner of the mail system or its groups: whoever has those may write to
the queue. A server that root has not started is its caller throughout and has nobody to protect from him; there the
owner is not refused.

Fails with ConfigError, worded as Postfix's daemons word it; OSError when the password file cannot be asked.
"""

from __future__ import annotations

import grp
import pwd
from dataclasses import dataclass

from angarium.config.error import ConfigError
from angarium.delivery.user import User


@dataclass(frozen=True, slots=True)
class Reserved:
    """Users and groups that run no commands.

    Attributes:
        owner: mail_owner.
        uid: its user id; -1 when it may.
        gid: its primary group; -1 when it may.
        setgid_group: the group that may drop mail.
        setgid: its number; -1 when there is none.
    """

    owner: str = ""
    uid: int = -1
    gid: int = -1
    setgid_group: str = ""
    setgid: int = -1

    @classmethod
    def of(cls, owner: str, setgid_group: str) -> Reserved:
        """Those of mail_owner and setgid_group, as far as there are such."""
        uid = gid = setgid = -1
        try:
            entry = pwd.getpwnam(owner)
            uid, gid = entry.pw_uid, entry.pw_gid
        except (KeyError, ValueError):
            owner = ""
        try:
            setgid = grp.getgrnam(setgid_group).gr_gid
        except (KeyError, ValueError):
            setgid_group = ""
        return cls(owner, uid, gid, setgid_group, setgid)


NOBODY = Reserved()
"""Nobody but root is refused."""


def actor(name: str, group: str, reserved: Reserved) -> User:
    """The user with the group, his own if ``group`` is empty. Raises ConfigError, OSError."""
    try:
        entry = pwd.getpwnam(name)
    except (KeyError, ValueError) as error:
        raise ConfigError(f"unknown user name: {name}") from error
    uid, gid = entry.pw_uid, entry.pw_gid
    if group:
        try:
            gid = grp.getgrnam(group).gr_gid
        except (KeyError, ValueError) as error:
            raise ConfigError(f"unknown group name: {group}") from error
    refuse(uid, gid, reserved)
    return User(entry.pw_name, uid, gid, entry.pw_dir, entry.pw_shell)


def refuse(uid: int, gid: int, reserved: Reserved) -> None:
    """Raise ConfigError for those who may run nothing."""
    said = "user= command-line attribute specifies"
    if uid == 0:
        raise ConfigError(f"{said} root privileges")
    if uid == reserved.uid:
        raise ConfigError(f"{said} mail system owner {reserved.owner}")
    if gid == 0:
        raise ConfigError(f"{said} privileged group id {gid}")
    if gid == reserved.gid:
        raise ConfigError(f"{said} mail system owner {reserved.owner} group id {gid}")
    if gid == reserved.setgid:
        raise ConfigError(f"{said} mail system {reserved.setgid_group} group id {gid}")
