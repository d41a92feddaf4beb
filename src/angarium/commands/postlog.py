"""postlog(1): writes lines into the mail log, for scripts.

===============  ==========================================================================
``text …``       one record; without it each line of standard input is one
``-p PRIORITY``  info (so it is without), warn, error, fatal or panic
``-t TAG``       what stands before the colon, in place of ``$syslog_name/postlog``
``-i``           the process id in the tag: it always is there
``-c``           the configuration directory
``-v``           accepted
===============  ==========================================================================

On a terminal the record is shown on standard error, too. Exit status 0; 1 for a wrong call.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Sequence

from angarium.commands.command import Command, CommandError, guarded, parse_options

USAGE = "usage: postlog [-c config_dir] [-i] [-p priority] [-t tag] [-v] [text]"

PRIORITIES = {
    "info": "info",
    "warn": "warning",
    "warning": "warning",
    "error": "error",
    "err": "error",
    "fatal": "fatal",
    "crit": "fatal",
    "panic": "panic",
}

_PAUSE = 1.0
"""Seconds after a record that says that something ends: it must not be repeated without end."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the exit status."""
    return guarded("postlog", lambda: run(sys.argv[1:] if argv is None else argv))


def run(argv: Sequence[str]) -> int:
    """Read the command line and do what it says. Raises CommandError and OSError."""
    options, words = parse_options("postlog", argv, "c:ip:t:v", USAGE)
    chosen = dict(options)
    level = PRIORITIES.get(chosen.get("-p", "info").lower())
    if level is None:
        raise CommandError(f'bad severity: "{chosen["-p"]}"')
    command = Command("postlog", chosen.get("-c"))
    _record(command, chosen.get("-t", ""), level, [" ".join(words)] if words else _input_lines())
    if level in ("fatal", "panic"):
        time.sleep(_PAUSE)
    return 0


def _input_lines() -> Iterable[str]:
    for line in sys.stdin.buffer:
        yield line.rstrip(b"\n").decode("utf-8", "replace")


def _record(command: Command, tag: str, level: str, texts: Iterable[str]) -> None:
    """Write each text as one record."""
    log = command.log
    if log is None:
        command.fail("the mail log cannot be written to")
    if tag:
        log = log.child(tag)
    write = getattr(log, level)
    shown = sys.stderr is not None and sys.stderr.isatty()
    before = "" if level == "info" else f"{level}: "
    for text in texts:
        write(text)
        if shown:
            print(f"{tag or 'postlog'}: {before}{text}", file=sys.stderr)
    log.sink.flush()


if __name__ == "__main__":
    sys.exit(main())
