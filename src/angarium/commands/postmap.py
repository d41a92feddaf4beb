"""postmap(1): builds, changes and asks lookup tables.

===============  =====================================================================================================
``[type:]name``  build the table out of the file ``name``
``-i`` ``-r``    add entries from standard input; replace those that are there
``-w``           leave those that are there, without a warning
``-d KEY``       remove an entry, with ``-`` those of standard input
``-q KEY``       ask the tables, with ``-`` for each line of standard input
``-h`` ``-b``    with ``-q -``: for each header, each body line of the message there; ``-m``: of its parts too
``-s``           list all entries of the first table
``-f``           do not fold keys
``-n`` ``-N``    without, with a NUL behind keys and values
``-o`` ``-p``    keep root's privileges; do not give the new file the permissions of its source
``-u`` ``-U``    no UTF-8 checks; check also with ``-h`` and ``-b``
``-F``           values are names of files, whose content is stored in base 64
``-c DIR``       the configuration directory
===============  =====================================================================================================

Exit status 0; 1 when nothing was found or removed, and for errors.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence

from angarium.commands.command import Command, guarded
from angarium.commands.table_command import Job, TableCommand, parse_options, standard_input
from angarium.tables.text import split_entry

_OPTIONS = "bfFhimnNoprsuUvwc:d:q:"
_HEADER = re.compile(rb"([!-9;-~]+)[ \t]*:")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the exit status."""
    return run_command("postmap", sys.argv[1:] if argv is None else argv)


def run_command(name: str, argv: Sequence[str]) -> int:
    """Run postmap, or what else has its options; the exit status."""
    return guarded(name, lambda: run(name, argv))


def run(name: str, argv: Sequence[str]) -> int:
    """Read the command line and do what it says. Raises CommandError and OSError."""
    options, operands = parse_options(name, argv, _OPTIONS)
    directory = next((value for option, value in options if option == "-c"), None)
    command = Command(name, directory)
    job = Job(split_entry, warns_of_colons=True, show=lambda key, value: f"{key}\t{value}\n")
    letters = read_options(command, job, options)
    job.tables = operands
    message = letters & set("bhm")
    if message and job.query != "-":
        command.fail('specify -b -h or -m only with "-q -"')
    if message == {"m"}:
        command.warn("ignoring -m option without -b or -h")
    if message & set("bh") and "U" not in letters:
        job.utf8 = False
    if not operands:
        command.fail(usage(name))
    table_command = TableCommand(command, job)
    if message & set("bh"):
        keys = MessageKeys(command, letters)
        return table_command.ask(keys.of(standard_input().read()), alone=False)
    return table_command.run()


def usage(name: str) -> str:
    """The usage of postmap."""
    return f"usage: {name} [-bfFhimnNoprsuUvw] [-c config_dir] [-d key] [-q key] [map_type:]file..."


def read_options(command: Command, job: Job, options: Sequence[tuple[str, str]]) -> set[str]:
    """Put options into the job; the letters that there were. Raises CommandError."""
    letters = {option[1] for option, _ in options}
    for option, value in options:
        if option in ("-d", "-q"):
            if job.list_all or job.query is not None or job.delete is not None:
                command.fail("specify only one of -s -q or -d")
            if option == "-d":
                job.delete = value
            else:
                job.query = value
        elif option == "-s":
            if job.query is not None or job.delete is not None:
                command.fail("specify only one of -s or -q or -d")
            job.list_all = True
        elif option in ("-n", "-N"):
            job.ending = b"" if option == "-n" else b"\0"
    job.incremental = "i" in letters
    job.replace = "r" in letters
    job.ignore = "w" in letters
    job.folds = "f" not in letters
    job.as_owner = "o" not in letters
    job.source_mode = "p" not in letters
    job.values_are_files = "F" in letters
    job.utf8 = "u" not in letters and command.config.boolean("smtputf8_enable")
    return letters


class MessageKeys:
    """Turns a message into keys: its headers with ``-h``, its body lines with ``-b``."""

    def __init__(self, command: Command, letters: set[str]) -> None:
        # Late: looking up keys does not need it.
        from angarium.cleanup.mimewalk import MimeWalk, WalkLimits

        self._headers = "h" in letters
        self._body = "b" in letters
        limits = WalkLimits(
            mime_nesting_limit=command.config.integer("mime_nesting_limit"),
            mime_boundary_length_limit=command.config.integer("mime_boundary_length_limit"),
            header_size_limit=command.config.integer("header_size_limit"),
            disable_mime_input_processing="m" not in letters,
        )
        self._walk = MimeWalk(0, limits)

    def of(self, data: bytes) -> Iterator[str]:
        """The keys of a message."""
        lines = data.split(b"\n")
        if not lines[-1]:
            lines.pop()
        start = 0
        header: list[bytes] = []
        for line in lines:
            found = _HEADER.match(line)
            if found is None and not (header and line[:1] in (b" ", b"\t")):
                break
            start += 1
            if found is not None:
                yield from self._primary(header)
                header = [found[1] + b":" + line[found.end() :]]
            else:
                header.append(line)
        yield from self._primary(header)
        if start < len(lines) and lines[start] and self._body:
            yield ""
        for line in lines[start:]:
            yield from self._keys(self._walk.line(line, 1))
        yield from self._keys(self._walk.end())

    def _primary(self, lines: Sequence[bytes]) -> Iterator[str]:
        if lines:
            text = b"\n".join(lines)
            self._walk.primary(text)
            if self._headers:
                yield text.decode("utf-8", "surrogateescape")

    def _keys(self, parts: Sequence[object]) -> Iterator[str]:
        from angarium.cleanup.mimewalk import WalkedHeader, WalkedLine

        for part in parts:
            if (isinstance(part, WalkedHeader) and self._headers) or (isinstance(part, WalkedLine) and self._body):
                yield part.text.decode("utf-8", "surrogateescape")


if __name__ == "__main__":
    sys.exit(main())
