"""mailstats: how much mail came and went, and by which way, in the manner of sendmail's program of that name.

=======  =====================================================================================================
``-f``   the log to count in; without, maillog_file; ``-`` for standard input
``-o``   without the names
``-P``   for programs: the first and the last time as numbers, then a line a way
``-p``   the same
``-C``   the configuration directory; ``-c`` accepted
=======  =====================================================================================================

A row is a way that mail takes: what came in by it and its bytes (``msgsfr``), what went out (``msgsto``), what was
rejected, discarded, and put on hold. ``local`` is the sendmail command on the way in and mailboxes on the way out;
``esmtp`` is SMTP; the others are transports of master.cf. The row ``T`` has the sums, ``C`` the connections: in, out,
rejected.

The counts are those of the log: older ones are where logrotate put them. Exit status 0, or 66 when it cannot be read.
"""

from __future__ import annotations

import getopt
import os
import re
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from angarium.commands.command import Command, CommandError, complain

_LINE = re.compile(r"^(\w{3} [ \d]\d \d\d:\d\d:\d\d|\d{4}-\d\d-\d\dT\S+) \S+ ([\w./-]+)\[\d+\]: (.*)")
_ID = r"([0-9A-Za-z]{6,}): "
_CAME = re.compile(_ID + r"(?:client=|uid=\d+ )")
_SIZE = re.compile(_ID + r"from=<[^>]*>, size=(\d+), nrcpt=")
_SENT = re.compile(_ID + r"to=<.* status=sent ")
_STOPPED = re.compile(r"(?:NOQUEUE|" + _ID[1:-3] + r"|[0-9A-Za-z]{6,}): (?:milter-)?(reject|discard|hold): ")
_WAYS = {
    "pickup": "local",
    "local": "local",
    "virtual": "local",
    "smtpd": "esmtp",
    "smtp": "esmtp",
    "postscreen": "esmtp",
}
_COLUMNS = ("from", "bytes_from", "to", "bytes_to", "reject", "discard", "hold")


@dataclass(slots=True)
class Statistics:
    """The counts of a log."""

    ways: dict[str, Counter[str]] = field(default_factory=dict)
    connections: Counter[str] = field(default_factory=Counter)
    first: str = ""
    last: str = ""
    _origins: dict[str, str] = field(default_factory=dict)
    _sizes: dict[str, int] = field(default_factory=dict)

    def count(self, way: str, column: str, number: int = 1) -> None:
        """Add to a row."""
        self.ways.setdefault(way, Counter())[column] += number

    def read(self, lines: Iterable[str]) -> None:
        """Count what is in a log."""
        for line in lines:
            found = _LINE.match(line)
            if found is None:
                continue
            self.first = self.first or found[1]
            self.last = found[1]
            program = found[2].rpartition("/")[2]
            self._event(_WAYS.get(program, program), program, found[3])

    def _event(self, way: str, program: str, text: str) -> None:
        if found := _CAME.match(text):
            self._origins[found[1]] = way
        elif found := _SIZE.match(text):
            if found[1] not in self._sizes:
                self._sizes[found[1]] = int(found[2])
                origin = self._origins.pop(found[1], "local")
                self.count(origin, "from")
                self.count(origin, "bytes_from", int(found[2]))
        elif found := _SENT.match(text):
            self.count(way, "to")
            self.count(way, "bytes_to", self._sizes.get(found[1], 0))
            if way == "esmtp" and ", conn_use=" not in text:
                self.connections["out"] += 1
        elif text.endswith(": removed"):
            self._sizes.pop(text.partition(":")[0], None)
        elif text.startswith("connect from ") and program == "smtpd":
            self.connections["in"] += 1
        elif found := _STOPPED.match(text):
            self.count(way if way in ("esmtp", "local") else "esmtp", found[1])
            if ": CONNECT from " in text:
                self.connections["reject"] += 1


def _seconds(stamp: str) -> int:
    try:
        if stamp[:1].isdigit():
            return int(datetime.fromisoformat(stamp).timestamp())
        now = time.localtime()
        parsed = time.strptime(f"{now.tm_year} {stamp}", "%Y %b %d %H:%M:%S")
        seconds = int(time.mktime(parsed))
        return seconds if seconds <= time.time() + 86400 else int(time.mktime((now.tm_year - 1, *parsed[1:])))
    except ValueError:
        return 0


def _kilobytes(number: int) -> str:
    return f"{(number + 1023) // 1024}K"


def table(counted: Statistics, *, names: bool) -> str:
    """For people."""
    lines = [f"Statistics from {time.ctime(_seconds(counted.first)) if counted.first else 'nothing'}"]
    title = " M   msgsfr  bytes_from   msgsto    bytes_to  msgsrej msgsdis msgsqur"
    lines.append(title + ("  Mailer" if names else ""))
    total: Counter[str] = Counter()
    for number, way in enumerate(sorted(counted.ways)):
        total.update(counted.ways[way])
        lines.append(f"{number:2} " + _row(counted.ways[way]) + (f"  {way}" if names else ""))
    lines.append("=" * len(title))
    lines.append(" T " + _row(total))
    ways = counted.connections
    lines.append(f" C {ways['in']:8} {'':11} {ways['out']:8} {'':11} {ways['reject']:8}")
    return "\n".join(lines) + "\n"


def _row(row: Counter[str]) -> str:
    return (
        f"{row['from']:8} {_kilobytes(row['bytes_from']):>11} {row['to']:8} {_kilobytes(row['bytes_to']):>11} "
        f"{row['reject']:8} {row['discard']:7} {row['hold']:7}"
    )


def numbers(counted: Statistics) -> str:
    """For programs."""
    lines = [f"{_seconds(counted.first)} {_seconds(counted.last)}"]
    total: Counter[str] = Counter()
    for number, way in enumerate(sorted(counted.ways)):
        row = counted.ways[way]
        total.update(row)
        lines.append(f"{number} " + " ".join(str(row[name]) for name in _COLUMNS) + f" {way}")
    lines.append("T " + " ".join(str(total[name]) for name in _COLUMNS))
    lines.append("C " + " ".join(str(counted.connections[name]) for name in ("in", "out", "reject")))
    return "\n".join(lines) + "\n"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the exit status."""
    try:
        pairs, words = getopt.getopt(list(sys.argv[1:] if argv is None else argv), "C:cf:oPp")
    except getopt.GetoptError as error:
        complain("mailstats", error)
        return os.EX_USAGE
    options = dict(pairs)
    if words:
        complain("mailstats", "usage: mailstats [-C cffile] [-P] [-f stfile] [-o] [-p]")
        return os.EX_USAGE
    counted = Statistics()
    try:
        name = options.get("-f") or Command("mailstats", options.get("-C")).config.text("maillog_file")
        if not name:
            raise CommandError("maillog_file is empty: name the log with -f")
        if name == "-":
            counted.read(sys.stdin)
        else:
            with Path(name).open(encoding="utf-8", errors="replace") as log:
                counted.read(log)
    except (CommandError, OSError) as error:
        complain("mailstats", error)
        return os.EX_NOINPUT
    sys.stdout.write(numbers(counted) if {"-P", "-p"} & options.keys() else table(counted, names="-o" not in options))
    return os.EX_OK


if __name__ == "__main__":
    sys.exit(main())
