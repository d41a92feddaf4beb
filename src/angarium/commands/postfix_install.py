"""``postfix set-permissions`` and ``postfix upgrade-configuration``.

``set-permissions`` makes the directories of the mail system, gives them to mail_owner, and writes the sendmail script
that starts fast (``sendmail_script``) over sendmail, mailq and newaliases of this installation: those beside the
interpreter, and sendmail_path, mailq_path and newaliases_path when they are ours. A program of another mail system is
left alone.

``upgrade-configuration`` adds the lines to master.cf without which mail does not move: a file from a very small or very
old installation may lack them. What is there is not changed.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from angarium.commands import sendmail_script
from angarium.config.config import Config
from angarium.config.master_cf import read_master_cf
from angarium.master.privileges import mail_owner
from angarium.master.supervisor import prepare_directories

_SERVICES = {
    "pickup": "pickup    unix  n       -       n       60      1       pickup",
    "cleanup": "cleanup   unix  n       -       n       -       0       cleanup",
    "qmgr": "qmgr      unix  n       -       n       300     1       qmgr",
    "rewrite": "rewrite   unix  -       -       n       -       -       trivial-rewrite",
    "bounce": "bounce    unix  -       -       n       -       0       bounce",
    "showq": "showq     unix  n       -       n       -       -       showq",
    "smtp": "smtp      unix  -       -       n       -       -       smtp",
    "relay": "relay     unix  -       -       n       -       -       smtp",
    "error": "error     unix  -       -       n       -       -       error",
    "retry": "retry     unix  -       -       n       -       -       error",
    "discard": "discard   unix  -       -       n       -       -       discard",
    "local": "local     unix  -       n       n       -       -       local",
    "virtual": "virtual   unix  -       n       n       -       -       virtual",
    "lmtp": "lmtp      unix  -       -       n       -       -       lmtp",
}
"""Services on unix sockets that every configuration wants, as lines of master.cf."""

_PATHS = ("sendmail_path", "mailq_path", "newaliases_path")
"""The parameters that say where the scripts of those names are."""

_OURS = (b"angarium", sendmail_script.MARK.encode())


def set_permissions(conf: Config, say: Callable[[str], None]) -> None:
    """Give the mail system what is its own. Raises ConfigError, OSError."""
    prepare_directories(conf, mail_owner(conf))
    for script in _scripts(conf):
        sendmail_script.write(script)
        say(f"set-permissions: {script}: written for {sys.executable}")


def _scripts(conf: Config) -> Iterator[Path]:
    """The sendmail scripts of this installation."""
    seen = set()
    for name, parameter in zip(sendmail_script.NAMES, _PATHS, strict=True):
        for path in (Path(sys.executable).with_name(name), Path(conf.text(parameter))):
            target = path.resolve()
            if path.is_file() and target not in seen and _is_ours(path) and os.access(target.parent, os.W_OK):
                seen.add(target)
                yield path


def _is_ours(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(8192)
    return head.startswith(b"#!") and any(mark in head for mark in _OURS)


def upgrade_configuration(directory: Path) -> None:
    """Add missing services to master.cf. Raises ConfigError, OSError."""
    path = directory / "master.cf"
    there = {(entry.name, entry.type) for entry in read_master_cf(path).services}
    missing = [name for name in _SERVICES if (name, "unix") not in there]
    for name in missing:
        print(f"Editing {path}, adding missing entry for {name} service")
    if missing:
        with path.open("r+", encoding="utf-8", errors="surrogateescape") as file:
            text = file.read()
            file.write(
                ("" if text.endswith("\n") or not text else "\n") + "".join(f"{_SERVICES[n]}\n" for n in missing)
            )
