"""Whose rights a delivery has: a user of the system."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class User:
    """A user of the system, from the password file.

    Attributes:
        name: login name.
        uid: user id.
        gid: primary group.
        home: home directory; empty when there is none.
        shell: login shell.
    """

    name: str
    uid: int
    gid: int
    home: str = ""
    shell: str = ""
