"""Changes entries of an LMDB file as LMDB itself does: what changes is written anew behind the rest, then told.

A change copies the pages from a leaf up to the root to the end of the file; all changes of one editor share the
copies. Nothing that is there is written over but one of the two descriptions, the last thing of all. So a reader has
what was before or what is after, with a lock or without, and a crash leaves one of the two.

The pages that were copied are not used again; a file in which they have become too many is a ``NoRoomError``, and so
is what stands on pages of its own, or would want a page without entries. Failures: OSError, ``DamagedFileError``.
"""

from __future__ import annotations

import os
import struct
from bisect import bisect_left, bisect_right
from dataclasses import dataclass

from angarium.tables.berkeley_edit import NoRoomError
from angarium.tables.builtfile import DamagedFileError, FileBytes
from angarium.tables.lmdb import (
    BRANCH,
    DESCRIPTION,
    HEADER,
    KEY_LIMIT,
    LEAF,
    META,
    NODE,
    NODE_LIMIT,
    NOTHING,
    PAGE,
    LmdbFile,
    PageWriter,
    TreePage,
    branch_node,
)

_DEPTH = 32
_SPARE = 256
_MAP, _DEPTHS, _BRANCHES, _LEAVES, _OVERFLOWS, _ENTRIES, _ROOT, _LAST, _TRANSACTION = 3, 14, 15, 16, 17, 18, 19, 20, 21
"""Where in a description, taken apart, these numbers of the database stand."""


@dataclass(slots=True)
class _Page:
    """A page of the tree: its keys, and for each the node of a leaf or the number of a page."""

    number: int
    leaf: bool
    keys: list[bytes]
    nodes: list[bytes]
    children: list[int]

    def size(self) -> int:
        sizes = map(len, self.nodes) if self.leaf else (NODE.size + len(key) for key in self.keys)
        return HEADER + sum((size + 1 & ~1) + 2 for size in sizes)


class LmdbEditor:
    """An open file; ``finish`` makes the changes true.

    Args:
        descriptor: open for reading and writing; the caller has the lock.

    Raises:
        NoRoomError: it is of a make that is not edited.
        DamagedFileError: it is no LMDB file.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        LmdbFile(FileBytes(descriptor))
        metas = [META.unpack(os.pread(descriptor, META.size, number * PAGE + HEADER)) for number in range(2)]
        self._newest = int(metas[1][_TRANSACTION] > metas[0][_TRANSACTION])
        self._meta = list(metas[self._newest])
        if self._meta[4] != PAGE or self._meta[_ROOT] == NOTHING:
            raise NoRoomError
        self._end: int = self._meta[_LAST] + 1
        if self._end * PAGE > os.fstat(descriptor).st_size:
            raise NoRoomError
        live = self._meta[_BRANCHES] + self._meta[_LEAVES] + self._meta[_OVERFLOWS]
        if self._end > 2 * live + _SPARE:
            raise NoRoomError
        self._changed: dict[int, _Page] = {}

    def _page(self, number: int) -> _Page:
        known = self._changed.get(number)
        if known is not None:
            return known
        if not 1 < number < self._end:
            raise DamagedFileError(f"there is no page {number}")
        data = os.pread(self._descriptor, PAGE, number * PAGE)
        if len(data) != PAGE:
            raise DamagedFileError("it is cut off")
        page = TreePage(data)
        keys: list[bytes] = []
        nodes: list[bytes] = []
        children: list[int] = []
        for index in range(page.count):
            node = page.node(index)
            keys.append(node.key)
            if page.leaf:
                size = 8 if node.flags & 1 else node.size
                start = page.offsets[index]
                nodes.append(data[start : node.start + size])
                if len(nodes[-1]) != node.start + size - start:
                    raise DamagedFileError("an item stands outside of its page")
            else:
                children.append(page.child(index))
        return _Page(number, page.leaf, keys, nodes, children)

    def _way(self, key: bytes) -> list[tuple[_Page, int]]:
        """The pages from the root to the leaf, each with the place of the next, or of the key."""
        way: list[tuple[_Page, int]] = []
        page = self._page(self._meta[_ROOT])
        while not page.leaf:
            if len(way) > _DEPTH:
                raise DamagedFileError("the tree is too deep")
            index = max(bisect_right(page.keys, key, 1) - 1, 0)
            way.append((page, index))
            page = self._page(page.children[index])
        way.append((page, bisect_left(page.keys, key)))
        return way

    def _copied(self, way: list[tuple[_Page, int]]) -> None:
        """Give each page of a way that is not a copy yet a new number."""
        for place, (page, _) in enumerate(way):
            if page.number in self._changed:
                continue
            self._allot(page)
            if place:
                above, index = way[place - 1]
                above.children[index] = page.number
            else:
                self._meta[_ROOT] = page.number

    def _allot(self, page: _Page) -> None:
        page.number = self._end
        self._changed[self._end] = page
        self._end += 1

    def put(self, key: bytes, value: bytes) -> None:
        """Add an entry, or give it another value."""
        node = NODE.pack(len(value) & 0xFFFF, len(value) >> 16, 0, len(key)) + key + value
        if not 0 < len(key) <= KEY_LIMIT or len(node) > NODE_LIMIT:
            raise NoRoomError
        way = self._way(key)
        leaf, index = way[-1]
        is_there = index < len(leaf.keys) and leaf.keys[index] == key
        if is_there and _is_elsewhere(leaf.nodes[index]):
            raise NoRoomError
        self._copied(way)
        if is_there:
            leaf.nodes[index] = node
        else:
            leaf.keys.insert(index, key)
            leaf.nodes.insert(index, node)
            self._meta[_ENTRIES] += 1
        while way and way[-1][0].size() > PAGE:
            self._split(way)
            way.pop()

    def _split(self, way: list[tuple[_Page, int]]) -> None:
        """Give the greater half of the last page of a way to a new one."""
        page, _ = way[-1]
        middle = len(page.keys) // 2
        other = _Page(0, page.leaf, page.keys[middle:], page.nodes[middle:], page.children[middle:])
        between = other.keys[0]
        if not page.leaf:
            other.keys[0] = b""
        del page.keys[middle:], page.nodes[middle:], page.children[middle:]
        self._allot(other)
        self._meta[_LEAVES if page.leaf else _BRANCHES] += 1
        if len(way) > 1:
            above, index = way[-2]
            above.keys.insert(index + 1, between)
            above.children.insert(index + 1, other.number)
            return
        root = _Page(0, False, [b"", between], [], [page.number, other.number])
        self._allot(root)
        self._meta[_ROOT] = root.number
        self._meta[_BRANCHES] += 1
        self._meta[_DEPTHS] += 1

    def delete(self, key: bytes) -> bool:
        """Remove an entry; whether it was there."""
        way = self._way(key)
        leaf, index = way[-1]
        if index == len(leaf.keys) or leaf.keys[index] != key:
            return False
        if len(leaf.keys) == 1 or _is_elsewhere(leaf.nodes[index]):
            raise NoRoomError
        self._copied(way)
        del leaf.keys[index], leaf.nodes[index]
        self._meta[_ENTRIES] -= 1
        return True

    def finish(self) -> None:
        """Write the copies, then the description that leads to them. Raises OSError."""
        if not self._changed:
            return
        for page in self._changed.values():
            if page.size() > PAGE:
                raise DamagedFileError("the items of a page overlap")
            writer = PageWriter(LEAF if page.leaf else BRANCH)
            if page.leaf:
                for key, node in zip(page.keys, page.nodes, strict=True):
                    writer.add(key, node)
            else:
                for place, (key, child) in enumerate(zip(page.keys, page.children, strict=True)):
                    writer.add(key, branch_node(key if place else b"", child))
            self._write(page.number * PAGE, writer.finish(page.number))
        os.fsync(self._descriptor)
        self._meta[_LAST] = self._end - 1
        self._meta[_TRANSACTION] += 1
        self._meta[_MAP] = max(self._meta[_MAP], (self._end + self._end // 4) * PAGE)
        number = 1 - self._newest
        head = struct.pack("<QHHI", number, 0, DESCRIPTION, 0)
        self._write(number * PAGE, head + META.pack(*self._meta))

    def _write(self, offset: int, data: bytes) -> None:
        if os.pwrite(self._descriptor, data, offset) != len(data):
            raise OSError("a page was written in part")


def _is_elsewhere(node: bytes) -> bool:
    """Whether a value stands on pages of its own."""
    flags: int = NODE.unpack_from(node)[2]
    return bool(flags & 1)
