"""Reads the files of Berkeley DB, versions 4.2 to 6: the types hash and btree.

Layout, as the files show it: page 0 describes the database. A page has a header of 26 bytes (number, neighbours, count
of items, type) and then the offsets of its items, which are packed at its end. What is larger than a quarter of a page
stands in a chain of pages of its own. A hash database spreads its keys over buckets, each a chain of pages: linear
hashing, where ``spares`` says at which page a doubling of the buckets begins. A btree database is a B+ tree.

Keys without duplicates only, and low bytes first, for that is what tables hold. Failures: ``DamagedFileError``.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Iterator

from angarium.tables.builtfile import BRANCHES_KEPT, VALUE_LIMIT, Branch, DamagedFileError, FileBytes, within

HASH_MAGIC, BTREE_MAGIC = 0x061561, 0x053162
INTERNAL, LEAF, OVERFLOW, HASH_META, BTREE_META, HASH_UNSORTED, HASH_SORTED = 3, 5, 7, 8, 9, 2, 13
ON_PAGE, OFF_PAGE = 1, 3
HEADER = 26
CHARKEY = b"%$sniglet^&\0"
"""What the description of a hash database has the hash of, to tell one hash function from another."""

_VERSIONS = range(8, 11)
_BUCKET = (HASH_SORTED, HASH_UNSORTED, 0)
"""The kinds of the pages of a bucket; one that was never written to is all zero."""
_DEPTH_LIMIT = 64


def hash_of(key: bytes) -> int:
    """Berkeley DB's hash of a key since version 4: FNV-1 with zero to begin with."""
    value = 0
    for byte in key:
        value = (value * 16777619 & 0xFFFFFFFF) ^ byte
    return value


class _Page:
    """One page, taken apart as far as its header and its offsets."""

    __slots__ = ("data", "following", "level", "offsets", "type")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.following, count, low, self.level, self.type = struct.unpack_from("<IHHBB", data, 16)
        self.offsets: tuple[int, ...] = ()
        if self.type == OVERFLOW:
            if low > len(data) - HEADER:
                raise DamagedFileError("a page is longer than it can be")
            self.offsets = (low,)
            return
        if HEADER + 2 * count > len(data):
            raise DamagedFileError("a page has more items than it can have")
        self.offsets = struct.unpack_from(f"<{count}H", data, HEADER)


class _Pages:
    """The pages of a file."""

    __slots__ = ("_file", "bytes", "count", "size")

    def __init__(self, file: FileBytes, size: int, last: int) -> None:
        if size < 512 or size > 65536 or size & (size - 1):
            raise DamagedFileError("the size of its pages makes no sense")
        self._file = file
        self.size = size
        self.bytes = file.size
        self.count = min(last + 1, file.size // size)

    def read(self, number: int) -> bytes:
        """A page."""
        if not 0 < number < self.count:
            raise DamagedFileError(f"there is no page {number}")
        return self._file.read(number * self.size, self.size)

    def page(self, number: int) -> _Page:
        """A page, taken apart."""
        return _Page(self.read(number))

    def chain(self, number: int) -> Iterator[_Page]:
        """A page and those that follow it."""
        for _ in range(self.count):
            if not number:
                return
            page = self.page(number)
            yield page
            number = page.following
        if number:
            raise DamagedFileError("a chain of pages has no end")

    def overflow(self, number: int, length: int) -> bytes:
        """What stands off its page."""
        if length > VALUE_LIMIT:
            raise DamagedFileError("an item is longer than it can be")
        parts: list[bytes] = []
        have = 0
        for page in self.chain(number):
            if page.type != OVERFLOW or not page.offsets[0]:
                raise DamagedFileError("an item stands on a page of another kind")
            parts.append(page.data[HEADER : HEADER + page.offsets[0]])
            have += page.offsets[0]
            if have >= length:
                break
        if have != length:
            raise DamagedFileError("an item is not as long as it should be")
        return b"".join(parts)


class HashFile:
    """A hash database."""

    def __init__(self, pages: _Pages, meta: bytes) -> None:
        self._pages = pages
        self._last, self._high, self._low = struct.unpack_from("<III", meta, 72)
        charkey, *self._spares = struct.unpack_from("<I32I", meta, 92)
        if charkey != hash_of(CHARKEY):
            raise DamagedFileError("its hash function is not known")
        if self._last >= pages.count:
            raise DamagedFileError("it has more buckets than pages")

    def _bucket(self, number: int) -> Iterator[_Page]:
        for page in self._pages.chain(number + self._spares[number.bit_length()]):
            if page.type not in _BUCKET:
                raise DamagedFileError("a bucket stands on a page of another kind")
            if len(page.offsets) % 2:
                raise DamagedFileError("a key has no value")
            yield page

    def get(self, key: bytes) -> bytes | None:
        """The value of a key."""
        bucket = hash_of(key) & self._high
        if bucket > self._last:
            bucket &= self._low
        if bucket > self._last:
            raise DamagedFileError("its buckets make no sense")
        if len(key) >= self._pages.size // 8:
            return self._get_long(bucket, key)
        wanted = b"\x01" + key
        number = bucket + self._spares[bucket.bit_length()]
        for _ in range(self._pages.count):
            data = self._pages.read(number)
            if data[25] not in _BUCKET:
                raise DamagedFileError("a bucket stands on a page of another kind")
            index = _find(data, wanted)
            if index is not None:
                return self._value(data, index)
            number = int.from_bytes(data[16:20], "little")
            if not number:
                return None
        raise DamagedFileError("a chain of pages has no end")

    def _value(self, data: bytes, index: int) -> bytes:
        """What follows a key, on a page that is not taken apart."""
        at = HEADER + 2 * index
        end, start = data[at] | data[at + 1] << 8, int.from_bytes(data[at + 2 : at + 4], "little")
        if not HEADER <= start < end or data[start] != ON_PAGE:
            return self._item(_Page(data), index + 1)
        return data[start + 1 : end]

    def _get_long(self, bucket: int, key: bytes) -> bytes | None:
        """The value of a key that may stand off its page."""
        for page in self._bucket(bucket):
            for index in range(0, len(page.offsets), 2):
                if self._item(page, index) == key:
                    return self._item(page, index + 1)
        return None

    def _item(self, page: _Page, index: int) -> bytes:
        if index >= len(page.offsets):
            raise DamagedFileError("a key has no value")
        start = page.offsets[index]
        end = page.offsets[index - 1] if index else len(page.data)
        if not HEADER <= start < end <= len(page.data):
            raise DamagedFileError("the items of a page overlap")
        kind = page.data[start]
        if kind == ON_PAGE:
            return page.data[start + 1 : end]
        if kind == OFF_PAGE and end - start >= 12:
            number, length = struct.unpack_from("<II", page.data, start + 4)
            return self._pages.overflow(number, length)
        raise DamagedFileError("an item is of another kind")

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """Every entry, bucket by bucket."""
        return within(self._items(), self._pages.bytes)

    def _items(self) -> Iterator[tuple[bytes, bytes]]:
        for number in range(self._last + 1):
            for page in self._bucket(number):
                for index in range(0, len(page.offsets), 2):
                    yield self._item(page, index), self._item(page, index + 1)


def _find(data: bytes, wanted: bytes) -> int | None:
    """The index of the item ``wanted`` (its kind and its bytes) among the keys of a page of a bucket.

    The page is searched and not taken apart: what is found is a key when an offset of a key leads to it.
    """
    stop = HEADER + 2 * (data[20] | data[21] << 8)
    at = data.find(wanted, stop)
    while at >= 0:
        offset = at.to_bytes(2, "little")
        place = data.find(offset, HEADER, stop)
        while place >= 0:
            index = (place - HEADER) // 2
            if place % 2 == 0 and index % 2 == 0:
                end = data[place - 2] | data[place - 1] << 8 if index else len(data)
                if end - at == len(wanted):
                    return index
            place = data.find(offset, place + 1, stop)
        at = data.find(wanted, at + 1)
    return None


class BtreeFile:
    """A btree database."""

    def __init__(self, pages: _Pages, meta: bytes) -> None:
        self._pages = pages
        self._root: int = struct.unpack_from("<I", meta, 88)[0]
        self._branches: dict[int, Branch] = {}

    def get(self, key: bytes) -> bytes | None:
        """The value of a key."""
        number = self._root
        for _ in range(_DEPTH_LIMIT):
            branch = self._branches.get(number)
            if branch is None:
                page = self._pages.page(number)
                if page.type == LEAF:
                    return self._in_leaf(page, key)
                branch = self._branch(page)
                if len(self._branches) < BRANCHES_KEPT:
                    self._branches[number] = branch
            keys, children = branch
            number = children[max(bisect_right(keys, key) - 1, 0)]
        raise DamagedFileError("the tree is too deep")

    def _branch(self, page: _Page) -> Branch:
        """The keys and the children of a page above the leaves; the first key counts as least."""
        if page.type != INTERNAL or not page.offsets:
            raise DamagedFileError("the tree has a page of another kind")
        indexes = range(len(page.offsets))
        return [self._internal_key(page, index) if index else b"" for index in indexes], [
            self._child(page, index) for index in indexes
        ]

    def _in_leaf(self, page: _Page, key: bytes) -> bytes | None:
        if len(key) >= self._pages.size // 8:
            return self._long_in_leaf(page, key)
        wanted = struct.pack("<HB", len(key), ON_PAGE) + key
        at = page.data.find(wanted, HEADER)
        while at >= 0:
            if at in page.offsets:
                index = page.offsets.index(at)
                if index % 2 == 0:
                    return self._item(page, index + 1)
            at = page.data.find(wanted, at + 1)
        return None

    def _long_in_leaf(self, page: _Page, key: bytes) -> bytes | None:
        low, high = 0, len(page.offsets) // 2
        while low < high:
            middle = (low + high) // 2
            here = self._item(page, 2 * middle)
            if here == key:
                return None if self._deleted(page, 2 * middle) else self._item(page, 2 * middle + 1)
            if here < key:
                low = middle + 1
            else:
                high = middle
        return None

    def _child(self, page: _Page, index: int) -> int:
        start = self._start(page, index, 12)
        number: int = struct.unpack_from("<I", page.data, start + 4)[0]
        return number

    def _start(self, page: _Page, index: int, length: int) -> int:
        if index >= len(page.offsets):
            raise DamagedFileError("a page of the tree is empty")
        start = page.offsets[index]
        if not HEADER <= start <= len(page.data) - length:
            raise DamagedFileError("an item stands outside of its page")
        return start

    def _internal_key(self, page: _Page, index: int) -> bytes:
        data = page.data
        start = page.offsets[index]
        if not HEADER <= start <= len(data) - 12:
            raise DamagedFileError("an item stands outside of its page")
        length, kind = data[start] | data[start + 1] << 8, data[start + 2]
        if kind & 0x7F == OFF_PAGE and start + 24 <= len(page.data):
            return self._pages.overflow(*struct.unpack_from("<II", page.data, start + 16))
        if start + 12 + length > len(page.data):
            raise DamagedFileError("an item stands outside of its page")
        return page.data[start + 12 : start + 12 + length]

    def _deleted(self, page: _Page, index: int) -> bool:
        return bool(page.data[self._start(page, index, 4) + 2] & 0x80)

    def _item(self, page: _Page, index: int) -> bytes:
        start = self._start(page, index, 4)
        length, kind = struct.unpack_from("<HB", page.data, start)
        if kind & 0x7F == ON_PAGE:
            if start + 3 + length > len(page.data):
                raise DamagedFileError("an item stands outside of its page")
            return page.data[start + 3 : start + 3 + length]
        if kind & 0x7F == OFF_PAGE and start + 12 <= len(page.data):
            return self._pages.overflow(*struct.unpack_from("<II", page.data, start + 4))
        raise DamagedFileError("an item is of another kind")

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """Every entry, in the order of the keys."""
        return within(self._items(), self._pages.bytes)

    def _items(self) -> Iterator[tuple[bytes, bytes]]:
        number = self._root
        page = self._pages.page(number)
        for _ in range(_DEPTH_LIMIT):
            if page.type == LEAF:
                break
            if page.type != INTERNAL:
                raise DamagedFileError("the tree has a page of another kind")
            number = self._child(page, 0)
            page = self._pages.page(number)
        for leaf in self._pages.chain(number):
            if leaf.type != LEAF or len(leaf.offsets) % 2:
                raise DamagedFileError("the tree has a page of another kind")
            for index in range(0, len(leaf.offsets), 2):
                if not self._deleted(leaf, index):
                    yield self._item(leaf, index), self._item(leaf, index + 1)


def open_berkeley(file: FileBytes) -> HashFile | BtreeFile:
    """Read the description of a database, on which the kind depends.

    Raises:
        DamagedFileError: it is none, or of a version, kind or byte order that is not known here.
        OSError: it cannot be read.
    """
    meta = file.read(0, 512)
    magic, version, size = struct.unpack_from("<III", meta, 12)
    if magic not in (HASH_MAGIC, BTREE_MAGIC):
        raise DamagedFileError("it is no Berkeley DB file")
    if version not in _VERSIONS or meta[24]:
        raise DamagedFileError("its version of the format is not known")
    pages = _Pages(file, size, struct.unpack_from("<I", meta, 32)[0])
    return HashFile(pages, meta) if magic == HASH_MAGIC else BtreeFile(pages, meta)
