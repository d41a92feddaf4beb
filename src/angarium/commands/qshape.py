"""qshape(1): how the queue is spread over domains and ages.

=============  ==============================================================================
``-s``         count by the sender's domain, once a message
``-p``         count for parent domains, too: ``.example.com``
``-m N``       parent domains with at least so many domains below them (5)
``-b N``       so many columns of ages (10)
``-t N``       the first ends at so many minutes (5), each further one at twice as many
``-l``         or at ``-t`` minutes more
``-w N``       columns of the terminal, at least 80
``-N N``       on a terminal: show what has been counted after each so many messages (1000)
``-n N``       on a terminal: so many domains (20)
``-c``         the configuration directory
``-h``         this in short
``queue …``    hold, incoming, active, deferred; without: incoming and active
=============  ==============================================================================

A recipient that has the message already does not count. Queues that Postfix has and that have no counterpart here
(``maildrop``) are empty. Exit status 0; 255 for a wrong call and a queue that cannot be read.
"""

from __future__ import annotations

import getopt
import re
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from math import log2

from angarium.commands.queue_command import QueueCommand, guarded
from angarium.mailqueue.interface import QueuedMessage
from angarium.mailqueue.listing import NULL_SENDER

USAGE = """\
Usage: qshape [ -s ] [ -p ] [ -m <min_subdomains> ] [ -l ]
\t[ -b <bucket_count> ] [ -t <bucket_time> ] [ -w <terminal_width> ]
\t[ -N <batch_msg_count> ] [ -n <batch_top_domains> ]
\t[ -c <config_directory> ] [ <queue_name> ... ]
-s counts senders' domains, -p parent domains, too, shown with a dot before them.
The first column of ages ends at <bucket_time> minutes, each further one at twice as many; with -l, at
<bucket_time> more. Queues are hold, incoming, active and deferred; without a name: incoming and active.
"""
FAILED = 255

TOTAL = "TOTAL"
_NARROWEST = 18
"""Columns that a domain has at least."""

_QUEUES = ("maildrop", "hold", "incoming", "active", "deferred", "corrupt", "saved")
_DOTS = re.compile(r"\.\.")
_PARENT = re.compile(r"\.?[^.]+\.(.*\.)")
_CLEAR = "\033[H\033[2J\033[3J"


@dataclass(slots=True)
class Shape:
    """The counts, and how they are shown.

    Attributes:
        senders: count senders, not recipients.
        parents: count parent domains.
        subdomains: how many domains below it a parent must have to be shown.
        columns: columns of ages.
        minutes: where the first one ends.
        linear: columns of equal width.
        width: of the terminal.
        counts: by domain: the total, then a number a column.
    """

    senders: bool = False
    parents: bool = False
    subdomains: float = 5
    columns: int = 10
    minutes: float = 5.0
    linear: bool = False
    width: int = 80
    counts: dict[str, list[int]] = field(default_factory=dict)
    _below: dict[str, int] = field(default_factory=dict)

    def add(self, message: QueuedMessage, now: float) -> None:
        """Count a message."""
        column = self._column(now - message.envelope.arrival)
        if self.senders:
            self._count(message.envelope.sender, column)
        else:
            for pending in message.pending:
                self._count(pending.queued.recipient.address, column)

    def _column(self, age: float) -> int:
        spans = age / (60 * self.minutes)
        if spans < 1:
            return 1
        return min(self.columns, int(spans + 1) if self.linear else 2 + int(log2(spans)))

    def _count(self, address: str, column: int) -> None:
        domain = address.lower().rpartition("@")[2] if address else NULL_SENDER
        domain = _DOTS.sub(".", domain)
        if domain.startswith(".") and len(domain) > 1:
            domain = domain[1:]
        if domain.endswith(".") and len(domain) > 1:
            domain = domain[:-1]
        self._row(TOTAL, column)
        new = False
        while True:
            row = self._row(domain, column)
            if new:
                self._below[domain] = self._below.get(domain, 0) + 1
            new = row[0] == 1
            parent = _PARENT.match(domain) if self.parents else None
            if parent is None:
                return
            domain = "." + parent[1] + domain[parent.end() :]

    def _row(self, name: str, column: int) -> list[int]:
        row = self.counts.get(name)
        if row is None:
            row = self.counts[name] = [0] * (self.columns + 1)
        row[0] += 1
        row[column] += 1
        return row

    def lines(self, most: int = 0) -> Iterator[str]:
        """The table; ``most``: no more rows than that, 0 for all."""
        totals = self.counts.get(TOTAL) or [0] * (self.columns + 1)
        headings = self._headings()
        widths = [_cell(heading, total) for heading, total in zip(headings, totals, strict=True)]
        room = max(self.width - sum(widths), _NARROWEST)
        yield _line("", headings, widths, room)
        rows = {TOTAL: totals} | self.counts
        shown = 0
        for name in sorted(rows, key=lambda name: (-rows[name][0], len(name))):
            if name.startswith(".") and self._below.get(name, 0) < self.subdomains:
                continue
            shown += 1
            if most and shown > most:
                return
            yield _line(name, [str(number) for number in rows[name]], widths, room)

    def _headings(self) -> list[str]:
        headings = ["T"]
        end = 0.0
        for column in range(1, self.columns + 1):
            if column < self.columns:
                end += end if end and not self.linear else self.minutes
                headings.append(f"{end:.15g}")
            else:
                headings.append(f"{end:.15g}+")
        return headings


def _cell(heading: str, total: int) -> int:
    widest = max(len(heading), len(str(total)))
    return widest + 1 if widest > 2 else 3


def _line(name: str, cells: Sequence[str], widths: Sequence[int], room: int) -> str:
    if len(name) > room:
        mark = ".+" if name.startswith(".") else "+"
        name = mark + name[len(name) - room + len(mark) :]
    return name.rjust(room) + "".join(cell.rjust(width) for cell, width in zip(cells, widths, strict=True))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the exit status."""
    return guarded("qshape", lambda: run(sys.argv[1:] if argv is None else argv), FAILED)


def run(argv: Sequence[str]) -> int:
    """Read the command line and do what it says. Raises CommandError and OSError."""
    try:
        pairs, operands = getopt.getopt(list(argv), "lhc:psw:b:t:m:n:N:")
    except getopt.GetoptError as error:
        print(f"qshape: Unknown option: {error.opt}", file=sys.stderr)
        sys.stderr.write(USAGE)
        return FAILED
    options = dict(pairs)
    if "-h" in options:
        sys.stderr.write(USAGE)
        return FAILED
    shape = Shape(
        senders="-s" in options,
        parents="-p" in options,
        subdomains=_number(options.get("-m"), 5),
        columns=int(_number(options.get("-b"), 10)) or 10,
        minutes=_number(options.get("-t"), 5),
        linear="-l" in options,
        width=max(80, int(_number(options.get("-w"), 80))),
    )
    terminal = sys.stdout.isatty()
    batch = int(_number(options.get("-N"), 1000)) if terminal else 0
    most = int(_number(options.get("-n"), 20)) if terminal else 0
    command = QueueCommand("qshape", options.get("-c"))
    queues = _queues(operands or ("incoming", "active"))
    now = time.time()
    with command.open_queue(readonly=True) as queue:
        for count, message in enumerate(_within(queue.messages(), queues), 1):
            shape.add(message, now)
            if batch and not count % batch:
                print(_CLEAR + "\n".join(shape.lines(most)))
    print("\n".join(shape.lines(most)))
    sys.stdout.flush()
    return 0


def _within(messages: Iterable[QueuedMessage], queues: set[str]) -> Iterator[QueuedMessage]:
    return (message for message in messages if message.queue.value in queues)


def _number(text: str | None, otherwise: float) -> float:
    """A positive number; ``otherwise`` for what is none, as Perl would have it."""
    match = re.match(r"[0-9]+(\.[0-9]*)?|\.[0-9]+", text or "")
    value = float(match[0]) if match is not None else 0.0
    return value if value > 0 else otherwise


def _queues(names: Sequence[str]) -> set[str]:
    """The queues named, also by the path that Postfix's would have."""
    queues = set()
    for name in names:
        last = name.rstrip("/").rpartition("/")[2]
        if last in _QUEUES:
            queues.add(last)
        else:
            print(f"Can't stat {name}: No such file or directory", file=sys.stderr)
    return queues


if __name__ == "__main__":
    sys.exit(main())
