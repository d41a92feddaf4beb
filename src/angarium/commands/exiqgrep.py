"""exiqgrep(8): finds messages of the queue, in the manner of Exim's tool: ``angarium exiqgrep …``.

==============  ============================================================================
``-f REGEXP``   the sender, in angle brackets
``-r REGEXP``   a recipient that does not have the message yet
``-s REGEXP``   the size as it is listed
``-y SECONDS``  younger than that
``-o SECONDS``  older than that
``-z`` ``-x``   on hold (frozen); not on hold
``-c``          only count
``-l`` ``-i``   print as ``exim -bp`` does (so it is without); only ids
``-b``          one line a message
``-R``          the newest first
``-a``          with the recipients that have it
``-C``          the configuration directory
``-h``          this in short
==============  ============================================================================

``-G`` and ``-E`` (a named queue, another binary) are accepted. The regular expressions are Python's, without regard to
case for addresses. Exit status 0; 1 without a criterion.
"""

from __future__ import annotations

import getopt
import re
import sys
import time
from collections.abc import Iterator, Sequence

from angarium.commands.exim import frozen, queue_messages
from angarium.commands.queue_command import CommandError, QueueCommand, guarded
from angarium.commands.queue_listing import printable, short_age, short_size
from angarium.mailqueue.interface import QueuedMessage

HELP = """\
Searches the queue and shows what is found.

\t-h\t\tThis text.
\t-C <directory>\tWhere main.cf is.

What to look for:
\t-f <regexp>\tThe sender, in angle brackets
\t-r <regexp>\tA recipient
\t-s <regexp>\tThe size as it is listed
\t-y <seconds>\tYounger than
\t-o <seconds>\tOlder than
\t-z\t\tFrozen messages only
\t-x\t\tNo frozen messages

How to show it:
\t-c\t\tOnly how many
\t-l\t\tAs exim -bp does (default)
\t-i\t\tOnly ids
\t-b\t\tOne line a message
\t-R\t\tThe newest first
\t-a\t\tWith recipients that have the message already
"""
_CRITERIA = {"-f", "-r", "-s", "-y", "-o", "-z", "-x", "-c"}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the exit status."""
    return guarded("exiqgrep", lambda: run(sys.argv[1:] if argv is None else argv))


def run(argv: Sequence[str]) -> int:
    """Read the command line and do what it says. Raises CommandError and OSError."""
    try:
        pairs, operands = getopt.getopt(list(argv), "hf:r:y:o:s:C:zxlibRcaG:E:")
    except getopt.GetoptError as error:
        print(f"Unknown option: {error.opt}", file=sys.stderr)
        sys.stdout.write(HELP)
        return 0
    options = dict(pairs)
    if "-h" in options:
        sys.stdout.write(HELP)
        return 0
    if operands or not options.keys() & _CRITERIA:
        sys.stdout.write(HELP)
        return 1
    now = time.time()
    criteria = Criteria(options, now)
    command = QueueCommand("exiqgrep", options.get("-C"))
    total = 0
    found = 0
    kept: list[QueuedMessage] = []
    for message in queue_messages(command):
        total += 1
        if criteria.match(message):
            found += 1
            if "-c" not in options:
                kept.append(message)
    if "-c" in options:
        print(f"{found} matches out of {total} messages")
        return 0
    kept.sort(key=lambda message: message.envelope.arrival, reverse="-R" in options)
    for message in kept:
        print("\n".join(_shown(message, options, now)))
    return 0


class Criteria:
    """What to look for. Raises CommandError for what makes no sense."""

    def __init__(self, options: dict[str, str], now: float) -> None:
        self._now = now
        self._sender = _compiled(options.get("-f"), re.IGNORECASE)
        self._recipient = _compiled(options.get("-r"), re.IGNORECASE)
        self._size = _compiled(options.get("-s"), 0)
        self._younger = _seconds(options.get("-y"))
        self._older = _seconds(options.get("-o"))
        self._frozen = "-z" in options
        self._not_frozen = "-x" in options
        self._all = "-a" in options

    def match(self, message: QueuedMessage) -> bool:
        """Whether all of it holds."""
        age = self._now - message.envelope.arrival
        return (
            (self._sender is None or self._sender.search(f"<{message.envelope.sender}>") is not None)
            and (self._recipient is None or any(map(self._recipient.search, _recipients(message, self._all))))
            and (self._size is None or self._size.search(short_size(message.size)) is not None)
            and (self._younger is None or age < self._younger)
            and (self._older is None or age > self._older)
            and not (self._frozen and not frozen(message))
            and not (self._not_frozen and frozen(message))
        )


def _compiled(text: str | None, flags: int) -> re.Pattern[str] | None:
    try:
        return re.compile(text, flags) if text else None
    except re.error as error:
        raise CommandError(f"{text}: {error}") from error


def _seconds(text: str | None) -> float | None:
    if not text:
        return None
    try:
        return float(text)
    except ValueError as error:
        raise CommandError(f"not a number of seconds: {text}") from error


def _recipients(message: QueuedMessage, delivered: bool) -> list[str]:
    pending = {each.queued.number for each in message.pending}
    return [
        recipient.address if number in pending else f"D {recipient.address}"
        for number, recipient in enumerate(message.envelope.recipients)
        if delivered or number in pending
    ]


def _shown(message: QueuedMessage, options: dict[str, str], now: float) -> Iterator[str]:
    recipients = [printable(recipient) for recipient in _recipients(message, "-a" in options)]
    sender = f"<{printable(message.envelope.sender)}>"
    if "-i" in options:
        yield message.queue_id
    elif "-b" in options:
        yield f"{message.queue_id} From: {sender} To: {';'.join(recipients)}"
    else:
        mark = " *** frozen ***" if frozen(message) else ""
        age = short_age(now - message.envelope.arrival)
        yield f"{age:>3} {short_size(message.size):>5} {message.queue_id} {sender}{mark}"
        yield from (f"\t  {recipient}" for recipient in recipients)
        yield ""


if __name__ == "__main__":
    sys.exit(main())
