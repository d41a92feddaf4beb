"""The files of a new server: main.cf and master.cf from those that come with the package, aliases, a certificate.

A plan is made first and looked at as a whole: when one of its files exists and may not be replaced, nothing is written.
Each file is written beside its place and renamed into it.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from angarium.commands.setup.answers import Answers
from angarium.commands.setup.share import shared_file
from angarium.config.edit import set_main

_ALIASES = """\
# Who gets the mail for names that are no accounts of this machine: aliases(5). After a change: "newaliases".
#
# These names every mail server has to have (RFC 5321 section 4.5.1, RFC 2142).
postmaster: root
MAILER-DAEMON: postmaster
abuse: postmaster
hostmaster: postmaster
webmaster: postmaster

# Mail for root, from cron and others, goes to a person.
root: {account}
"""


class ExistingFilesError(Exception):
    """Some of the files are there already; the text names them."""


@dataclass(frozen=True, slots=True)
class NewFile:
    """One file of a plan: where, what, with which mode."""

    path: Path
    text: str
    mode: int = 0o644


def under(root: Path, path: str | Path) -> Path:
    """An absolute path as it is below another root directory."""
    return root / str(path).lstrip("/")


def filled(text: str, settings: Mapping[str, str]) -> str:
    """main.cf with settings put where it has them, in force or as an example behind ``#``; else at its end."""
    for name in settings:
        text = re.sub(rf"(?m)^#{re.escape(name)} = .*$", f"{name} = ", text, count=1)
    return set_main(text, settings)[0]


def configuration(answers: Answers, directory: Path, certificate: tuple[Path, Path], aliases: Path) -> list[NewFile]:
    """main.cf, master.cf and aliases.

    Args:
        answers: of the administrator.
        directory: where main.cf and master.cf will be.
        certificate: the files of the certificate and of its key, as main.cf names them.
        aliases: where the aliases will be.

    Raises:
        OSError: a file of the package cannot be read.
    """
    settings = {
        "myhostname": answers.hostname,
        "mydomain": answers.domain,
        "smtpd_tls_cert_file": str(certificate[0]),
        "smtpd_tls_key_file": str(certificate[1]),
    }
    main = filled(shared_file("postfix/main.cf").read_text(encoding="utf-8"), settings)
    master = shared_file("postfix/master.cf").read_text(encoding="utf-8")
    return [
        NewFile(directory / "main.cf", main),
        NewFile(directory / "master.cf", master),
        NewFile(aliases, _ALIASES.format(account=answers.account)),
    ]


def refuse_existing(files: Sequence[NewFile]) -> None:
    """Raises ExistingFilesError when a file would take the place of one that says something else."""
    there = [str(file.path) for file in files if os.path.lexists(file.path) and not _is_the_same(file)]
    if there:
        raise ExistingFilesError(", ".join(there))


def _is_the_same(file: NewFile) -> bool:
    return file.path.is_file() and not file.path.is_symlink() and file.path.read_bytes() == file.text.encode()


def write(files: Sequence[NewFile]) -> None:
    """Write them all. Raises OSError."""
    for file in files:
        file.path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=f".{file.path.name}.", dir=file.path.parent)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as out:
                out.write(file.text)
                out.flush()
                os.fsync(out.fileno())
            Path(temporary).chmod(file.mode)
            Path(temporary).replace(file.path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
