"""The installation as a Debian system's mail server: users, directories, the unit of systemd, /usr/sbin/sendmail.

Each step says what it did and is safe to repeat. What another mail server owns is never replaced: a file of another
package in the place of ``/usr/sbin/sendmail`` is a failure with a hint.

Follows sysusers.d(5), tmpfiles.d(5), systemd.service(5), update-alternatives(1).
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from angarium.commands import sendmail_script
from angarium.commands.setup.files import NewFile, under
from angarium.commands.setup.share import shared_file
from angarium.master.privileges import Owner

_UNITS = Path("/etc/systemd/system")
_SHIPPED_PREFIX = "/opt/angarium"

SENDMAIL = (
    ("sendmail", "/usr/sbin/sendmail"),
    ("mailq", "/usr/bin/mailq"),
    ("newaliases", "/usr/bin/newaliases"),
    ("sendmail.lib", "/usr/lib/sendmail"),
)
"""The names that other programs call, the first of which the others go with: of the alternative, and the place."""

COMMANDS = (
    "angarium", "makemap", "mailstats", "postalias", "postcat", "postconf", "postdrop", "postfix", "postkick",
    "postlock", "postlog", "postmap", "postmulti", "postqueue", "postsuper", "posttls-finger", "praliases", "qshape",
)  # fmt: skip
"""The administrator's commands, which get links in /usr/sbin where nothing is yet."""


class InstallationError(Exception):
    """A step cannot be done; the text says why, and what would help."""


def prefix() -> Path:
    """Where this installation's commands are."""
    return Path(sys.executable).parent


def unit_files(root: Path) -> list[NewFile]:
    """The unit and what makes users and directories at each boot. Raises OSError."""
    unit = shared_file("systemd/angarium.service").read_text(encoding="utf-8")
    unit = unit.replace(f"{_SHIPPED_PREFIX}/bin", str(prefix()))
    return [
        NewFile(under(root, _UNITS / "angarium.service"), unit),
        NewFile(
            under(root, "/etc/sysusers.d/angarium.conf"),
            shared_file("systemd/angarium.sysusers").read_text(encoding="utf-8"),
        ),
        NewFile(
            under(root, "/etc/tmpfiles.d/angarium.conf"),
            shared_file("systemd/angarium.tmpfiles").read_text(encoding="utf-8"),
        ),
    ]


def user_of(root: Path, name: str) -> Owner | None:
    """A user of the system below a root directory; None when it has none of that name. Raises InstallationError."""
    if root == Path("/"):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)  # which may be elsewhere than in the file
            return Owner(name, entry.pw_uid, entry.pw_gid)
        return None
    place = under(root, "/etc/passwd")
    try:
        lines = place.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError as error:
        raise InstallationError(f"{place}: {error.strerror}: --system is for a whole root directory") from error
    for line in lines:
        fields = line.split(":")
        if len(fields) == 7 and fields[0] == name and fields[2].isdigit() and fields[3].isdigit():
            return Owner(name, int(fields[2]), int(fields[3]))
    return None


def make_user(root: Path, name: str) -> str:
    """The user that everything but the master runs as. Returns what was done. Raises InstallationError."""
    if user_of(root, name) is not None:
        return f"user {name}: is there already"
    home = ("--home-dir", "/var/spool/postfix", "--no-create-home", "--shell", "/usr/sbin/nologin")
    other = () if root == Path("/") else ("--prefix", str(root))
    _run(("useradd", *other, "--system", "--user-group", *home, "--comment", "Mail server", name))
    return f"user {name}: made"


def refuse_foreign(root: Path) -> None:
    """Raises InstallationError when another mail server owns one of the names that other programs call."""
    for _name, path in SENDMAIL:
        place = under(root, path)
        if place.exists() and not place.is_symlink():
            raise InstallationError(
                f"{place} belongs to another mail server: remove its package first (apt remove postfix), or leave out"
                " --system"
            )


def take_sendmail(root: Path) -> Iterator[str]:
    """Register our commands under the names that other programs call. Raises InstallationError."""
    (first, link), *others = SENDMAIL
    if root == Path("/"):
        with contextlib.suppress(OSError):  # what pip has put there works as well, only slower
            for name in sendmail_script.NAMES:
                sendmail_script.write(prefix() / name)
    words = ["--install", link, first, str(prefix() / first), "50"]
    for name, path in others:
        words += ["--slave", path, name, str(prefix() / name.partition(".")[0])]
    places = () if root == Path("/") else ("--root", str(root))
    _run(("update-alternatives", *places, *words))
    yield f"{link}: {prefix() / first} (update-alternatives)"
    for name in COMMANDS:
        yield from _link(root, f"/usr/sbin/{name}", prefix() / name)


def take_help(root: Path) -> Iterator[str]:
    """Let man(1) find the pages, and the shell its completion. Raises OSError."""
    for page in sorted(shared_file("man").glob("man?/*")):
        yield from _link(root, f"/usr/local/share/man/{page.parent.name}/{page.name}", page)
    yield from _link(root, "/etc/bash_completion.d/angarium", shared_file("completion/angarium.bash"))


def _link(root: Path, name: str, target: Path) -> Iterator[str]:
    """A link where nothing is yet."""
    place = under(root, name)
    if not os.path.lexists(place):
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(target)
        yield f"{place}: {target}"


def _run(words: Sequence[str]) -> None:
    program = shutil.which(words[0], path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if program is None:
        raise InstallationError(f"{words[0]} is not installed: --system is for Debian and its kin")
    done = subprocess.run([program, *words[1:]], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise InstallationError(f"{words[0]} failed: {(done.stderr or done.stdout).strip()}")
