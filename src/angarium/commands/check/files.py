"""Checks of files: what Postfix's own ``postfix check`` looks at, in its words, and the configuration's files.

As root, what is under the configuration directory belongs to root, the queue and what is in the data directory to
``mail_owner``; nothing in them is writable by others. A server that an ordinary user runs has everything belong to that
user.
"""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

import angarium
from angarium.commands.check.finding import Finding, Rule, Severity
from angarium.commands.check.installation import Installation

OWNER = Rule(
    "wrong-owner", Severity.WARNING, "not owned by {owner}: {path}", "run: chown {owner} {path}", as_postfix=True
)
WRITABLE = Rule(
    "writable-by-others",
    Severity.WARNING,
    "group or other writable: {path}",
    "who can write it can run commands as root or read mail; run: chmod go-w {path}",
    as_postfix=True,
)
SYMLINK = Rule(
    "symlink-leaves",
    Severity.WARNING,
    "symlink leaves directory: {path}",
    "put the file itself there",
    as_postfix=True,
)
MISSING = Rule(
    "missing-directory",
    Severity.WARNING,
    "{parameter}: no directory {path}",
    "`postfix check` and a start make it; by hand: install -d -o {owner} {path}",
)
GROUP = Rule(
    "wrong-group",
    Severity.WARNING,
    "not owned by group {group}: {path}",
    "run: chgrp {group} {path}",
    as_postfix=True,
)
NO_USER = Rule("missing-user", Severity.ERROR, "{parameter}: no such user: {name}", "run: useradd --system {name}")
SECRETS = Rule(
    "secrets-exposed",
    Severity.WARNING,
    "{parameter}: everyone may read {path}, which holds passwords",
    "run: chmod o-r {path}",
)

UNREADABLE = Rule(
    "unreadable-program",
    Severity.ERROR,
    "{owner} cannot read the program itself: {path} is closed to others",
    "the workers load parts of it when they first need them; install it where all may read, such as /opt/angarium",
)

RULES = (OWNER, WRITABLE, SYMLINK, MISSING, GROUP, NO_USER, SECRETS, UNREADABLE)

_OTHERS = stat.S_IWGRP | stat.S_IWOTH
_FILES = 10_000
"""How many files of a directory are looked at: a configuration has hundreds."""


def check(site: Installation) -> Iterator[Finding]:
    """Find files and directories that others could change or that are not there."""
    root = os.geteuid() == 0
    mail_owner = site.text(site.conf, "mail_owner")
    try:
        mail_uid = pwd.getpwnam(mail_owner).pw_uid
    except KeyError:
        yield Finding(NO_USER, *site.place(site.conf, "mail_owner"), {"parameter": "mail_owner", "name": mail_owner})
        mail_uid = os.geteuid()
    me = os.geteuid()
    owner, owner_name = (0, "root") if root else (me, "us")
    queue = Path(site.text(site.conf, "queue_directory"))
    data = Path(site.text(site.conf, "data_directory"))
    yield from _directory(site, "queue_directory", queue, owner_name if root else mail_owner)
    yield from _directory(site, "data_directory", data, mail_owner)
    if root:
        yield from (f for f in _one(queue, mail_uid, mail_owner) if f.rule is not OWNER or not _of_root(queue))
        yield from _one(queue / "pid", owner, owner_name)
        if mail_uid != 0:
            yield from unreadable(mail_owner, (Path(os.__file__).parent, Path(angarium.__file__).parent))
    yield from _tree(site.conf.directory, owner, owner_name)
    yield from _tree(data, mail_uid if root else me, mail_owner if root else "us", own_only=True)
    yield from _queue(site, queue, mail_uid, mail_owner)
    yield from _secrets(site)


def _directory(site: Installation, parameter: str, path: Path, owner: str) -> Iterator[Finding]:
    if not path.is_dir():
        values = {"parameter": parameter, "path": path, "owner": owner}
        yield Finding(MISSING, *site.place(site.conf, parameter), values)


def unreadable(owner: str, places: Sequence[Path]) -> Iterator[Finding]:
    """Directories that keep the workers from their own code; ``places`` are where Python and the package are."""
    above = dict.fromkeys(each for place in places for each in reversed((place, *place.parents)))
    for directory in above:
        if not directory.stat().st_mode & stat.S_IXOTH:
            yield Finding(UNREADABLE, str(directory), 0, {"owner": owner, "path": directory})


def _of_root(path: Path) -> bool:
    return path.stat().st_uid == 0  # a start gives it to mail_owner


def _one(path: Path, owner: int, name: str, shown: str = "") -> Iterator[Finding]:
    """One file or directory; ``shown`` is how Postfix writes its path."""
    try:
        status = path.lstat()
    except OSError:
        return
    values = {"owner": name, "path": shown or str(path)}
    if status.st_uid != owner:
        yield Finding(OWNER, str(path), 0, values)
    if stat.S_ISLNK(status.st_mode):
        try:
            if "/" in str(path.readlink()):
                yield Finding(SYMLINK, str(path), 0, values)
            status = path.stat()
        except OSError:
            return
    if status.st_mode & _OTHERS and not stat.S_ISSOCK(status.st_mode):
        yield Finding(WRITABLE, str(path), 0, values)


def _tree(top: Path, owner: int, name: str, *, own_only: bool = False) -> Iterator[Finding]:
    """A directory and all below it."""
    yield from _one(top, owner, name, f"{top}/.")
    count = 0
    for directory, directories, files in os.walk(top):
        for each in (*directories, *files):
            count += 1
            if count > _FILES:
                return
            path = Path(directory, each)
            shown = f"{top}/./{path.relative_to(top)}"
            yield from (f for f in _one(path, owner, name, shown) if not (own_only and f.rule is SYMLINK))


def _queue(site: Installation, queue: Path, mail_uid: int, mail_owner: str) -> Iterator[Finding]:
    """The directories of the queue that are the mail system's."""
    if os.geteuid() != 0:
        return
    for name in ("private", "public", "spool", "maildrop"):
        path = queue / name
        if path.is_dir() and path.stat().st_uid != mail_uid:
            yield Finding(OWNER, str(path), 0, {"owner": mail_owner, "path": path})
    group = site.text(site.conf, "setgid_group")
    try:
        gid = grp.getgrnam(group).gr_gid
    except KeyError:
        return  # no command here is set-gid: a machine without the group is as good
    for name in ("public", "maildrop"):
        path = queue / name
        if path.is_dir() and path.stat().st_mode & stat.S_ISGID and path.stat().st_gid != gid:
            yield Finding(GROUP, str(path), 0, {"group": group, "path": path})


def _secrets(site: Installation) -> Iterator[Finding]:
    """Files with the passwords of other servers, and of our accounts."""
    directory = Path(site.text(site.conf, "directory_database"))
    with contextlib.suppress(OSError):
        if directory.stat().st_mode & stat.S_IROTH:
            values = {"parameter": "directory_database", "path": directory}
            yield Finding(SECRETS, *site.place(site.conf, "directory_database"), values)
    for use in site.tables():
        named = use.parameter.endswith("_sasl_password_maps")
        if not (named or use.kind in ("mysql", "pgsql", "ldap")) or not use.name.startswith("/"):
            continue
        path = Path(use.name)
        try:
            exposed = path.stat().st_mode & stat.S_IROTH
        except OSError:
            continue
        if exposed:
            yield Finding(SECRETS, *use.place, {"parameter": use.parameter, "path": path})
