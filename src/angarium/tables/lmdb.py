"""Reads and builds the files of LMDB 0.9 (one data file, no subdirectory), as Postfix's type lmdb has them.

Two pages describe the database, and the one with the greater transaction number holds. The entries stand in a B+ tree:
pages with a header of 16 bytes (number, kind, bounds of the free room), the offsets of the nodes in the order of
their keys, and the nodes at the end. A value that does not fit stands on pages of its own, one after the other.

A file is built in one go; Postfix, and LMDB itself, read and update it. Failures: ``DamagedFileError``; ValueError
for a key that LMDB has no room for.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from typing import BinaryIO, NamedTuple

from angarium.tables.builtfile import BRANCHES_KEPT, VALUE_LIMIT, Branch, DamagedFileError, FileBytes, within

PAGE = 4096
KEY_LIMIT = 511
"""Bytes: the longest key of LMDB as it is usually built."""

_MAGIC = 0xBEEFC0DE
META = struct.Struct("<IIQQIHHQQQQQIHHQQQQQQQ")
NODE = struct.Struct("<HHHH")
HEADER = 16
BRANCH, LEAF, _OVERFLOW, DESCRIPTION = 1, 2, 4, 8
_BIG = 1
NOTHING = 0xFFFFFFFFFFFFFFFF
_DEPTH_LIMIT = 64
NODE_LIMIT = ((PAGE - HEADER) // 2 & ~1) - 2
_FREE_FLAGS = 0x4008
_MAP_SIZE = 16 << 20


class _Node(NamedTuple):
    key: bytes
    size: int
    flags: int
    start: int


class TreePage:
    """A page of the tree."""

    __slots__ = ("count", "data", "leaf", "offsets")

    def __init__(self, data: bytes) -> None:
        self.data = data
        kind, lower = struct.unpack_from("<HH", data, 10)
        if kind not in (BRANCH, LEAF) or not HEADER <= lower <= len(data):
            raise DamagedFileError("the tree has a page of another kind")
        self.leaf = kind == LEAF
        self.count: int = (lower - HEADER) // 2
        self.offsets = struct.unpack_from(f"<{self.count}H", data, HEADER)
        if not self.count:
            raise DamagedFileError("a page of the tree is empty")

    def node(self, index: int) -> _Node:
        """An entry of a leaf, or what leads to a page. Raises DamagedFileError."""
        start = self.offsets[index]
        if start + 8 > len(self.data):
            raise DamagedFileError("an item stands outside of its page")
        low, high, flags, length = NODE.unpack_from(self.data, start)
        if start + 8 + length > len(self.data):
            raise DamagedFileError("an item stands outside of its page")
        return _Node(self.data[start + 8 : start + 8 + length], low | high << 16, flags, start + 8 + length)

    def child(self, index: int) -> int:
        """The page that an entry leads to. Raises DamagedFileError."""
        node = self.node(index)
        return node.size | node.flags << 32


class LmdbFile:
    """The unnamed database of an LMDB file. Raises DamagedFileError when it is none."""

    def __init__(self, file: FileBytes) -> None:
        self._file = file
        newest = -1
        self._page_size = PAGE
        self._branches: dict[int, Branch] = {}
        for number in range(2):
            meta = META.unpack(file.read(number * self._page_size + HEADER, META.size))
            if meta[0] != _MAGIC or meta[1] != 1:
                raise DamagedFileError("it is no LMDB file of a known version")
            if meta[4] < 512 or meta[4] > 65536 or meta[4] & (meta[4] - 1):
                raise DamagedFileError("the size of its pages makes no sense")
            self._page_size = meta[4]
            if meta[-1] > newest:
                newest = meta[-1]
                self._root = meta[19]

    def _page(self, number: int) -> TreePage:
        return TreePage(self._file.read(number * self._page_size, self._page_size))

    def get(self, key: bytes) -> bytes | None:
        """The value of a key."""
        number = self._root
        if number == NOTHING or len(key) > KEY_LIMIT:
            return None
        for _ in range(_DEPTH_LIMIT):
            branch = self._branches.get(number)
            if branch is None:
                page = self._page(number)
                if page.leaf:
                    return self._in_leaf(page, key)
                indexes = range(page.count)
                branch = [page.node(at).key if at else b"" for at in indexes], [page.child(at) for at in indexes]
                if len(self._branches) < BRANCHES_KEPT:
                    self._branches[number] = branch
            keys, children = branch
            number = children[max(bisect_right(keys, key) - 1, 0)]
        raise DamagedFileError("the tree is too deep")

    def _in_leaf(self, page: TreePage, key: bytes) -> bytes | None:
        wanted = struct.pack("<H", len(key)) + key
        at = page.data.find(wanted, HEADER)
        while at >= 0:
            if at - 6 in page.offsets:
                return self._value(page, page.node(page.offsets.index(at - 6)))
            at = page.data.find(wanted, at + 1)
        return None

    def _value(self, page: TreePage, node: _Node) -> bytes:
        if node.flags & ~_BIG:
            raise DamagedFileError("an item is of another kind")
        if node.flags & _BIG:
            if node.start + 8 > len(page.data) or node.size > VALUE_LIMIT:
                raise DamagedFileError("an item is longer than it can be")
            (number,) = struct.unpack_from("<Q", page.data, node.start)
            return self._file.read(number * self._page_size + HEADER, node.size)
        if node.start + node.size > len(page.data):
            raise DamagedFileError("an item stands outside of its page")
        return page.data[node.start : node.start + node.size]

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """Every entry, in the order of the keys."""
        return iter(()) if self._root == NOTHING else within(self._items(), self._file.size)

    def _items(self) -> Iterator[tuple[bytes, bytes]]:
        pages = self._file.size // self._page_size
        stack = [(self._page(self._root), 0)]
        while stack:
            page, index = stack.pop()
            if page.leaf:
                for each in map(page.node, range(page.count)):
                    yield each.key, self._value(page, each)
                continue
            if len(stack) > _DEPTH_LIMIT:
                raise DamagedFileError("the tree is too deep")
            if index + 1 < page.count:
                stack.append((page, index + 1))
            pages -= 1
            if pages < 0:
                raise DamagedFileError("the tree has more pages than the file")
            stack.append((self._page(page.child(index)), 0))


def build_lmdb(out: BinaryIO, entries: Mapping[bytes, bytes]) -> None:
    """Write an LMDB file.

    Raises:
        OSError: it cannot be written.
        ValueError: a key is empty or longer than ``KEY_LIMIT``.
    """
    out.write(bytes(2 * PAGE))
    number = 2
    level: list[tuple[bytes, int]] = []
    counts = {LEAF: 0, BRANCH: 0, _OVERFLOW: 0}
    writer = PageWriter(LEAF)
    for key in sorted(entries):
        if not 0 < len(key) <= KEY_LIMIT:
            raise ValueError("a key is longer than LMDB takes it, or empty")
        value = entries[key]
        node = NODE.pack(len(value) & 0xFFFF, len(value) >> 16, 0, len(key)) + key
        if len(node) + len(value) > NODE_LIMIT:
            pages = (HEADER - 1 + len(value)) // PAGE + 1
            out.write((struct.pack("<QHHI", number, 0, _OVERFLOW, pages) + value).ljust(pages * PAGE, b"\0"))
            node = NODE.pack(len(value) & 0xFFFF, len(value) >> 16, _BIG, len(key)) + key + struct.pack("<Q", number)
            number += pages
            counts[_OVERFLOW] += pages
        else:
            node += value
        if not writer.fits(node):
            level.append((writer.first, number))
            out.write(writer.finish(number))
            number += 1
        writer.add(key, node)
    if writer.nodes:
        level.append((writer.first, number))
        out.write(writer.finish(number))
        number += 1
    counts[LEAF] = len(level)
    depth = 1 if level else 0
    while len(level) > 1:
        depth += 1
        above: list[tuple[bytes, int]] = []
        writer = PageWriter(BRANCH)
        for key, child in level:
            node = branch_node(key, child)
            if not writer.fits(node):
                above.append((writer.first, number))
                out.write(writer.finish(number))
                number += 1
            writer.add(key, node if writer.nodes else branch_node(b"", child))
        above.append((writer.first, number))
        out.write(writer.finish(number))
        number += 1
        counts[BRANCH] += len(above)
        level = above
    root = level[0][1] if level else NOTHING
    map_size = max(_MAP_SIZE, (number + number // 4) * PAGE)
    free = (PAGE, _FREE_FLAGS, 0, 0, 0, 0, 0, NOTHING)
    main = (0, 0, depth, counts[BRANCH], counts[LEAF], counts[_OVERFLOW], len(entries), root)
    out.seek(0)
    for page, transaction in ((0, 0), (1, 1)):
        tree = main if transaction else (0, 0, 0, 0, 0, 0, 0, NOTHING)
        last = number - 1 if transaction else 1
        meta = META.pack(_MAGIC, 1, 0, map_size, *free, *tree, last, transaction)
        out.write((struct.pack("<QHHI", page, 0, DESCRIPTION, 0) + meta).ljust(PAGE, b"\0"))


def branch_node(key: bytes, child: int) -> bytes:
    """What leads to a page whose keys are not less than ``key``."""
    return NODE.pack(child & 0xFFFF, child >> 16 & 0xFFFF, child >> 32, len(key)) + key


class PageWriter:
    """Collects the nodes of a page of the tree."""

    __slots__ = ("_kind", "_room", "first", "nodes")

    def __init__(self, kind: int) -> None:
        self._kind = kind
        self._start()

    def _start(self) -> None:
        self.first = b""
        self.nodes: list[bytes] = []
        self._room = PAGE - HEADER

    def fits(self, node: bytes) -> bool:
        """Whether there is room for it."""
        return (len(node) + 3 & ~1) <= self._room

    def add(self, key: bytes, node: bytes) -> None:
        """Add the next in the order of the keys."""
        if not self.nodes:
            self.first = key
        self.nodes.append(node)
        self._room -= len(node) + 3 & ~1

    def finish(self, number: int) -> bytes:
        """The page; the writer begins another one."""
        at = PAGE
        offsets: list[int] = []
        parts: list[bytes] = []
        for node in self.nodes:
            at -= len(node) + 1 & ~1
            offsets.append(at)
            parts.append(node.ljust(len(node) + 1 & ~1, b"\0"))
        parts.reverse()
        lower = HEADER + 2 * len(offsets)
        head = struct.pack(f"<QHHHH{len(offsets)}H", number, 0, self._kind, lower, at, *offsets)
        self._start()
        return head + bytes(at - len(head)) + b"".join(parts)
