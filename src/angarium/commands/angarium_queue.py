"""``angarium queue``: look at the mail queue, and suspend, resume, bounce, delete and undelete what is in it.

    angarium queue list     [ID …] [filters] [--deleted] [--limit N] [--json]
    angarium queue top      [filters] [--by domain|recipient|sender|sender-domain|reason|queue] [--limit N] [--json]
    angarium queue show     ID [--json]
    angarium queue suspend|resume|bounce|delete|undelete  [ID …] [filters] [--all] [--dry-run] [--json]

It works on the database itself, with the server up or down, as root or as the queue's owner. What it changes is what
postsuper(1) does to the same messages, but for ``delete``: a deleted message can be had back for
``deleted_queue_lifetime`` (``docs/queue-states.md``).

Exit status: 0; 64 wrong usage; 65 a filter that makes no sense; 66 an ID that is not there; 75 the queue cannot be used
now; 77 no right to it; 78 the configuration cannot be read.
"""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING, Any

from angarium.commands.angarium_output import Failure, Result, parse_size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from angarium.commands.queue_command import QueueCommand
    from angarium.commands.queue_filter import QueueFilter, Span
    from angarium.mailqueue.control import QueueControl
    from angarium.mailqueue.interface import QueuedMessage

QUEUES = ("incoming", "active", "deferred", "hold")
GROUPS = ("domain", "recipient", "sender", "sender-domain", "reason", "queue")
_TOP = 20
_HEADER_BYTES = 64 * 1024

_VERBS = {
    "suspend": "put messages on hold: they wait until they are resumed",
    "resume": "release messages from hold",
    "bounce": "return messages to their senders at once",
    "delete": "delete messages; they can be undeleted for a while",
    "undelete": "put deleted messages back into the queue",
}


def add_parsers(nouns: Any, common: argparse.ArgumentParser) -> None:
    """Add the parser of ``angarium queue`` and its verbs."""
    verbs = nouns.add_parser("queue", help="look at the mail queue and change what is in it").add_subparsers(
        required=True, metavar="list|top|show|suspend|resume|bounce|delete|undelete"
    )

    listing = verbs.add_parser("list", parents=[common], help="list messages, oldest first")
    _chosen(listing)
    listing.add_argument("--deleted", action="store_true", help="list what can be undeleted")
    listing.add_argument("--limit", type=int, default=0, metavar="number", help="no more than so many (all)")
    listing.set_defaults(inspect=_list)

    top = verbs.add_parser("top", parents=[common], help="count what waits, the most first")
    _filters(top)
    top.add_argument("--by", choices=GROUPS, default="domain", help="what is counted (domain: of the recipients)")
    top.add_argument("--limit", type=int, default=_TOP, metavar="number", help=f"how many lines ({_TOP}); 0: all")
    top.set_defaults(inspect=_top)

    show = verbs.add_parser("show", parents=[common], help="show one message: envelope, recipients, header")
    show.add_argument("id", metavar="ID")
    show.set_defaults(inspect=_show)

    for verb, purpose in _VERBS.items():
        change = verbs.add_parser(verb, parents=[common], help=purpose)
        _chosen(change)
        change.add_argument("--all", action="store_true", help="all messages; needed without an ID and a filter")
        change.add_argument("--dry-run", action="store_true", help="only tell which messages are meant")
        if verb == "delete":
            change.add_argument(
                "--forever", action="store_true", help="now and for good, also what has been deleted before"
            )
        change.set_defaults(inspect=_change, verb=verb)


def _chosen(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("ids", nargs="*", metavar="ID", help="a queue id; - reads them from standard input")
    _filters(parser)


def _filters(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("filters", "all that are given must hold")
    group.add_argument("--queue", action="append", choices=QUEUES, help="in this queue; may be repeated")
    group.add_argument("--sender", metavar="pattern", help="the sender: address, @domain, <>, with * and ?")
    group.add_argument("--recipient", metavar="pattern", help="a recipient that still waits: address, @domain, * and ?")
    group.add_argument("--domain", help="a recipient in this domain, or with a dot before it in one below it")
    group.add_argument("--age", metavar="time", help="so old or older: 90s, 15m, 2h, 3d; :2h younger; 2h:1d between")
    group.add_argument("--size", metavar="size", help="so large or larger: 500K, 1M; :1M smaller; 1M:5M between")
    group.add_argument("--reason", metavar="text", help="why a recipient waits: a part of it, in any case")


def _list(directory: Path, options: argparse.Namespace) -> tuple[Result, int]:
    """``list``: streams, however long the queue is."""
    from angarium.commands.queue_listing import message_value, short_lines  # late: other nouns need none of this

    messages = _Messages(directory, options, readonly=True)

    def values() -> Iterator[object]:
        for message, more in messages.chosen():
            yield message_value(message) | more

    def lines() -> Iterator[str]:
        for message, more in messages.chosen():
            yield from short_lines(message, messages.now)
            if more:
                import time

                yield f"    deleted {time.ctime(more['deleted'])}, until {time.ctime(more['until'])}"

    return Result(lines(), values()), 0


def _top(directory: Path, options: argparse.Namespace) -> tuple[Result, int]:
    """``top``: one line a group, with recipients (or messages), bytes and the age of the oldest."""
    from angarium.commands.angarium_output import table
    from angarium.commands.queue_listing import printable, short_age, short_size

    messages = _Messages(directory, options, readonly=True)
    count: dict[str, int] = {}
    size: dict[str, int] = {}
    oldest: dict[str, float] = {}
    for message, _more in messages.chosen():
        names = list(_groups(message, options.by))
        for name in names:
            count[name] = count.get(name, 0) + 1
        for name in dict.fromkeys(names):
            size[name] = size.get(name, 0) + message.size
            oldest[name] = min(oldest.get(name, message.envelope.arrival), message.envelope.arrival)
    ranked = sorted(count, key=lambda name: (-count[name], name))[: options.limit or None]
    rows = [("COUNT", "SIZE", "AGE", options.by.upper())] if ranked else []
    rows += [
        (str(count[name]), short_size(size[name]), short_age(messages.now - oldest[name]), printable(name))
        for name in ranked
    ]
    values = [
        {options.by: name, "count": count[name], "bytes": size[name], "oldest": int(oldest[name])} for name in ranked
    ]
    return Result(table(rows), values), 0


def _groups(message: QueuedMessage, by: str) -> Iterator[str]:
    """The groups that a message counts in, once a recipient where they are the recipients'."""
    from angarium.commands.queue_filter import domain_of

    sender = message.envelope.sender
    if by == "sender":
        yield sender or "<>"
    elif by == "sender-domain":
        yield domain_of(sender) or "<>"
    elif by == "queue":
        yield message.queue.value
    else:
        for pending in message.pending:
            address = pending.queued.recipient.address
            if by == "reason":
                yield pending.reason or "(not tried yet)"
            else:
                yield address if by == "recipient" else domain_of(address)


def _show(directory: Path, options: argparse.Namespace) -> tuple[Result, int]:
    """``show``."""
    from angarium.commands.queue_listing import detail_lines, message_value

    messages = _Messages(directory, options, readonly=True)
    with messages.opened() as queue:
        message, more = messages.one(queue, options.id)
        content = queue.content(options.id)
    header = ""
    if content is not None:
        from angarium.commands.postcat import text_pieces

        header = b"".join(_beginning(text_pieces(*content, header=True, body=False))).decode("utf-8", "replace")
    value = message_value(message) | more | {"header": header}
    return Result(tuple(detail_lines(message, header)), value), 0


def _beginning(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """As much of a header as a person may want to see."""
    left = _HEADER_BYTES
    for piece in pieces:
        yield piece[:left]
        left -= len(piece)
        if left <= 0:
            return


def _change(directory: Path, options: argparse.Namespace) -> tuple[Result, int]:
    """The verbs that change something."""
    messages = _Messages(directory, options, readonly=options.dry_run)
    filtered = bool(messages.filter)
    if not (messages.ids or filtered or options.all):
        raise Failure(os.EX_USAGE, f"which messages? Name them, give a filter, or --all: queue {options.verb} --help")
    with messages.opened() as queue:
        # A message that cannot be read can still be deleted by its id.
        if messages.ids and not filtered and not options.dry_run:
            wanted = messages.ids
        else:
            wanted = [message.queue_id for message, _more in messages.chosen_in(queue)]
        done = wanted if options.dry_run else _act(queue, messages.command, wanted, options)
    missing = [queue_id for queue_id in messages.ids if queue_id not in set(done)]
    for queue_id in missing:
        print(f"angarium: {queue_id}: nothing to {options.verb}", file=sys.stderr)
    past = _PAST[options.verb]
    would = "would be " if options.dry_run else ""
    lines = [f"{queue_id}: {would}{past}" for queue_id in done]
    lines.append(f"{len(done)} message{'' if len(done) == 1 else 's'} {would}{past}")
    value = {"action": options.verb, "dry_run": options.dry_run, "count": len(done), "messages": done}
    return Result(tuple(lines), value), os.EX_NOINPUT if missing else 0


def _act(queue: QueueControl, command: QueueCommand, ids: list[str], options: argparse.Namespace) -> list[str]:
    """Do it, and tell the server; the ids to which it was done. Raises Failure."""
    try:
        done = _ACTIONS[options.verb](queue, command, ids, options)
    except OSError as error:
        raise _failure(error) from error
    if done:
        queue.wake("flush" if options.verb in ("resume", "bounce", "undelete") else "queue")
    return done


_PAST = {
    "suspend": "put on hold",
    "resume": "released from hold",
    "bounce": "to be returned to its sender",
    "delete": "deleted",
    "undelete": "undeleted",
}


def _log(command: QueueCommand, ids: list[str], text: str) -> list[str]:
    """Leave a line a message in the mail log, as postsuper does."""
    if command.log is not None:
        for queue_id in ids:
            command.log.info(f"{queue_id}: {text}", queue_id=queue_id)
        command.log.sink.flush()
    return ids


def _suspend(queue: QueueControl, command: QueueCommand, ids: list[str], _options: argparse.Namespace) -> list[str]:
    return _log(command, queue.hold(ids), "placed on hold")


def _resume(queue: QueueControl, command: QueueCommand, ids: list[str], _options: argparse.Namespace) -> list[str]:
    return _log(command, queue.release(ids), "released from hold")


def _bounce(queue: QueueControl, command: QueueCommand, ids: list[str], _options: argparse.Namespace) -> list[str]:
    done = queue.expire(ids)
    _log(command, done, "expired")
    _log(command, queue.release(done), "released from hold")
    return done


def _delete(queue: QueueControl, command: QueueCommand, ids: list[str], options: argparse.Namespace) -> list[str]:
    import time

    lifetime = 0.0 if options.forever else command.config.seconds("deleted_queue_lifetime")
    queue.purge()
    if lifetime:
        return _log(command, queue.set_aside(ids, time.time() + lifetime), "removed (can be undeleted)")
    done = queue.delete(ids)
    if options.forever:
        gone = set(done)
        done = done + [queue_id for queue_id in queue.forget(ids) if queue_id not in gone]
    return _log(command, done, "removed")


def _undelete(queue: QueueControl, command: QueueCommand, ids: list[str], _options: argparse.Namespace) -> list[str]:
    done = queue.undelete(ids)
    for queue_id, name in done:
        _log(command, [queue_id], f"undeleted, back in the {name.value} queue")
    return [queue_id for queue_id, _name in done]


_ACTIONS: dict[str, Callable[[QueueControl, QueueCommand, list[str], argparse.Namespace], list[str]]] = {
    "suspend": _suspend,
    "resume": _resume,
    "bounce": _bounce,
    "delete": _delete,
    "undelete": _undelete,
}


class _Messages:
    """What the options choose from the queue, or from what was deleted.

    Raises:
        Failure: the options or the configuration make no sense.
    """

    def __init__(self, directory: Path, options: argparse.Namespace, *, readonly: bool) -> None:
        import time

        from angarium.commands.queue_command import CommandError, QueueCommand

        verb = getattr(options, "verb", "")
        self.deleted = verb == "undelete" or getattr(options, "deleted", False)
        self.also_deleted = getattr(options, "forever", False)
        self.now = time.time()
        self.ids = _ids(getattr(options, "ids", []))
        self.limit: int = getattr(options, "limit", 0) if "by" not in options else 0
        self.filter = _filter(options)
        self._readonly = readonly
        try:
            self.command = QueueCommand("angarium", str(directory))
        except CommandError as error:
            raise Failure(os.EX_CONFIG, str(error)) from error

    def opened(self) -> QueueControl:
        """The queue. Raises Failure."""
        try:
            return self.command.open_queue(readonly=self._readonly)
        except OSError as error:
            raise _failure(error) from error

    def chosen(self) -> Iterator[tuple[QueuedMessage, dict[str, float]]]:
        """The messages meant, and what is known of their deletion. Raises Failure."""
        with self.opened() as queue:
            yield from self.chosen_in(queue)

    def chosen_in(self, queue: QueueControl) -> Iterator[tuple[QueuedMessage, dict[str, float]]]:
        """The same, of a queue that is open."""
        ids = set(self.ids)
        count = 0
        try:
            for message, more in self._all(queue):
                if ids and message.queue_id not in ids:
                    continue
                if not self.filter.matches(message, self.now):
                    continue
                yield message, more
                count += 1
                if count == self.limit:
                    return
        except OSError as error:
            if isinstance(error, BrokenPipeError):
                raise
            raise _failure(error) from error

    def _all(self, queue: QueueControl) -> Iterator[tuple[QueuedMessage, dict[str, float]]]:
        if not self.deleted:
            if self.ids and len(self.ids) <= _FEW:
                found = (queue.find(queue_id) for queue_id in self.ids)
                yield from ((message, {}) for message in found if message is not None)
            else:
                yield from ((message, {}) for message in queue.messages())
        if self.deleted or self.also_deleted:
            yield from ((each.message, {"deleted": each.deleted, "until": each.until}) for each in queue.deleted())

    def one(self, queue: QueueControl, queue_id: str) -> tuple[QueuedMessage, dict[str, float]]:
        """A message in the queue or deleted. Raises Failure."""
        try:
            message = queue.find(queue_id)
            if message is not None:
                return message, {}
            for each in queue.deleted():
                if each.message.queue_id == queue_id:
                    return each.message, {"deleted": each.deleted, "until": each.until}
        except OSError as error:
            raise _failure(error) from error
        raise Failure(os.EX_NOINPUT, f"{queue_id}: no such message in the queue")


_FEW = 1000
"""So many messages are looked up one by one; for more all of the queue is read once."""


def _failure(error: OSError) -> Failure:
    text = error.strerror or str(error)
    if isinstance(error, PermissionError):
        return Failure(os.EX_NOPERM, f"{error.filename}: {text}" if error.filename else text)
    return Failure(os.EX_TEMPFAIL, text)


def _ids(words: list[str]) -> list[str]:
    """The ids named, each once; ``-`` is standard input. Raises Failure."""
    from angarium.mailqueue.control import plausible_id

    ids: dict[str, None] = {}
    for word in words:
        for queue_id in sys.stdin.read().split() if word == "-" else (word,):
            if not plausible_id(queue_id):
                raise Failure(os.EX_DATAERR, f"not a queue id: {queue_id[:100]!r}")
            ids[queue_id] = None
    if words and not ids:
        raise Failure(os.EX_DATAERR, "no queue ids on standard input")
    return list(ids)


def _filter(options: argparse.Namespace) -> QueueFilter:
    """What the filter options say. Raises Failure."""
    from angarium.commands.queue_filter import (
        FilterError,
        QueueFilter,
        address_test,
        domain_test,
        parse_age,
        parse_span,
    )
    from angarium.mailqueue.interface import QueueName

    if "age" not in options:
        return QueueFilter()
    try:
        recipients = []
        if options.recipient is not None:
            recipients.append(address_test(options.recipient))
        if options.domain is not None:
            recipients.append(domain_test(options.domain))
        return QueueFilter(
            frozenset(map(QueueName, options.queue)) if options.queue else None,
            address_test(options.sender) if options.sender is not None else None,
            tuple(recipients),
            _span(options.age, parse_age, parse_span),
            _span(options.size, parse_size, parse_span),
            options.reason.lower() if options.reason is not None else None,
        )
    except FilterError as error:
        raise Failure(os.EX_DATAERR, str(error)) from error


def _span(
    text: str | None,
    number: Callable[[str], float],
    parse: Callable[[str, Callable[[str], float]], Span],
) -> Span | None:
    return None if text is None else parse(text, number)
