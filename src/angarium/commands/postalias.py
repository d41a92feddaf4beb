"""postalias(1): builds, changes and asks databases of aliases, from files in the form of aliases(5).

Its options mean what they mean for postmap(1). A built file tells, as Sendmail's and NIS want it, when and where it was
made (``YP_LAST_MODIFIED``, ``YP_MASTER_NAME``), and has an entry ``@``.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

from angarium.commands.command import Command, guarded
from angarium.commands.postmap import read_options
from angarium.commands.table_command import Job, TableCommand, parse_options
from angarium.tables.aliasfile import split_alias

_OPTIONS = "Nfinoprsuvwc:d:q:"
_USAGE = "usage: postalias [-Nfinoprsuvw] [-c config_dir] [-d key] [-q key] [map_type:]file..."


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the exit status."""
    words = sys.argv[1:] if argv is None else argv
    return guarded("postalias", lambda: run(words))


def newaliases(argv: Sequence[str] | None = None) -> int:
    """Build the alias databases anew, as ``sendmail -bi`` does; the exit status."""
    from angarium.commands import newaliases as command

    return command.main(argv)


def run(argv: Sequence[str]) -> int:
    """Read the command line and do what it says. Raises CommandError and OSError."""
    options, operands = parse_options("postalias", argv, _OPTIONS)
    directory = next((value for option, value in options if option == "-c"), None)
    command = Command("postalias", directory)
    job = alias_job(command.config.text("myhostname"))
    read_options(command, job, options)
    if not operands:
        command.fail(_USAGE)
    job.tables = operands
    return TableCommand(command, job).run()


def rebuild(directory: str) -> int:
    """Build the tables of alias_database; the exit status."""
    return guarded("postalias", lambda: _rebuild(Command("postalias", directory)))


def _rebuild(command: Command) -> int:
    job = alias_job(command.config.text("myhostname"))
    job.utf8 = command.config.boolean("smtputf8_enable")
    job.tables = command.config.names("alias_database")
    return TableCommand(command, job).run()


def alias_job(host: str) -> Job:
    """A job on files of aliases, which are signed by this host."""

    def signature() -> dict[bytes, bytes]:
        name = host.encode("utf-8", "surrogateescape")
        return {b"@\0": b"@\0", b"YP_LAST_MODIFIED": b"%d" % time.time(), b"YP_MASTER_NAME": name}

    return Job(split_alias, warns_of_colons=False, show=lambda key, value: f"{key}:\t{value}\n", extra=signature)


if __name__ == "__main__":
    sys.exit(main())
