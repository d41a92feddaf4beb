"""The options of exim(8) that work on the queue and on addresses, for hands that know them: ``angarium exim …``.

=====================  ============================================================================
``-bp`` ``-bpr``       list the queue (or the messages named); delivered recipients are marked ``D``
``-bpu`` ``-bpru``     list it without them
``-bpa`` ``-bpra``     as ``-bp``
``-bpi`` ``-bpri``     only the ids
``-bpc``               how many messages there are
``-bt ADDRESS …``      where mail for the address would go
``-bv ADDRESS …``      whether mail for the address would be accepted
``-M ID …``            release and try now
``-Mf ID …``           put on hold (freeze)
``-Mt ID …``           release from hold (thaw)
``-Mg ID …``           give up: return to the sender
``-Mrm ID …``          remove, for good
``-Mvh`` ``-Mvb`` ID   show the header, the body; ``-Mvc`` both; ``-Mvl`` what the log has of it (``angarium trace``)
``-q`` ``-qf`` ``-qff``  try all that waits now; with ``ff`` also what is on hold
``-bV``                which program this is
``-f ADDRESS``         the sender, for ``-bt`` and ``-bv``
``-C DIRECTORY``       the configuration directory (or main.cf in it)
=====================  ============================================================================

Without one of these it is sendmail(1). A message that is being delivered is locked for ``-Mf``, ``-Mt``, ``-Mg`` and
``-Mrm``, as in Exim. Exit status 0; 1 for what could not be done; 2 from ``-bt`` and ``-bv`` when an address failed.

Nothing of that name is installed, so that a real Exim stays what it is. A link makes it:
``ln -s "$(command -v angarium)" /usr/local/sbin/exim``; ``exim4`` and ``exiqgrep`` work in the same way.
"""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from angarium.commands.queue_command import QueueCommand, guarded
from angarium.commands.queue_listing import printable, short_age, short_size
from angarium.mailqueue.control import QueueControl, plausible_id
from angarium.mailqueue.interface import QueuedMessage, QueueName

LISTINGS = ("-bp", "-bpr", "-bpu", "-bpru", "-bpa", "-bpra", "-bpi", "-bpri", "-bpc")
_UNLOCKED = (QueueName.HOLD, QueueName.INCOMING, QueueName.DEFERRED)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the exit status."""
    return guarded("exim", lambda: run(list(sys.argv[1:] if argv is None else argv)))


def run(words: list[str]) -> int:
    """Find out what is wanted, and do it. Raises CommandError and OSError."""
    directory: str | None = None
    sender = ""
    mode = ""
    operands: list[str] = []
    position = 0
    while position < len(words):
        word = words[position]
        position += 1
        if word in ("-C", "-f") and position < len(words):
            if word == "-C":
                directory = words[position]
            else:
                sender = words[position].strip("<>")
            position += 1
        elif not mode and _is_mode(word):
            mode = word
        elif not mode or word not in ("-v", "-d", "-N"):
            operands.append(word)
    if not mode:
        from angarium.commands import sendmail  # late: only then

        return sendmail.main(words)
    if directory is not None and not os.path.isdir(directory):  # noqa: PTH112 - a string
        directory = os.path.dirname(directory)  # noqa: PTH120 - as above
    return _perform(QueueCommand("exim", directory), mode, operands, sender)


def _is_mode(word: str) -> bool:
    return word in LISTINGS or word in OPERATIONS or word in ("-bt", "-bv", "-bV", "-q", "-qf", "-qff", "-Mvl", *_VIEWS)


def _perform(command: QueueCommand, mode: str, operands: list[str], sender: str) -> int:
    if mode in LISTINGS:
        return list_queue(command, mode, operands)
    if mode in ("-bt", "-bv"):
        from angarium.commands.exim_address import try_addresses  # late: it needs most of the server

        return try_addresses(command, operands, sender, verify=mode == "-bv")
    if mode == "-bV":
        from angarium import __version__

        print(f"Angarium {__version__}, as exim")
        return 0
    if mode.startswith("-q"):
        with command.open_queue() as queue:
            if mode == "-qff":
                queue.release(queue.identifiers((QueueName.HOLD,)))
            queue.flush()
            queue.wake("flush")
        return 0
    if not operands:
        print(f"exim: no message ids given after {mode} option", file=sys.stderr)
        return 1
    for queue_id in operands:
        if not plausible_id(queue_id):
            print(f"exim: malformed message id {queue_id} after {mode} option", file=sys.stderr)
            return 1
    if mode == "-Mvl":
        return _view_log(command, operands[0])
    if mode in _VIEWS:
        return _view(command, operands[0], _VIEWS[mode])
    return _operate(command, mode, operands)


# The queue


def queue_messages(command: QueueCommand) -> Iterator[QueuedMessage]:
    """The whole queue; of the server for those who may not read it. Raises CommandError and OSError."""
    try:
        with command.open_queue(readonly=True) as queue:
            yield from queue.messages()
    except PermissionError:
        from angarium.commands.postqueue import ask_server  # late: seldom needed

        yield from ask_server(command)


def list_queue(command: QueueCommand, mode: str, operands: Sequence[str]) -> int:
    """``-bp`` and its relatives."""
    wanted = set(operands)
    now = time.time()
    count = 0
    for message in queue_messages(command):
        count += 1
        if mode == "-bpc" or (wanted and message.queue_id not in wanted):
            continue
        if mode in ("-bpi", "-bpri"):
            print(message.queue_id)
        else:
            print("\n".join(message_lines(message, now, delivered="u" not in mode)))
    if mode == "-bpc":
        print(count)
    return 0


def frozen(message: QueuedMessage) -> bool:
    """Whether it waits for the administrator."""
    return message.queue is QueueName.HOLD


def message_lines(message: QueuedMessage, now: float, *, delivered: bool) -> Iterator[str]:
    """A message as ``exim -bp`` lists it, an empty line at the end."""
    age = short_age(now - message.envelope.arrival)
    sender = printable(message.envelope.sender)
    mark = " *** frozen ***" if frozen(message) else ""
    yield f"{age:>3} {short_size(message.size):>5} {message.queue_id} <{sender}>{mark}"
    pending = {each.queued.number for each in message.pending}
    for number, recipient in enumerate(message.envelope.recipients):
        if number in pending or delivered:
            yield f"        {' ' if number in pending else 'D'} {printable(recipient.address)}"
    yield ""


def _deliver(queue: QueueControl, queue_id: str) -> str:
    queue.release([queue_id])
    queue.flush([queue_id])
    return ""


def _freeze(queue: QueueControl, queue_id: str) -> str:
    return "is now frozen" if queue.hold([queue_id], _UNLOCKED) else "is already frozen"


def _thaw(queue: QueueControl, queue_id: str) -> str:
    return "is no longer frozen" if queue.release([queue_id]) else "is not frozen"


def _give_up(queue: QueueControl, queue_id: str) -> str:
    queue.expire([queue_id], _UNLOCKED)
    queue.release([queue_id])
    return ""


def _remove(queue: QueueControl, queue_id: str) -> str:
    return "has been removed" if queue.delete([queue_id], _UNLOCKED) else "has been removed or did not exist"


OPERATIONS: dict[str, Callable[[QueueControl, str], str]] = {
    "-M": _deliver,
    "-Mf": _freeze,
    "-Mt": _thaw,
    "-Mg": _give_up,
    "-Mrm": _remove,
}

_LOGGED = {"-Mf": "placed on hold", "-Mt": "released from hold", "-Mg": "expired", "-Mrm": "removed"}


def _operate(command: QueueCommand, mode: str, ids: Sequence[str]) -> int:
    status = 0
    with command.open_queue() as queue:
        for queue_id in ids:
            message = queue.find(queue_id)
            if message is None:
                print(f"Spool data file for {queue_id} does not exist")
                status = 1
            elif message.queue is QueueName.ACTIVE and mode != "-M":
                print(f"Message {queue_id} is locked")
                status = 1
            else:
                said = OPERATIONS[mode](queue, queue_id)
                if said:
                    print(f"Message {queue_id} {said}")
                if mode in _LOGGED and command.log is not None:
                    command.log.info(f"{queue_id}: {_LOGGED[mode]}", queue_id=queue_id)
        queue.wake("queue" if mode in ("-Mf", "-Mrm") else "flush")
    return status


_VIEWS = {"-Mvh": (True, False), "-Mvb": (False, True), "-Mvc": (True, True)}
"""Header and body."""


def _view(command: QueueCommand, queue_id: str, parts: tuple[bool, bool]) -> int:
    from angarium.commands.postcat import text_pieces  # late: only here

    with command.open_queue(readonly=True) as queue:
        content = queue.content(queue_id)
        if content is None:
            print(f"exim: message {queue_id} is not in the queue", file=sys.stderr)
            return 1
        sys.stdout.flush()
        for piece in text_pieces(*content, header=parts[0], body=parts[1]):
            sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()
    return 0


def _view_log(command: QueueCommand, queue_id: str) -> int:
    """Exim keeps a log of each message; here the event store knows as much."""
    from angarium.commands.trace_story import stories  # late: only here
    from angarium.runtime.trace import Record, search

    def find(pattern: re.Pattern[bytes]) -> Iterable[Record]:
        return search(Path(command.config.text("trace_directory")), pattern, 0.0)

    found = stories(find, queue_id, 1)
    if not found:
        print(f"exim: nothing is known of message {queue_id}", file=sys.stderr)
        return 1
    for record in found[0].records:
        moment = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.time))
        print(f"{moment} {record.tag}: {printable(record.text)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
