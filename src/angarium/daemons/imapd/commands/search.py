"""SEARCH and UID SEARCH (RFC 9051 section 6.4.4, RFC 3501), with CONDSTORE's MODSEQ and SEARCHRES.

A program is evaluated on sets of UIDs: what the view knows (numbers, flags, modseqs) first, what the store has to be
asked for (dates, sizes, headers, texts) only while something is left to be found. A program has at most ``_MAX_KEYS``
keys and ``_MAX_SCANS`` texts, and lets other sessions have their turn between keys.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from angarium.daemons.imapd.commands.capability import enable_condstore
from angarium.daemons.imapd.errors import No
from angarium.daemons.imapd.turns import Turns
from angarium.daemons.imapd.view import Snapshot, View, recent_spans
from angarium.mailstore.interface import AccountStore, TextWhere
from angarium.protocols.imap.sequence import compact
from angarium.protocols.imap.types import (
    Search,
    SearchAll,
    SearchAnd,
    SearchDate,
    SearchFlag,
    SearchHeader,
    SearchKey,
    SearchModseq,
    SearchNot,
    SearchOperator,
    SearchOr,
    SearchSet,
    SearchSize,
    SearchText,
    SearchWhen,
)
from angarium.protocols.mime import header
from angarium.protocols.mime.date import parse_date

if TYPE_CHECKING:
    from angarium.daemons.imapd.connection import ImapConnection

_EPOCH = dt.date(1970, 1, 1)
_DAY = 86400
_CLOCK = re.compile(rb"[0-9]{1,2}\s*:\s*[0-9]{2}(?:\s*:\s*[0-9]{2})?")
_MAX_KEYS = 1000
"""Keys in one program that look at each message."""
_DATES_AT_ONCE = 2000
_MAX_SCANS = 200
"""Texts in one program; each is a scan of the mailbox."""
_COSTLY = (SearchHeader, SearchText, SearchWhen, SearchSize)

_DateRow = tuple[int, float, int, float, int]


async def search(connection: ImapConnection, command: Search) -> str:
    """Find messages."""
    mailbox, view, _hub = connection.selected()
    if command.unknown_charset:
        msg = "[BADCHARSET (US-ASCII UTF-8)] Unknown charset"
        raise No(msg)
    if command.wants_modseq:
        enable_condstore(connection)
    evaluation = _Evaluation(connection.account_store(), mailbox.id, view)
    found = sorted(await evaluation.find(command.key))
    snapshot = view.snapshot
    returns = command.returns
    if returns is not None and "SAVE" in returns:
        view.saved = _saved(found, returns)
    positions = _positions(snapshot, found) if not command.uid or command.wants_modseq else []
    numbers = found if command.uid else [at + 1 for at in positions]
    modseq = max((snapshot.modseqs[at] for at in positions), default=0) if command.wants_modseq else 0
    await evaluation.turns.pause()
    if returns is None:
        words = [b"SEARCH", *map(b"%d".__mod__, numbers)]
        if modseq:
            words.append(b"(MODSEQ %d)" % modseq)
        connection.untagged(b" ".join(words))
    elif returns != {"SAVE"}:
        _extended(connection, command, returns, numbers, modseq)
    return "Search completed."


def _positions(snapshot: Snapshot, found: list[int]) -> list[int]:
    """Where those UIDs are, which are there."""
    if len(found) < len(snapshot) // 8:
        return [snapshot.position(uid) for uid in found]
    wanted = frozenset(found)
    return [at for at, uid in enumerate(snapshot.uids) if uid in wanted]


def _saved(found: list[int], returns: frozenset[str]) -> list[int]:
    """What SAVE keeps: with MIN or MAX alone, only those (RFC 5182 section 2.1)."""
    if not found or returns & {"ALL", "COUNT"} or not returns & {"MIN", "MAX"}:
        return found
    ends = {found[0]} if "MIN" in returns else set()
    return sorted(ends | ({found[-1]} if "MAX" in returns else set()))


def _extended(
    connection: ImapConnection, command: Search, returns: frozenset[str], numbers: list[int], modseq: int
) -> None:
    """The ESEARCH response (RFC 4731 section 3.1)."""
    words = [b'ESEARCH (TAG "%b")' % command.tag]
    if command.uid:
        words.append(b"UID")
    if numbers:
        if "MIN" in returns:
            words.append(b"MIN %d" % numbers[0])
        if "MAX" in returns:
            words.append(b"MAX %d" % numbers[-1])
        if "ALL" in returns:
            words.append(b"ALL " + compact(numbers))
    if "COUNT" in returns:
        words.append(b"COUNT %d" % len(numbers))
    if modseq:
        words.append(b"MODSEQ %d" % modseq)
    connection.untagged(b" ".join(words))


class _Evaluation:
    """One program on one mailbox."""

    def __init__(self, store: AccountStore, mailbox: int, view: View) -> None:
        self._store = store
        self._mailbox = mailbox
        self._view = view
        self._all = frozenset(view.snapshot.uids)
        self._dates: list[_DateRow] | None = None
        self._days: dict[int, float] | None = None
        self._exact: set[int] = set()
        self._keys = self._scans = 0
        self.turns = Turns()

    async def find(self, key: SearchKey) -> frozenset[int]:
        """UIDs in the view that match."""
        await self.turns.pause()
        match key:
            case SearchAll():
                return self._all
            case SearchAnd(keys):
                return await self._all_of(keys)
            case SearchOr(left, right):
                return await self.find(left) | await self.find(right)
            case SearchNot(inner):
                return self._all - await self.find(inner)
            case SearchHeader(name, needle):
                self._pay()
                return self._all & await self._store.search_header(self._mailbox, name, needle)
            case SearchText(needle, headers):
                self._pay()
                where = TextWhere.TEXT if headers else TextWhere.BODY
                return self._all & await self._store.search_text(self._mailbox, needle, where)
            case SearchWhen(which, operator, date):
                test = _compared(operator, (date - _EPOCH).days)
                if which is SearchDate.SENT:
                    return await self._sent(date, test)
                return await self._by_row(lambda row: test((row[1] + row[2] * 60) // _DAY))
            case SearchSize(operator, size):
                if operator is SearchOperator.LARGER:
                    return await self._by_row(lambda row: row[4] > size)
                return await self._by_row(lambda row: row[4] < size)
            case _:
                self._count()
                return frozenset(self._known(key))

    def _count(self) -> None:
        """Count a key that looks at each message."""
        self._keys += 1
        if self._keys > _MAX_KEYS:
            msg = f"[LIMIT] More than {_MAX_KEYS} search keys"
            raise No(msg)

    def _pay(self) -> None:
        """Count a search of texts."""
        self._scans += 1
        if self._scans > _MAX_SCANS:
            msg = f"[LIMIT] More than {_MAX_SCANS} texts to search for"
            raise No(msg)
        self._count()

    async def _all_of(self, keys: tuple[SearchKey, ...]) -> frozenset[int]:
        found = self._all
        for key in sorted(dict.fromkeys(keys), key=lambda each: isinstance(each, _COSTLY)):
            if isinstance(key, SearchAll):
                continue
            if not found:
                break
            found &= await self.find(key)
        return found

    def _known(self, key: SearchFlag | SearchSet | SearchModseq) -> list[int]:
        snapshot = self._view.snapshot
        match key:
            case SearchFlag("\\Recent", present):
                marked = {at for span in recent_spans(snapshot, self._view.recent) for at in span}
                return [uid for at, uid in enumerate(snapshot.uids) if (at in marked) == present]
            case SearchFlag(flag, present):
                wanted = flag.lower()
                every = snapshot.kinds
                kinds = {flags for flags in every if any(f.lower() == wanted for f in flags) == present}
                if not kinds or len(kinds) == len(every):
                    return snapshot.uids.tolist() if kinds else []
                return [uid for uid, flags in zip(snapshot.uids, snapshot.flags, strict=True) if flags in kinds]
            case SearchSet(numbers, uid):
                if numbers.saved or uid:
                    return self._view.uids_at(self._view.positions(numbers, uid=uid))
                uids = snapshot.uids
                return [number for low, high in numbers.numbers(len(uids)) for number in uids[low - 1 : high]]
            case SearchModseq(modseq):
                return [uid for uid, each in zip(snapshot.uids, snapshot.modseqs, strict=True) if each >= modseq]

    async def _sent(self, date: dt.date, test: Callable[[float], bool]) -> frozenset[int]:
        """Messages by the day in their Date field, in the zone in which it was written.

        The store knows the moment. The zone matters only a day around the day that is asked for; there the fields
        themselves are looked at.
        """
        asked = (date - _EPOCH).days
        self._count()
        if self._days is None:
            rows = await self._rows()
            self._days = {row[0]: row[3] // _DAY for row in rows if not math.isnan(row[3])}
        days = self._days
        near = sorted(uid for uid, day in days.items() if abs(day - asked) <= 1 and uid not in self._exact)
        for start in range(0, len(near), _DATES_AT_ONCE):
            await self.turns.pause()
            some = near[start : start + _DATES_AT_ONCE]
            for uid, fields in await self._store.header_fields(self._mailbox, some, ["Date"]):
                days[uid] = _wall_day(fields)
        self._exact.update(near)
        return self._all & {uid for uid, day in days.items() if test(day)}

    async def _by_row(self, test: Callable[[_DateRow], bool]) -> frozenset[int]:
        self._count()
        return self._all & {row[0] for row in await self._rows() if test(row)}

    async def _rows(self) -> list[_DateRow]:
        if self._dates is None:
            self._dates = await self._store.search_dates(self._mailbox)
        return self._dates


def _compared(operator: SearchOperator, day: int) -> Callable[[float], bool]:
    match operator:
        case SearchOperator.BEFORE:
            return lambda number: number < day
        case SearchOperator.SINCE:
            return lambda number: number >= day
        case _:
            return lambda number: number == day


def _wall_day(fields: bytes) -> float:
    """The day that a Date field names, whatever its zone, in days since the epoch; nan without one."""
    dates = [value for name, value, _start, _end in header.fields(fields) if name == b"date"]
    if not dates:
        return math.nan
    value = header.unfold(dates[-1])
    clock = _CLOCK.search(value)
    # Without its zone the text is a time in UTC: the day stays as it is written.
    seconds = parse_date(value[: clock.end()] if clock is not None else value)
    return math.nan if seconds is None else seconds // _DAY
