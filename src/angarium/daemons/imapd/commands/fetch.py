r"""FETCH and UID FETCH (RFC 9051 section 6.4.5), with CHANGEDSINCE and MODSEQ (RFC 7162).

What the store keeps ready it joins into the answer itself (``AccountStore.rendered``). Everything else becomes one
template and one column of values an item; a batch of messages is then one ``%`` a message and one join. Batches are
bounded in number and in bytes; after each the client's reading is waited for, and others have their turn. ``\Seen`` is
set for all messages of the command in one store call, before anything is sent.

A message that was expunged meanwhile is left out, and the command ends ``NO [EXPUNGEISSUED]`` (RFC 2180 section 4.1).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from angarium.daemons.imapd.commands.capability import enable_condstore
from angarium.daemons.imapd.commands.select import vanished_earlier
from angarium.daemons.imapd.commands.store import apply_flags, positions_or_bad
from angarium.daemons.imapd.errors import Bad, No
from angarium.daemons.imapd.sections import SectionReader, needs_content, streams
from angarium.daemons.imapd.turns import Turns
from angarium.daemons.imapd.updates import flag_words, numbers, repeated
from angarium.mailstore.interface import Column, FlagOperation, HeaderFields, Piece, Place
from angarium.model.content import Content
from angarium.protocols.imap.types import Fetch, FetchItem, Section, SectionKind

if TYPE_CHECKING:
    from angarium.daemons.imapd.connection import ImapConnection

_BATCH = 2500
_JOINED_BATCH = 1000
_BODY_BATCH = 200
_LARGE = 256 * 1024
"""A body over this is written piece by piece."""
_WAITING = 64 * 1024
"""Bytes of it that wait for the client."""
_BODY_BYTES = 512 * 1024
"""Bytes of messages whose bodies are in memory at once; one is, whatever its size."""
_COLUMN_BYTES = 32 * 1024 * 1024
"""Bytes of messages of which something is in memory that may be as large as they are: headers, ENVELOPE."""
_ECHO_BYTES = 1024 * 1024
"""Bytes of a batch that are but the command's own words: the names of sections."""

_Columns = dict[Column, Sequence[object]]

_COLUMNS = {
    FetchItem.INTERNALDATE: Column.INTERNALDATE,
    FetchItem.SIZE: Column.SIZE,
    FetchItem.ENVELOPE: Column.ENVELOPE,
    FetchItem.BODY: Column.BODY,
    FetchItem.BODYSTRUCTURE: Column.BODYSTRUCTURE,
}

# What the store can put into an answer. Not flags: the client is told those of its view.
_PLACES: dict[FetchItem, Place | Column] = {FetchItem.UID: Place.UID, **_COLUMNS}
_HEAD = 3
_MOST_PIECES = 60
_LARGE_COLUMNS = frozenset((Column.ENVELOPE, Column.BODY, Column.BODYSTRUCTURE, Column.HEADER))


async def fetch(connection: ImapConnection, command: Fetch) -> str:
    """Send what is asked for of the messages asked for."""
    mailbox, view, _hub = connection.selected()
    items = command.items
    if command.vanished and not connection.qresync:
        msg = "QRESYNC not enabled"
        raise Bad(msg)
    if FetchItem.MODSEQ in items:
        enable_condstore(connection)
    positions = positions_or_bad(view, command.numbers, uid=command.uid)
    if command.changed_since >= 0:
        modseqs = view.snapshot.modseqs
        positions = [at for at in positions if modseqs[at] > command.changed_since]
    if command.vanished:
        changes = await connection.account_store().changes(mailbox.id, command.changed_since)
        uids = view.snapshot.uids
        # What the client still believes to be there is told by VANISHED in its time, not here.
        gone = [uid for uid in changes.vanished if view.snapshot.position(uid) < 0]
        connection.write(vanished_earlier(gone, command.numbers, max([*uids[-1:], *gone[-1:]], default=0)))
    if not positions:
        return "Fetch completed."
    items = await _mark_seen(connection, positions, items)
    plan = _Plan(connection, items)
    complete = True
    for start in range(0, len(positions), plan.batch):
        complete &= await plan.send(positions[start : start + plan.batch])
        if connection.pending > _LARGE:
            await connection.drain()
        await asyncio.sleep(0)  # the store answers without waiting: the others' turn
    if not complete:
        msg = "[EXPUNGEISSUED] Some of the requested messages no longer exist."
        raise No(msg)
    return "Fetch completed."


async def _mark_seen(
    connection: ImapConnection, positions: Sequence[int], items: tuple[FetchItem | Section, ...]
) -> tuple[FetchItem | Section, ...]:
    r"""Set \Seen where BODY[…] without PEEK asks for it; the flags are then told too."""
    if connection.read_only or not any(isinstance(item, Section) and not item.peek for item in items):
        return items
    _mailbox, view, _hub = connection.selected()
    snapshot = view.snapshot
    unseen = [snapshot.uids[at] for at in positions if "\\Seen" not in snapshot.flags[at]]
    if not unseen:
        return items
    await apply_flags(connection, unseen, FlagOperation.ADD, frozenset({"\\Seen"}))
    told = [FetchItem.FLAGS]
    if connection.condstore:
        told = [FetchItem.UID, FetchItem.FLAGS, FetchItem.MODSEQ]
    first = items[:1] if items[:1] == (FetchItem.UID,) else ()
    return (*first, *(item for item in told if item not in items), *items[len(first) :])


class _Plan:
    """How the response of one message is made."""

    def __init__(self, connection: ImapConnection, items: tuple[FetchItem | Section, ...]) -> None:
        self._connection = connection
        self._items = items
        self._columns = [_COLUMNS[item] for item in items if isinstance(item, FetchItem) and item in _COLUMNS]
        self._sections = [item for item in items if isinstance(item, Section)]
        if any(_is_header(section) for section in self._sections):
            self._columns.append(Column.HEADER)
        self._needs_content = any(needs_content(section) for section in self._sections)
        self._template = b"* %d FETCH (" + b" ".join(self._word(item) for item in items) + b")\r\n"
        self._pieces = self._ready()
        self._turns = Turns()
        most = _BODY_BATCH if self._needs_content else _BATCH if self._pieces is None else _JOINED_BATCH
        self.batch = max(1, min(most, _ECHO_BYTES // len(self._template)))

    def _ready(self) -> tuple[Piece, ...] | None:
        """The response as the store can join it; None when something in it is not the store's."""
        if not self._columns and not self._sections:
            return None  # flags alone: the view has them
        pieces: list[Piece] = [b"* ", Place.NUMBER, b" FETCH ("]
        for item in self._items:
            blank = b" " if len(pieces) > _HEAD else b""
            if isinstance(item, Section):
                if item.kind is not SectionKind.FIELDS or item.path or item.length is not None:
                    return None
                pieces += [blank + item.label + b" ", HeaderFields(item.fields)]
                continue
            value = _PLACES.get(item)
            if value is None:
                return None
            pieces += [blank + item.value.encode("ascii") + b" ", value]
        # SQLite's functions take no more arguments than that.
        return (*pieces, b")\r\n") if len(pieces) < _MOST_PIECES else None

    @staticmethod
    def _word(item: FetchItem | Section) -> bytes:
        if isinstance(item, Section):
            return item.label.replace(b"%", b"%%") + b" %b"
        name = item.value.encode("ascii")
        if item is FetchItem.MODSEQ:
            return name + b" (%d)"
        return name + (b" %d" if item in (FetchItem.UID, FetchItem.SIZE) else b" %b")

    async def send(self, positions: Sequence[int]) -> bool:
        """Send one batch; False when some of its messages are gone."""
        connection = self._connection
        mailbox, view, _hub = connection.selected()
        store = connection.account_store()
        uids = view.uids_at(positions)
        wanted = len(uids)
        if self._pieces is not None and positions[-1] - positions[0] + 1 == wanted:
            joined = await store.rendered(mailbox.id, uids, positions[0] + 1, self._pieces)
            if joined is not None:
                connection.write(joined)
                self._count(wanted, {}, len(joined))
                return True
        complete = True
        while positions:
            batch = await self._fitting(positions)
            complete &= await self._send_apart(batch)
            positions = positions[len(batch) :]
            if positions:
                await connection.drain()
        return complete

    async def _fitting(self, positions: Sequence[int]) -> Sequence[int]:
        """As many of the first positions as may be in memory together."""
        if not self._needs_content and _LARGE_COLUMNS.isdisjoint(self._columns):
            return positions
        room = _BODY_BYTES if self._needs_content else _COLUMN_BYTES
        mailbox, view, _hub = self._connection.selected()
        uids = view.uids_at(positions)
        for uid, size in await self._connection.account_store().columns(mailbox.id, uids, [Column.SIZE]):
            room -= cast("int", size)
            if room < 0:
                return positions[: max(1, uids.index(cast("int", uid)))]
        return positions

    async def _send_apart(self, positions: Sequence[int]) -> bool:
        """Send a batch put together here; False when some of its messages are gone."""
        connection = self._connection
        mailbox, view, _hub = connection.selected()
        store = connection.account_store()
        uids = view.uids_at(positions)
        wanted = len(uids)
        columns: _Columns = {}
        contents: dict[int, Content] = {}
        if self._columns:
            rows = await store.columns(mailbox.id, uids, self._columns)
            positions, uids = _still_there(positions, uids, [cast("int", row[0]) for row in rows])
            transposed = list(zip(*rows, strict=True)) or [()] * (len(self._columns) + 1)
            columns = dict(zip(self._columns, transposed[1:], strict=True))
        if self._needs_content:
            contents = dict(await store.bodies(mailbox.id, uids))
            if len(contents) != len(uids):
                keep = [at for at, uid in enumerate(uids) if uid in contents]
                columns = {name: [values[at] for at in keep] for name, values in columns.items()}
                positions, uids = [positions[at] for at in keep], [uids[at] for at in keep]
        reader = SectionReader(store, mailbox.id, uids, contents, columns.get(Column.HEADER))
        before = connection.written
        large = {uid for uid, content in contents.items() if content.size > _LARGE}
        if large and any(streams(section) for section in self._sections):
            await self._send_large(positions, uids, columns, reader)
        else:
            await self._send_rows(positions, uids, columns, reader)
        self._count(len(uids), contents, connection.written - before)
        return len(uids) == wanted

    async def _send_rows(
        self, positions: Sequence[int], uids: list[int], columns: _Columns, reader: SectionReader
    ) -> None:
        values: list[Sequence[object]] = [numbers(positions)]
        for item in self._items:
            values.append(await self._values(item, positions, uids, columns, reader))
            await self._turns.pause()
        if reader.missing:
            keep = [at for at, uid in enumerate(uids) if uid not in reader.missing]
            values = [[column[at] for at in keep] for column in values]
        self._connection.write(repeated(self._template, len(values[0]), values))

    async def _values(
        self,
        item: FetchItem | Section,
        positions: Sequence[int],
        uids: list[int],
        columns: _Columns,
        reader: SectionReader,
    ) -> Sequence[object]:
        if isinstance(item, Section):
            return await reader.values(item)
        _mailbox, view, _hub = self._connection.selected()
        snapshot = view.snapshot
        match item:
            case FetchItem.UID:
                return uids
            case FetchItem.FLAGS:
                return flag_words(snapshot, positions, view.recent)
            case FetchItem.MODSEQ:
                return [snapshot.modseqs[at] for at in positions]
            case _:
                return columns[_COLUMNS[item]]

    async def _send_large(
        self, positions: Sequence[int], uids: list[int], columns: _Columns, reader: SectionReader
    ) -> None:
        """Message by message, so that no more than one piece of a large body is in memory."""
        connection = self._connection
        for index, (position, uid) in enumerate(zip(positions, uids, strict=True)):
            one: _Columns = {name: [values[index]] for name, values in columns.items()}
            single = reader.only(index)
            connection.write(b"* %d FETCH (" % (position + 1))
            for number, item in enumerate(self._items):
                connection.write(
                    (b" " if number else b"") + self._word(item).partition(b" %")[0].replace(b"%%", b"%") + b" "
                )
                if isinstance(item, Section) and streams(item):
                    await self._stream(single.content(uid), *await single.extent(uid, item))
                    continue
                value = (await self._values(item, [position], [uid], one, single))[0]
                if item is FetchItem.MODSEQ:
                    connection.write(b"(%d)" % cast("int", value))
                else:
                    connection.write(value if isinstance(value, bytes) else b"%d" % cast("int", value))
            connection.write(b")\r\n")
            await connection.drain()

    async def _stream(self, content: Content, start: int, stop: int) -> None:
        self._connection.write(b"{%d}\r\n" % (stop - start))
        for piece in content.chunks(start, stop):
            self._connection.write(piece)
            if self._connection.pending > _WAITING:
                await self._connection.drain()

    def _count(self, messages: int, contents: dict[int, Content], size: int) -> None:
        """For the log; ``size``: bytes of the answers, which hdr_bytes is made of."""
        statistics = self._connection.statistics
        if contents:
            statistics.body_count += messages
            statistics.body_bytes += sum(content.size for content in contents.values())
        elif self._sections:
            statistics.hdr_count += messages
            statistics.hdr_bytes += size


def _is_header(section: Section) -> bool:
    """Whether the header column is enough for it (or needed, to know where the text begins)."""
    return not section.path and section.kind in (SectionKind.HEADER, SectionKind.TEXT, SectionKind.FIELDS_NOT)


def _still_there(positions: Sequence[int], uids: list[int], present: list[int]) -> tuple[Sequence[int], list[int]]:
    if len(present) == len(uids):
        return positions, uids
    there = set(present)
    keep = [at for at, uid in enumerate(uids) if uid in there]
    return [positions[at] for at in keep], [uids[at] for at in keep]
