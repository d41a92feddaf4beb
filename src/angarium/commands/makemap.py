"""makemap: builds a table's file from standard input, as sendmail's program of that name: ``makemap TYPE FILE``.

=============  =========================================================================================
``-d``         of several entries with one key, the first one stays and nothing is said
``-r``         of several entries with one key, the last one stays
``-o``         add to the file that is there
``-e``         values may be empty
``-f``         keys keep their upper case
``-N``         a NUL stands behind keys
``-D``         the character that begins a comment: #
``-t``         the character between key and value; without, blanks
``-u``         write the file's entries to standard output
``-l``         list the types
``-v``         name each entry as it is read
``-C`` ``-c``  accepted, with their arguments, as ``-i``; ``-s``, too: a file is always replaced whole
=============  =========================================================================================

The types are hash, btree, lmdb and cdb, and the file is the one that postmap(1) makes (``FILE.db`` …). dbm is not among
them: nothing reads it any more. The tables of a mail system find keys with a NUL behind them and without.

Exit status: 0; 64 for a wrong call; 65 for a line without a value or a key that is there twice, which are named and
left out; 73 when the file cannot be written, or there is no such type. The texts are those of sendmail 8.17.
"""

from __future__ import annotations

import getopt
import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from angarium.tables.build import BUILDERS, built_path, read_entries, write_file, writing
from angarium.tables.builtfile import DamagedFileError

USAGE = """\
Usage: makemap [-C cffile] [-N] [-c cachesize] [-D commentchar]
               [-d] [-e] [-f] [-i type] [-l] [-o] [-r] [-s] [-t delimiter]
               [-u] [-v] type mapname"""


@dataclass(slots=True)
class Job:
    """What the command line asks for."""

    kind: str
    path: Path
    options: dict[str, str] = field(default_factory=dict)
    faults: int = 0

    def has(self, letter: str) -> bool:
        """Whether an option was given."""
        return f"-{letter}" in self.options

    def complain(self, number: int, text: str) -> None:
        """Name a line that is left out."""
        self.faults += 1
        print(f"makemap: {self.path}: line {number}: {text}", file=sys.stderr)

    def entries(self, lines: Iterable[bytes]) -> dict[bytes, bytes]:
        """Standard input, on top of what there is with ``-o``. Raises OSError, DamagedFileError."""
        built = built_path(self.kind, self.path)
        found = read_entries(self.kind, built, locked=True) if self.has("o") and built.exists() else {}
        ending = b"\0" if self.has("N") else b""
        comment = os.fsencode(self.options.get("-D", "#"))[:1]
        delimiter = os.fsencode(self.options.get("-t", ""))[:1] or None
        for number, raw in enumerate(lines, 1):
            line = raw.rstrip(b"\r\n")
            if not line.strip() or line.startswith(comment):
                continue
            if line[:1].isspace() and delimiter is None:
                self.complain(number, "syntax error (leading space)")
                continue
            key, *rest = line.split(delimiter, 1)
            value = rest[0].lstrip() if rest else b""
            if not value and not self.has("e"):
                self.complain(number, f"no RHS for LHS {os.fsdecode(key)}")
                continue
            key = (key if self.has("f") else key.lower()) + ending
            if key in found and not self.has("r"):
                if not self.has("d"):
                    self.complain(number, f"key {os.fsdecode(key)}: duplicate key")
                continue
            found[key] = value
            if self.has("v"):
                print(f"key=`{os.fsdecode(key.rstrip(bytes(1)))}', val=`{os.fsdecode(value)}'")
        return found


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the exit status."""
    try:
        pairs, words = getopt.getopt(list(sys.argv[1:] if argv is None else argv), "C:D:Nc:defi:lorst:uv")
    except getopt.GetoptError as error:
        print(f"makemap: invalid option -- '{error.opt}'\n{USAGE}", file=sys.stderr)
        return os.EX_USAGE
    options = dict(pairs)
    if "-l" in options:
        print("\n".join(BUILDERS))
        return os.EX_OK
    if len(words) != 2:
        print(USAGE, file=sys.stderr)
        return os.EX_USAGE
    job = Job(words[0], Path(words[1]), options)
    if job.kind == "dbm":
        print("makemap: Need to recompile with -DNDBM for dbm support", file=sys.stderr)
        return os.EX_CANTCREAT
    try:
        if job.kind not in BUILDERS:
            raise ValueError("Unknown database type")
        if job.has("u"):
            _dump(job)
        else:
            _build(job)
    except (OSError, DamagedFileError, ValueError, OverflowError) as error:
        text = error.strerror if isinstance(error, OSError) else str(error)
        print(f"makemap: error opening type {job.kind} map {job.path}: {text}", file=sys.stderr)
        return os.EX_CANTCREAT
    return os.EX_DATAERR if job.faults else os.EX_OK


def _build(job: Job) -> None:
    built = built_path(job.kind, job.path)
    with writing(job.kind, built):
        write_file(job.kind, built, job.entries(sys.stdin.buffer), 0o640)


def _dump(job: Job) -> None:
    delimiter = job.options.get("-t", "\t")
    for key, value in read_entries(job.kind, built_path(job.kind, job.path)).items():
        print(f"{os.fsdecode(key.rstrip(bytes(1)))}{delimiter}{os.fsdecode(value.rstrip(bytes(1)))}")


if __name__ == "__main__":
    sys.exit(main())
