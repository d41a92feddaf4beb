"""From the records of the event store to the life of a message.

A message is found by its queue id, its Message-ID or an address, and with it what it became: the message behind a
content filter, the report that it caused, the message that a requeue or a forward made of it. Of the SMTP session that
brought it, its own part is shown: the connection, what was decided since the message before, and the end.

Pure: records come from a function, as the store's ``search`` gives them; nothing here knows where they are.
"""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from angarium.runtime.trace import Record

Find = Callable[["re.Pattern[bytes]"], Iterable[Record]]

_OWN_ID = re.compile(r"([0-9A-F]{5,}|[0-9A-Za-z]{12,}): ")
_LINK = re.compile(
    r"(?:queued as|forwarded as|notification:|delivery status:|orig_id=|orig_queue_id=)\s?([0-9A-Za-z]+)"
)
_ROUNDS = 8
_MOST_IDS = 2_000
_MOST_REFUSALS = 20_000
"""Events without a queue id that are kept, the newest, when an address has been refused again and again."""
_OPENS = "connect from "
_CLOSES = "disconnect from "
_BEGINS = ": client="


@dataclass(frozen=True, slots=True)
class Story:
    """One message's life, with those that came of it.

    Attributes:
        queue_ids: of the messages, in the order of their appearance; none when it was refused before it had one.
        records: in order of time.
    """

    queue_ids: tuple[str, ...]
    records: tuple[Record, ...]


def queue_id_of(record: Record) -> str:
    """The queue id that an event is about; empty when it is about none."""
    given = record.event.get("queue_id")
    if isinstance(given, str):
        return "" if given == "NOQUEUE" else given
    match = _OWN_ID.match(record.text)
    return match[1] if match else ""


def key_pattern(key: str) -> re.Pattern[bytes]:
    """What finds a queue id, a Message-ID or an address in the store's lines."""
    written = b"".join(map(_spellings, json.dumps(key, ensure_ascii=False)[1:-1]))
    if "@" in key:
        return re.compile(rb"(?<![\w.+@-])" + written + rb"(?![\w-]|\.\w)", re.IGNORECASE)
    return re.compile(rb"(?<![0-9A-Za-z])" + written + rb"(?![0-9A-Za-z])")


def _spellings(char: str) -> bytes:
    """A character in both cases, where a pattern of octets does not see to that itself."""
    spelt = {each.encode("utf-8", "surrogateescape") for each in (char, char.lower(), char.upper())}
    return re.escape(char.encode()) if char.isascii() else b"(?:" + b"|".join(map(re.escape, sorted(spelt))) + b")"


def stories(find: Find, key: str, most: int) -> list[Story]:
    """The lives of the newest ``most`` messages that ``key`` is about, oldest first."""
    newest: dict[str, float] = {}
    without: deque[Record] = deque(maxlen=_MOST_REFUSALS)
    for record in find(key_pattern(key)):
        if queue_id := queue_id_of(record):
            newest[queue_id] = record.time
        else:
            without.append(record)
    chosen = sorted(newest, key=lambda queue_id: newest[queue_id])[-most:]
    told = [_with_session(find, family) for family in _Families(find, chosen).groups()]
    told += _refusals(find, without, told, most)
    told.sort(key=lambda story: story.records[0].time)
    return told[-most:]


class _Families:
    """Which queue ids belong together, found by following the links between their records."""

    def __init__(self, find: Find, queue_ids: Iterable[str]) -> None:
        self._records: dict[str, list[Record]] = {}
        self._above: dict[str, str] = {}
        new = set(queue_ids)
        for _round in range(_ROUNDS):
            new = self._follow(find, new)
            if not new or len(self._above) > _MOST_IDS:
                break

    def _follow(self, find: Find, new: set[str]) -> set[str]:
        for queue_id in new:
            self._above.setdefault(queue_id, queue_id)
            self._records.setdefault(queue_id, [])
        met: set[str] = set()
        if not new:
            return met
        words = b"|".join(re.escape(each.encode("ascii", "replace")) for each in sorted(new))
        for record in find(re.compile(rb"(?<![0-9A-Za-z])(?:" + words + rb")(?![0-9A-Za-z])")):
            own = queue_id_of(record)
            if own in new:
                self._records[own].append(record)
            for other in _LINK.findall(record.text):
                if own and (own in new or other in new):
                    self._join(own, other)
                    met |= {own, other}
        return met - set(self._records)

    def _join(self, one: str, other: str) -> None:
        for each in (one, other):
            self._above.setdefault(each, each)
        self._above[self._head(other)] = self._head(one)

    def _head(self, queue_id: str) -> str:
        while self._above[queue_id] != queue_id:
            queue_id = self._above[queue_id]
        return queue_id

    def groups(self) -> Iterator[list[Record]]:
        """The records of each family that has any, in order of time."""
        found: dict[str, list[Record]] = {}
        for queue_id, records in self._records.items():
            found.setdefault(self._head(queue_id), []).extend(records)
        for records in found.values():
            if records:
                yield sorted(records, key=lambda record: record.time)


def _with_session(find: Find, records: list[Record]) -> Story:
    ids = tuple(dict.fromkeys(queue_id_of(record) for record in records))
    sessions = {str(record.event["session"]): record.time for record in records if "session" in record.event}
    more: list[Record] = []
    for token, moment in sessions.items():
        more += _part_of_session(_session(find, token, moment), frozenset(ids))
    whole = sorted({id(record): record for record in [*records, *more]}.values(), key=lambda record: record.time)
    return Story(ids, tuple(whole))


def _session(find: Find, token: str, moment: float) -> list[Record]:
    """The records of the session of this name that was open at a moment: the numbers of processes come again."""
    pattern = re.compile(rb'"session":"' + re.escape(token.encode()) + rb'"')
    records = sorted(find(pattern), key=lambda record: record.time)
    start = max((at for at, each in enumerate(records) if _is(each, _OPENS) and each.time <= moment), default=0)
    ends = (at for at, each in enumerate(records) if at > start and _is(each, _CLOSES) and each.time >= moment)
    return records[start : min(ends, default=len(records)) + 1]


def _is(record: Record, beginning: str) -> bool:
    return record.text.startswith(beginning)


def _part_of_session(session: list[Record], queue_ids: frozenset[str]) -> Iterator[Record]:
    """What concerns these messages: the connection, and what was decided between the message before and theirs."""
    begun = False
    waiting: list[Record] = []
    for record in session:
        own = queue_id_of(record)
        if own:
            if _BEGINS in record.text:
                if own in queue_ids:
                    yield from waiting
                begun = True
                waiting = []
        elif _is(record, _CLOSES) or (not begun and not _decides(record)):
            yield record
        else:
            waiting.append(record)


def _decides(record: Record) -> bool:
    return record.event.get("queue_id") == "NOQUEUE"


def _refusals(find: Find, records: Iterable[Record], told: list[Story], most: int) -> Iterator[Story]:
    """The newest sessions in which it came to nothing: each is looked for in the whole store."""
    known = {(record.time, record.text) for story in told for record in story.records}
    left = [record for record in records if (record.time, record.text) not in known]
    by_session: dict[str, list[Record]] = {}
    for number, record in enumerate(left):
        by_session.setdefault(str(record.event.get("session", f" {number}")), []).append(record)
    newest = sorted(by_session.items(), key=lambda one: one[1][-1].time)[-most:]
    for token, own in newest:
        if token.startswith(" "):
            yield Story((), tuple(own))
            continue
        session = _session(find, token, own[-1].time)
        ends = [record for record in session if not queue_id_of(record) and not _decides(record)]
        known_texts = {(record.time, record.text) for record in own}
        rest = [record for record in ends if (record.time, record.text) not in known_texts]
        yield Story((), tuple(sorted([*own, *rest], key=lambda record: record.time)))
