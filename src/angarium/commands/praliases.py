"""praliases(8) of Sendmail: lists the system's aliases as they are in force, ``key:value``.

``-f FILE`` reads that table in place of those of ``alias_database``, ``-C`` or ``-c`` names the configuration
directory; operands are the keys to look up. Exit status 0; 1 when a table cannot be read. A key that is not there is
said to be none, which is no failure.
"""

from __future__ import annotations

import dataclasses
import getopt
import os
import sys
from collections.abc import Sequence

from angarium.commands.command import Command, guarded
from angarium.commands.postalias import alias_job
from angarium.commands.table_command import TableCommand

USAGE = "usage: praliases [-C config_dir] [-f aliasfile] [key ...]"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the exit status."""
    return guarded("praliases", lambda: run(sys.argv[1:] if argv is None else argv))


def run(argv: Sequence[str]) -> int:
    """Read the command line and do what it says. Raises CommandError and OSError."""
    try:
        options, keys = getopt.getopt(list(argv), "C:c:f:")
    except getopt.GetoptError as error:
        print(USAGE, file=sys.stderr)
        return os.EX_USAGE if "option" in str(error) else 1
    chosen = dict(options)
    command = Command("praliases", chosen.get("-C", chosen.get("-c")))
    tables = [chosen["-f"]] if "-f" in chosen else list(command.config.names("alias_database"))
    job = alias_job("")
    job.show = lambda key, value: f"{key}:{value}\n"
    job.tables = tables
    if not keys:
        for table in tables:
            TableCommand(command, dataclasses.replace(job, list_all=True, tables=[table])).run()
        return 0
    for key in keys:
        if TableCommand(command, job).ask([key], alone=False):
            print(f"{key}: No such key")
            sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
