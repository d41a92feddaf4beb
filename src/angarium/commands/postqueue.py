"""postqueue(1): lists and flushes the mail queue.

=============  =========================================================================
``-p``         list it, as ``mailq`` does
``-j``         list it, one JSON object a line
``-f``         try all deferred mail now
``-i ID``      try one deferred message now
``-s SITE``    try the mail for one site of fast_flush_domains now
``-c``         the configuration directory
=============  =========================================================================

Exit status 0, or 69 (EX_UNAVAILABLE) for a wrong call, for a queue that cannot be read, and for flushing while no
server runs. Root and the mail system's own user work on the database itself; other users ask the server, which knows
who they are and what they may do (authorized_mailq_users, authorized_flush_users).
"""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, islice

from angarium.commands.queue_command import CommandError, QueueCommand, guarded, parse_options
from angarium.commands.queue_listing import json_lines, text_lines
from angarium.commands.queue_request import FLUSH, FLUSH_ONE, FLUSH_SITE, MAY_LIST, ask
from angarium.mailqueue.control import QueueControl, plausible_id
from angarium.mailqueue.interface import QueuedMessage
from angarium.mailqueue.listing import ListingError, ListingReader
from angarium.model.lookup import Found, TemporaryError

USAGE = "usage: postqueue -f | postqueue -i queueid | postqueue -j | postqueue -p | postqueue -s site"
UNAVAILABLE = 69
DOWN = "Cannot flush mail queue - mail system is down"

_SITE = re.compile(r"[0-9A-Za-z_]([0-9A-Za-z_.-]*[0-9A-Za-z_])?|\[[0-9A-Fa-f:.]+\]|\[IPv6:[0-9A-Fa-f:.]+\]", re.ASCII)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the exit status."""
    return guarded("postqueue", lambda: run(sys.argv[1:] if argv is None else argv), UNAVAILABLE)


def run(argv: Sequence[str]) -> int:
    """Read the command line and do what it says. Raises CommandError and OSError."""
    options, operands = parse_options("postqueue", argv, "c:fi:jps:v", USAGE)
    directory = next((value for option, value in options if option == "-c"), None)
    chosen = [(option, value) for option, value in options if option in ("-f", "-i", "-j", "-p", "-s")]
    command = QueueCommand("postqueue", directory)
    if len(chosen) != 1 or operands:
        command.fail(USAGE)
    option, value = chosen[0]
    if option in ("-p", "-j"):
        list_queue(command, as_json=option == "-j")
    elif option == "-f":
        flush_all(command)
    elif option == "-i":
        flush_one(command, value)
    else:
        flush_site(command, value)
    return 0


def list_queue(command: QueueCommand, *, as_json: bool) -> None:
    """Print the queue."""
    # What prints is there before the queue is opened, for whose sake root becomes a user who may not read the program.
    write_lines(_lines(command, _messages(command), as_json=as_json))


def _messages(command: QueueCommand) -> Iterator[QueuedMessage]:
    """The queue: from the database, or for those who may not read it, from the server."""
    try:
        with command.open_queue(readonly=True) as queue:
            if not queue.manager_runs():
                command.warn(f"Mail system is down -- accessing queue directly{_why(command)}")
            yield from chain(_dropped(command), queue.messages())
    except PermissionError:
        yield from ask_server(command)


def _dropped(command: QueueCommand) -> Iterator[QueuedMessage]:
    """What waits in the maildrop directory. Raises PermissionError."""
    with contextlib.suppress(FileNotFoundError):
        if next((command.queue_directory / "maildrop").iterdir(), None) is not None:
            from angarium.commands import maildrop  # late: it is mostly empty

            yield from maildrop.messages(command.queue_directory)


def _why(command: QueueCommand) -> str:
    """What the listing's socket says of it."""
    import socket  # late: a server that runs is not asked

    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(command.queue_directory / "public" / "showq"))
    except OSError as error:
        return f" (Connect to the {command.config.text('mail_name')} showq service: {error.strerror})"
    return ""


def _lines(command: QueueCommand, messages: Iterable[QueuedMessage], *, as_json: bool) -> Iterator[str]:
    if as_json:
        return json_lines(messages)
    return text_lines(messages, long_ids=command.config.boolean("enable_long_queue_ids"))


def ask_server(command: QueueCommand) -> Iterator[QueuedMessage]:
    """The listing of the running server (showq(8)). Raises CommandError."""
    import socket  # late: most have access to the database

    reader = ListingReader()
    heard = False
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(command.queue_directory / "public" / "showq"))
            while data := connection.recv(65536):
                heard = True
                yield from reader.receive_data(data)
        if not heard and (refusal := ask(command.queue_directory, MAY_LIST)):
            command.fail(refusal)
    except OSError as error:
        cause = f"Connect to the {command.config.text('mail_name')} showq service: {error.strerror}"
        command.fail(f"Queue report unavailable - mail system is down ({cause})")
    except ListingError as error:
        command.fail(f"Queue report unavailable - {error}")
    if not reader.finished:
        command.fail("Queue report unavailable - the listing is cut off")


def write_lines(lines: Iterator[str]) -> None:
    """Print many lines with few writes."""
    out = sys.stdout
    while batch := list(islice(lines, 500)):
        text = "\n".join(batch) + "\n"
        try:
            out.write(text)
            out.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise CommandError(f"output write error: {error.strerror}") from error


def _flush(command: QueueCommand, change: Callable[[QueueControl], object], about: str, name: str = "") -> None:
    """Make mail due: in the database, or for those who may not write to it, through the server."""
    try:
        with command.open_queue() as queue:
            if not queue.manager_runs():
                if about == FLUSH and not (command.queue_directory / "public" / "pickup").exists():
                    command.warn("unable to look up public/qmgr: No such file or directory")
                command.fail(DOWN)
            change(queue)
            queue.wake("flush")
    except PermissionError:
        try:
            refusal = ask(command.queue_directory, about, name)
        except OSError:
            refusal = DOWN
        if refusal:
            command.fail(refusal)


def flush_all(command: QueueCommand) -> None:
    """-f."""
    _flush(command, lambda queue: queue.flush(), FLUSH)


def flush_one(command: QueueCommand, queue_id: str) -> None:
    """-i."""
    if not plausible_id(queue_id):
        command.fail(f'Cannot flush queue ID - invalid name: "{queue_id[:100]}"')
    _flush(command, lambda queue: queue.flush([queue_id]), FLUSH_ONE, queue_id)


def flush_site(command: QueueCommand, site: str) -> None:
    """-s."""
    if _SITE.fullmatch(site) is None or ".." in site:
        command.fail(f'Cannot flush mail queue - invalid destination: "{site[:100]}"')
    if not _eligible(command, site):
        command.fail(f'Flush service is not configured for destination "{site}"')
    _flush(command, lambda queue: queue.flush_site(site), FLUSH_SITE, site)


def _eligible(command: QueueCommand, site: str) -> bool:
    """Whether fast_flush_domains holds the site. Raises CommandError when a table of it cannot be asked."""
    names = command.config.names("fast_flush_domains")
    if all(name[0] not in "!/" and ":" not in name for name in names):
        folded = site.lower()
        parents = {folded[at + 1 :] for at, char in enumerate(folded) if char == "."} | {folded}
        return bool(parents & {name.lower() for name in names})
    # Late: only lists with tables in them need what opens tables.
    import asyncio

    from angarium.master.node import Node
    from angarium.runtime.log import MemoryLog
    from angarium.tables.matchlist import MatchList

    parents_match = "fast_flush_domains" in command.config.names("parent_domain_matches_subdomains")
    node = Node(command.config, MemoryLog())
    patterns = MatchList("fast_flush_domains", names, node.tables, bare_parents=parents_match)
    answer = asyncio.run(patterns.match_domain(site))
    if isinstance(answer, TemporaryError):
        command.fail(f"Cannot flush mail queue - {answer.source}: {answer.cause}")
    return isinstance(answer, Found)


if __name__ == "__main__":
    sys.exit(main())
