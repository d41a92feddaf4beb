"""Changes entries of a hash or btree database where they stand, page by page, as ``postmap -i`` and ``-d`` want it.

Whoever edits holds the lock of the file that readers wait for, so they see what was before or what is after. Each
change is made of writes of whole pages, in an order that leaves a readable file when the program is killed between two
of them: a new page is written before anything leads to it, and half a page is given away only when the other half can
be found.

What has no room, or would want more than one page taken apart, is a ``NoRoomError``: the file has to be built anew.
Failures: OSError, ``DamagedFileError``.
"""

from __future__ import annotations

import os
import struct
from bisect import bisect_left, bisect_right

from angarium.tables.berkeley import (
    HASH_SORTED,
    HEADER,
    INTERNAL,
    LEAF,
    OFF_PAGE,
    ON_PAGE,
    HashFile,
    hash_of,
    open_berkeley,
)
from angarium.tables.berkeley_build import (
    BTREE_ITEM_LIMIT,
    HASH_ITEM_LIMIT,
    PAGE,
    branch_item,
    page_of,
    separator,
)
from angarium.tables.builtfile import DamagedFileError, FileBytes

_ROOM = PAGE - HEADER
_CHAIN = 6
"""Pages of a bucket: with more of them the buckets are too few."""
_DEPTH = 16
_LAST_PAGE, _COUNT = 32, 88
"""Where the description of a database has its last page, and that of a hash database the number of its entries."""


class NoRoomError(Exception):
    """The change cannot be made where it would have to stand."""


class _Page:
    """A page of an open file, with its items as they are stored."""

    def __init__(self, data: bytes) -> None:
        self.number, self.before, self.after, count, _, self.level, self.kind = struct.unpack_from("<IIIHHBB", data, 8)
        if HEADER + 2 * count > len(data):
            raise DamagedFileError("a page has more items than it can have")
        self.offsets: tuple[int, ...] = struct.unpack_from(f"<{count}H", data, HEADER)
        if any(not HEADER <= offset < len(data) for offset in self.offsets):
            raise DamagedFileError("an item stands outside of its page")
        self.data = data
        self.items: list[bytes] = []

    def fits(self) -> bool:
        return sum(map(len, self.items)) + 2 * len(self.items) <= _ROOM

    def bytes(self) -> bytes:
        """The page anew."""
        return self.data[:8] + page_of(self.number, self.before, self.after, self.level, self.kind, self.items)[8:]


class _Editor:
    """An open file; ``last`` is the number of its last page."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        meta = os.pread(descriptor, PAGE, 0)
        if len(meta) < PAGE or struct.unpack_from("<I", meta, 20)[0] != PAGE:
            raise NoRoomError
        self.meta = meta
        self.last: int = struct.unpack_from("<I", meta, _LAST_PAGE)[0]
        if (self.last + 1) * PAGE > os.fstat(descriptor).st_size:
            raise NoRoomError

    def page(self, number: int) -> _Page:
        if not 0 < number <= self.last:
            raise DamagedFileError(f"there is no page {number}")
        data = os.pread(self._descriptor, PAGE, number * PAGE)
        if len(data) != PAGE:
            raise DamagedFileError("it is cut off")
        return _Page(data)

    def write(self, page: _Page) -> None:
        if not page.fits():
            raise DamagedFileError("the items of a page overlap")
        data = page.bytes()
        if os.pwrite(self._descriptor, data, page.number * PAGE) != PAGE:
            raise OSError("a page was written in part")

    def write_number(self, offset: int, number: int) -> None:
        os.pwrite(self._descriptor, struct.pack("<I", number), offset)

    def finish(self) -> None:
        """Nothing is left to be done: each change is true at once."""

    def append(self, page: _Page) -> None:
        """Write a page behind the last one."""
        self.last += 1
        page.number = self.last
        self.write(page)
        self.write_number(_LAST_PAGE, self.last)


class HashEditor(_Editor):
    """A hash database."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor)
        self._buckets = struct.unpack_from("<III", self.meta, 72)
        self._spares = struct.unpack_from("<32I", self.meta, 96)
        self.count: int = struct.unpack_from("<I", self.meta, _COUNT)[0]

    def _chain(self, key: bytes) -> list[_Page]:
        last, high, low = self._buckets
        bucket = hash_of(key) & high
        if bucket > last:
            bucket &= low
        if bucket > last:
            raise DamagedFileError("its buckets make no sense")
        number = first = bucket + self._spares[bucket.bit_length()]
        chain: list[_Page] = []
        while number:
            if len(chain) >= _CHAIN:
                raise NoRoomError
            page = self.page(number)
            if page.kind == 0 and not page.offsets and number == first:
                page.number, page.kind = number, HASH_SORTED  # a bucket that was never written to
            if page.kind != HASH_SORTED or page.number != number:
                raise NoRoomError
            ends = (PAGE, *page.offsets)
            page.items = [page.data[start:end] for start, end in zip(page.offsets, ends, strict=False)]
            if len(page.items) % 2 or any(item[:1] != b"\x01" for item in page.items[::2]):
                raise NoRoomError
            chain.append(page)
            number = page.after
        return chain

    def put(self, key: bytes, value: bytes) -> None:
        """Add an entry, or give it another value."""
        if len(key) > HASH_ITEM_LIMIT or len(value) > HASH_ITEM_LIMIT:
            raise NoRoomError
        item, data = b"\x01" + key, b"\x01" + value
        chain = self._chain(key)
        for page in chain:
            place = _place(page, item)
            if place is not None:
                if page.items[place + 1][:1] != b"\x01":
                    raise NoRoomError
                page.items[place + 1] = data
                if not page.fits():
                    raise NoRoomError
                self.write(page)
                return
        for page in chain:
            at = 2 * bisect_left(page.items[::2], item)
            page.items[at:at] = (item, data)
            if page.fits():
                self.write(page)
                break
            del page.items[at : at + 2]
        else:
            last = chain[-1]
            added = _Page(page_of(0, last.number, 0, 0, HASH_SORTED, ()))
            added.items = [item, data]
            self.append(added)
            last.after = added.number
            self.write(last)
        self._counted(1)

    def delete(self, key: bytes) -> bool:
        """Remove an entry; whether it was there."""
        item = b"\x01" + key
        for number, page in enumerate(self._chain(key)):
            place = _place(page, item)
            if place is not None:
                if page.items[place + 1][:1] != b"\x01" or (number and len(page.items) == 2):
                    raise NoRoomError
                del page.items[place : place + 2]
                self.write(page)
                self._counted(-1)
                return True
        return False

    def _counted(self, change: int) -> None:
        self.count = max(self.count + change, 0)
        self.write_number(_COUNT, self.count)


def _place(page: _Page, item: bytes) -> int | None:
    keys = page.items[::2]
    index = bisect_left(keys, item)
    return 2 * index if index < len(keys) and keys[index] == item else None


class BtreeEditor(_Editor):
    """A btree database."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor)
        self._root: int = struct.unpack_from("<I", self.meta, 88)[0]

    def _way(self, key: bytes) -> tuple[list[tuple[_Page, int]], _Page, list[bytes]]:
        """The branches down to a leaf, each with the place of the next; the leaf; its keys."""
        above: list[tuple[_Page, int]] = []
        page = self.page(self._root)
        while page.kind == INTERNAL and len(above) < _DEPTH:
            page.items = [_stored(page, offset, 12) for offset in page.offsets]
            if not page.items or any(item[2] & 0x7F != ON_PAGE for item in page.items[1:]):
                raise NoRoomError
            keys = [item[12 : 12 + int.from_bytes(item[:2], "little")] for item in page.items[1:]]
            index = bisect_right(keys, key)
            above.append((page, index))
            page = self.page(struct.unpack_from("<I", page.items[index], 4)[0])
        if page.kind != LEAF or len(page.offsets) % 2:
            raise NoRoomError
        page.items = [_stored(page, offset, 3) for offset in page.offsets]
        if any(item[2] != ON_PAGE for item in page.items[::2]):
            raise NoRoomError
        return above, page, [item[3 : 3 + int.from_bytes(item[:2], "little")] for item in page.items[::2]]

    def put(self, key: bytes, value: bytes) -> None:
        """Add an entry, or give it another value."""
        if len(key) > BTREE_ITEM_LIMIT or len(value) > BTREE_ITEM_LIMIT:
            raise NoRoomError
        above, leaf, keys = self._way(key)
        index = bisect_left(keys, key)
        if index < len(keys) and keys[index] == key:
            if leaf.items[2 * index + 1][2] != ON_PAGE:
                raise NoRoomError
            leaf.items[2 * index + 1] = _leaf_item(value)
        else:
            keys.insert(index, key)
            leaf.items[2 * index : 2 * index] = (_leaf_item(key), _leaf_item(value))
        if leaf.fits():
            self.write(leaf)
        else:
            self._split(above, leaf, keys)

    def _split(self, above: list[tuple[_Page, int]], leaf: _Page, keys: list[bytes]) -> None:
        """Give the greater half of a leaf to a new page."""
        middle = len(keys) // 2
        if not above or not middle:
            raise NoRoomError
        parent, index = above[-1]
        between = separator(keys[middle - 1], keys[middle])
        parent.items.insert(index + 1, branch_item(between, self.last + 1))
        if len(between) > BTREE_ITEM_LIMIT or not parent.fits():
            raise NoRoomError
        greater = _Page(page_of(0, leaf.number, leaf.after, leaf.level, LEAF, ()))
        greater.items = leaf.items[2 * middle :]
        leaf.items = leaf.items[: 2 * middle]
        if not (greater.fits() and leaf.fits()):
            raise NoRoomError
        self.append(greater)
        self.write(parent)
        if leaf.after:
            self.write_number(leaf.after * PAGE + 12, greater.number)
        leaf.after = greater.number
        self.write(leaf)

    def delete(self, key: bytes) -> bool:
        """Remove an entry; whether it was there."""
        _, leaf, keys = self._way(key)
        index = bisect_left(keys, key)
        if index == len(keys) or keys[index] != key:
            return False
        if leaf.items[2 * index + 1][2] != ON_PAGE or len(keys) == 1:
            raise NoRoomError
        del leaf.items[2 * index : 2 * index + 2]
        self.write(leaf)
        return True


def _stored(page: _Page, offset: int, head: int) -> bytes:
    """An item of a tree with its padding; ``head`` bytes come before its text."""
    length, kind = struct.unpack_from("<HB", page.data[offset : offset + 3].ljust(3, b"\0"))
    size = 12 if kind & 0x7F == OFF_PAGE and head == 3 else (length + head + 3) & ~3
    item = page.data[offset : offset + size]
    if len(item) != size:
        raise DamagedFileError("an item stands outside of its page")
    return item


def _leaf_item(data: bytes) -> bytes:
    return (struct.pack("<HB", len(data), ON_PAGE) + data).ljust((len(data) + 6) & ~3, b"\0")


def open_editor(descriptor: int) -> HashEditor | BtreeEditor:
    """Edit an open database, whose lock the caller has.

    Raises:
        NoRoomError: it is of a make that is not edited.
        DamagedFileError: it is no database.
        OSError: it cannot be read.
    """
    database = open_berkeley(FileBytes(descriptor))
    return HashEditor(descriptor) if isinstance(database, HashFile) else BtreeEditor(descriptor)
