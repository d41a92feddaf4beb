"""postsuper(1): deletes, holds, releases, requeues and expires queued mail. For the superuser, or the queue's owner.

============  ===========================================================================
``-d ID``     delete
``-h ID``     put on hold
``-H ID``     release from hold
``-r ID``     requeue: through cleanup again, with a new id, when the queue manager runs
``-e ID``     return it to its sender at the next attempt
``-f ID``     the same, and release it from hold
``-p -s -S``  structure checks: accepted, the queue manager does them when it starts
``-c``        the configuration directory
============  ===========================================================================

An ID of ``ALL`` means all messages, ``-`` reads ids from standard input; options may be repeated; operands name the
queues to work on. Exit status 0, also for ids that are not there; 1 for a wrong call.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from angarium.commands import maildrop
from angarium.commands.queue_command import CommandError, QueueCommand, guarded, parse_options
from angarium.mailqueue.control import ORDINARY, QueueControl, plausible_id
from angarium.mailqueue.interface import QueueName

USAGE = (
    "usage: postsuper [-c config_dir] [-d queue_id (delete)] [-e queue_id (expire)] "
    "[-f queue_id (expire and/or un-hold)] [-h queue_id (hold)] [-H queue_id (un-hold)] [-p (purge temporary files)] "
    "[-r queue_id (requeue)] [-s (structure fix)] [-S (redundant structure fix)][-v (verbose)] [queue...]"
)

_LOG_DIRECTORIES = ("bounce", "defer", "trace", "flush", "saved")
"""Queue directories of Postfix that have no counterpart here: named, they are empty."""

Work = Callable[[QueueControl, Iterable[str], Sequence[QueueName]], list[str]]


@dataclass(frozen=True, slots=True)
class Operation:
    """What one option does.

    Attributes:
        work: on the queue; the ids it was done to.
        each: logged for each message.
        total: logged in the end.
    """

    work: Work
    each: str
    total: str


OPERATIONS = {
    "-r": Operation(lambda queue, ids, queues: queue.requeue(ids, queues), "requeued", "Requeued"),
    "-d": Operation(lambda queue, ids, queues: queue.delete(ids, queues), "removed", "Deleted"),
    "-e": Operation(lambda queue, ids, queues: queue.expire(ids, queues), "expired", "Force-expired"),
    "-h": Operation(lambda queue, ids, queues: queue.hold(ids, queues), "placed on hold", "Placed on hold"),
    "-H": Operation(
        lambda queue, ids, queues: queue.release(ids) if QueueName.HOLD in queues else [],
        "released from hold",
        "Released from hold",
    ),
}
"""In the order in which the totals are logged. ``-f`` is ``-e`` and ``-H``."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the exit status."""
    return guarded("postsuper", lambda: run(sys.argv[1:] if argv is None else argv))


def run(argv: Sequence[str]) -> int:
    """Read the command line and do what it says. Raises CommandError and OSError."""
    options, operands = parse_options("postsuper", argv, "c:d:e:f:h:H:pr:sSv", USAGE)
    directory = None
    for option, value in options:
        if option == "-c":
            directory = value
            if not value.startswith("/"):
                raise CommandError("-c requires absolute pathname")
    command = QueueCommand("postsuper", directory)
    if not _may_use(command):
        command.fail("use of this command is reserved for the superuser")
    queues = _queues(command, operands)
    wanted: dict[str, list[str]] = {}
    for option, value in options:
        for name in ("-e", "-H") if option == "-f" else (option,):
            if name in OPERATIONS:
                wanted.setdefault(name, []).append(value)
    if wanted:
        operate(command, wanted, queues)
    return 0


def _may_use(command: QueueCommand) -> bool:
    if os.geteuid() == 0:
        return True
    try:
        return command.queue_directory.stat().st_uid == os.geteuid()
    except OSError:
        return False


def _queues(command: QueueCommand, operands: Sequence[str]) -> tuple[QueueName, ...]:
    """The queues that the operands name."""
    if not operands:
        return ORDINARY
    known = {queue.value: queue for queue in QueueName}
    for operand in operands:
        if operand not in known and operand not in _LOG_DIRECTORIES:
            command.fail(f"invalid directory name: {operand}")
    return tuple(known[operand] for operand in operands if operand in known)


def operate(command: QueueCommand, wanted: dict[str, list[str]], queues: Sequence[QueueName]) -> None:
    """Do each operation on its ids, and say what was done."""
    with command.open_queue() as queue:
        for option, operation in OPERATIONS.items():
            if option not in wanted:
                continue
            values = wanted[option]
            if "ALL" in values:
                chosen = tuple(each for each in queues if each is QueueName.HOLD) if option == "-H" else queues
                count = len(operation.work(queue, queue.identifiers(chosen), chosen))
                if option == "-d" and QueueName.MAILDROP in queues:
                    count += maildrop.discard(command.queue_directory, None, lambda _name: None)
            else:
                ids = list(_ids(command, values))
                done = operation.work(queue, ids, queues)
                for queue_id in done:
                    command.say(f"{queue_id}: {operation.each}")
                count = len(done)
                if option == "-d" and QueueName.MAILDROP in queues:
                    left = [each for each in ids if each not in done]
                    count += maildrop.discard(
                        command.queue_directory, left, lambda each: command.say(f"{each}: removed")
                    )
            command.say(f"{operation.total}: {count} message{'' if count == 1 else 's'}")
        queue.wake("flush" if wanted.keys() & {"-r", "-H", "-e"} else "queue")


def _ids(command: QueueCommand, values: Sequence[str]) -> Iterator[str]:
    for value in values:
        for queue_id in (line.rstrip("\n").partition("\0")[0] for line in sys.stdin) if value == "-" else (value,):
            if plausible_id(queue_id):
                yield queue_id
            else:
                command.warn(f"invalid mail queue id: {queue_id}")


if __name__ == "__main__":
    sys.exit(main())
