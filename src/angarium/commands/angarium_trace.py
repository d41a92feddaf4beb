"""``angarium trace``: one message's life in one list, from the connection to the mailbox.

    angarium trace [--since TIME] [--most N] [--json] QUEUE-ID|MESSAGE-ID|ADDRESS

What the log says of it, each event with its time, and what the log does not say: the rule that let a recipient in and
the place where it stands, what the tables made of the addresses, the way that was chosen, the folder and the UID. The
messages that it became are in the same list: behind a content filter, after a requeue, the report of a bounce. An
address shows the newest ``--most`` messages (10) from it and to it, refused ones too.

``--since`` is an age (``90m``, ``2d``) or a time (``13:00``, ``2026-11-24``, ``"2026-11-24 13:00"``). The events are
kept in ``trace_directory``, up to ``trace_size_limit``, for ``trace_lifetime``; the newest quarter of a second may be
missing.

Exit status: 0; 64 an empty key; 65 a time that cannot be read; 66 nothing is known of it; 77 no right to read the
events; 78 the configuration cannot be read, or ``trace_enable`` is off.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from angarium.commands.angarium_output import Failure, Result

if TYPE_CHECKING:
    from angarium.commands.trace_story import Story
    from angarium.runtime.trace import Record


_CLOCK = re.compile(r"\d\d:\d\d(:\d\d)?")


def add_parsers(nouns: Any, common: argparse.ArgumentParser) -> None:
    """Add the parser of ``angarium trace``."""
    trace = nouns.add_parser("trace", parents=[common], help="show what happened to a message")
    trace.add_argument("key", metavar="queue-id|message-id|address", help="which message, or whose")
    trace.add_argument("--since", metavar="time", help="an age (90m, 2d) or a time (2026-11-24 13:00)")
    trace.add_argument("--most", type=_positive, default=10, metavar="n", help="how many messages to show (10)")
    trace.set_defaults(inspect=inspect)


def _positive(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"not a number of messages: {text}")
    return int(text)


def inspect(directory: Path, options: argparse.Namespace) -> tuple[Result, int]:
    """Trace by a configuration directory; what to print, and the exit status. Raises Failure."""
    from angarium.commands.trace_story import stories  # late: the other nouns need none of this
    from angarium.config.config import Config
    from angarium.config.error import ConfigError
    from angarium.runtime.trace import search

    try:
        conf = Config.load(directory)
        enabled = conf.boolean("trace_enable")
        place = Path(conf.text("trace_directory"))
    except ConfigError as error:
        raise Failure(os.EX_CONFIG, str(error)) from error
    if not enabled:
        raise Failure(os.EX_CONFIG, "trace_enable is off: nothing is kept")
    if not options.key.strip():
        raise Failure(os.EX_USAGE, "which message, or whose?")
    since = _since(options.since) if options.since else 0.0

    def find(pattern: re.Pattern[bytes]) -> Iterable[Record]:
        return search(place, pattern, since)

    try:
        found = stories(find, options.key, options.most)
    except PermissionError as error:
        raise Failure(os.EX_NOPERM, f"{error.filename}: {error.strerror}") from error
    except OSError as error:
        raise Failure(os.EX_IOERR, f"{error.filename}: {error.strerror}") from error
    if not found:
        raise Failure(os.EX_NOINPUT, f"nothing is known of {options.key}")
    return Result(_lines(found, f"{conf.text('syslog_name')}/"), [_value(story) for story in found]), 0


def _since(text: str) -> float:
    """Seconds since the epoch. Raises Failure."""
    import time  # late, as above

    from angarium.commands.queue_filter import FilterError, parse_age

    with contextlib.suppress(FilterError):
        return time.time() - parse_age(text)
    if _CLOCK.fullmatch(text):
        text = f"{datetime.now():%Y-%m-%d} {text}"  # noqa: DTZ005 - the administrator's clock is what is asked for
    try:
        return datetime.fromisoformat(text).astimezone().timestamp()
    except (ValueError, OverflowError):
        raise Failure(os.EX_DATAERR, f"neither an age nor a time: {text}") from None


def _lines(found: list[Story], name: str) -> Iterator[str]:
    from angarium.runtime.log import printable  # late, as above

    for number, story in enumerate(found):
        if number:
            yield ""
        yield ", ".join(story.queue_ids) or "refused"
        width = max(len(record.tag.removeprefix(name)) for record in story.records)
        for record in story.records:
            moment = datetime.fromtimestamp(record.time).astimezone()
            stamp = moment.strftime("%Y-%m-%d %H:%M:%S.") + f"{moment.microsecond // 1000:03d}"
            # The store has what strangers said as they said it; a terminal must not take it for commands.
            yield f"  {stamp}  {record.tag.removeprefix(name):{width}}  {printable(record.text + _source(record))}"


def _source(record: Record) -> str:
    source = record.event.get("source")
    return f" [{source}]" if source and isinstance(source, str) else ""


def _value(story: Story) -> dict[str, object]:
    return {
        "queue_ids": list(story.queue_ids),
        "events": [
            {"time": record.time, "tag": record.tag, "pid": record.pid, "text": record.text, **record.event}
            for record in story.records
        ],
    }
