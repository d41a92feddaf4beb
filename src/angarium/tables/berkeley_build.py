"""Builds whole files of Berkeley DB 5.3, hash and btree, which Postfix (and Berkeley DB itself) reads and updates.

A file is made in one go from all its entries, so nothing is ever split or moved: the hash database gets as many buckets
(a power of two, as its doublings want it) as leave its pages half full, the btree database its leaves from left to
right and then each level above. The layout is told in ``berkeley``.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import BinaryIO

from angarium.tables.berkeley import (
    BTREE_MAGIC,
    BTREE_META,
    CHARKEY,
    HASH_MAGIC,
    HASH_META,
    HASH_SORTED,
    HEADER,
    INTERNAL,
    LEAF,
    OFF_PAGE,
    OVERFLOW,
    hash_of,
)

PAGE = 4096
_VERSION = 9
_ROOM = PAGE - HEADER
_FILLED = _ROOM * 4 // 5
"""Bytes of a page of a tree that are used when it is built: the rest is for entries that come later."""
HASH_ITEM_LIMIT = PAGE // 4
BTREE_ITEM_LIMIT = 1000
_LEAF_LEVEL = 1
_LOG_NUMBER = struct.pack("<II", 0, 1)


def page_of(number: int, before: int, after: int, level: int, kind: int, items: Iterable[bytes]) -> bytes:
    """A page whose items are packed at its end, the first one last."""
    parts: list[bytes] = []
    offsets: list[int] = []
    at = PAGE
    for item in items:
        at -= len(item)
        offsets.append(at)
        parts.append(item)
    count = len(offsets)
    parts.reverse()
    head = _LOG_NUMBER + struct.pack(f"<IIIHHBB{count}H", number, before, after, count, at, level, kind, *offsets)
    return head + bytes(at - len(head)) + b"".join(parts)


def _meta(magic: int, kind: int, last: int, rest: bytes) -> bytes:
    head = _LOG_NUMBER + struct.pack("<IIIIBBBB", 0, magic, _VERSION, PAGE, 0, kind, 0, 0)
    head += struct.pack("<IIIIII", 0, last, 0, 0, 0, 0) + os.urandom(20)
    return (head + rest).ljust(PAGE, b"\0")


class _Overflow:
    """The pages of what is too long for a page; they stand behind all others, from the number ``first`` on."""

    def __init__(self, first: int) -> None:
        self.pages: list[bytes] = []
        self._first = first

    def add(self, data: bytes) -> int:
        """The number of the first of the pages that hold ``data``."""
        start = self._first + len(self.pages)
        count = -(-len(data) // _ROOM)
        for index in range(count):
            number = start + index
            piece = data[index * _ROOM : (index + 1) * _ROOM]
            before, after = number - 1 if index else 0, number + 1 if index < count - 1 else 0
            header = struct.pack("<IIIHHBB", number, before, after, 1, len(piece), 0, OVERFLOW)
            self.pages.append((_LOG_NUMBER + header + piece).ljust(PAGE, b"\0"))
        return start


def build_hash(out: BinaryIO, entries: Mapping[bytes, bytes]) -> None:
    """Write a hash database. Raises OSError."""
    size = sum(min(len(key), HASH_ITEM_LIMIT) + min(len(value), HASH_ITEM_LIMIT) + 6 for key, value in entries.items())
    buckets = 2
    while buckets * _ROOM * 3 < size * 4:
        buckets *= 2
    mask = buckets - 1
    members: list[list[bytes]] = [[] for _ in range(buckets)]
    for key in entries:
        members[hash_of(key) & mask].append(key)
    chains: list[list[list[bytes]]] = []
    spill = 0
    for keys in members:
        keys.sort()
        chains.append(_fill(keys, entries))
        spill += len(chains[-1]) - 1
    overflow = _Overflow(1 + buckets + spill)
    out.write(bytes(PAGE))
    beyond: list[tuple[int, list[list[bytes]]]] = []
    following = 1 + buckets
    for number, chain in enumerate(chains, 1):
        out.write(_hash_page(number, 0, following if len(chain) > 1 else 0, chain[0], entries, overflow))
        if len(chain) > 1:
            beyond.append((number, chain))
            following += len(chain) - 1
    following = 1 + buckets
    for number, chain in beyond:
        before = number
        for index, keys in enumerate(chain[1:], 2):
            after = following + 1 if index < len(chain) else 0
            out.write(_hash_page(following, before, after, keys, entries, overflow))
            before, following = following, following + 1
    out.writelines(overflow.pages)
    doublings = mask.bit_length() + 1
    rest = struct.pack("<IIIIII", mask, mask, mask >> 1, 0, len(entries), hash_of(CHARKEY))
    rest += struct.pack("<32I", *[1] * doublings, *[0] * (32 - doublings))
    out.seek(0)
    out.write(_meta(HASH_MAGIC, HASH_META, buckets + spill + len(overflow.pages), rest))


def _fill(keys: list[bytes], entries: Mapping[bytes, bytes]) -> list[list[bytes]]:
    """Spread the keys of a bucket over pages."""
    pages: list[list[bytes]] = [[]]
    room = _ROOM
    for key in keys:
        need = _hash_room(key) + _hash_room(entries[key])
        if need > room:
            pages.append([])
            room = _ROOM
        pages[-1].append(key)
        room -= need
    return pages


def _hash_room(data: bytes) -> int:
    return 2 + (12 if len(data) > HASH_ITEM_LIMIT else 1 + len(data))


def _hash_page(
    number: int, before: int, after: int, keys: list[bytes], entries: Mapping[bytes, bytes], overflow: _Overflow
) -> bytes:
    items: list[bytes] = []
    for key in keys:
        for data in (key, entries[key]):
            if len(data) > HASH_ITEM_LIMIT:
                items.append(struct.pack("<BxxxII", OFF_PAGE, overflow.add(data), len(data)))
            else:
                items.append(b"\x01" + data)
    return page_of(number, before, after, 0, HASH_SORTED, items)


def build_btree(out: BinaryIO, entries: Mapping[bytes, bytes]) -> None:
    """Write a btree database; its root stands on page 1, as Berkeley DB wants it. Raises OSError."""
    leaves = _leaves(sorted(entries), entries)
    first = 1 if len(leaves) == 1 else 2
    below = [(b"", first)]
    pairs = enumerate(pairwise(leaves), first + 1)
    below += [(separator(left[-1], right[0]), number) for number, (left, right) in pairs]
    levels: list[list[list[tuple[bytes, int]]]] = []
    number = first + len(leaves)
    while len(below) > 1:
        level = _branches(below)
        levels.append(level)
        below = [(branch[0][0], number + index) for index, branch in enumerate(level)]
        number += len(level) if len(level) > 1 else 0
    overflow = _Overflow(number)
    out.write(bytes(PAGE * first))
    last = first + len(leaves) - 1
    for number, leaf in enumerate(leaves, first):
        items = [_leaf_item(data, overflow) for key in leaf for data in (key, entries[key])]
        before, after = number - 1 if number > first else 0, number + 1 if number < last else 0
        out.write(page_of(number, before, after, _LEAF_LEVEL, LEAF, items))
    number = last
    for height, level in enumerate(levels[:-1], _LEAF_LEVEL + 1):
        for branch in level:
            number += 1
            out.write(page_of(number, 0, 0, height, INTERNAL, _branch_items(branch, overflow)))
    root = b"" if not levels else page_of(1, 0, 0, len(levels) + 1, INTERNAL, _branch_items(levels[-1][0], overflow))
    out.writelines(overflow.pages)
    rest = struct.pack("<IIIIIII", 0, 2, 0, 0x20, 1, 0, 0)
    out.seek(0)
    out.write(_meta(BTREE_MAGIC, BTREE_META, number + len(overflow.pages), rest) + root)


def _leaves(keys: list[bytes], entries: Mapping[bytes, bytes]) -> list[list[bytes]]:
    leaves: list[list[bytes]] = [[]]
    room = _FILLED
    for key in keys:
        need = _leaf_room(key) + _leaf_room(entries[key])
        if need > room:
            leaves.append([])
            room = _FILLED
        leaves[-1].append(key)
        room -= need
    return leaves


def _leaf_room(data: bytes) -> int:
    return 2 + (12 if len(data) > BTREE_ITEM_LIMIT else (len(data) + 6) & ~3)


def _leaf_item(data: bytes, overflow: _Overflow) -> bytes:
    if len(data) > BTREE_ITEM_LIMIT:
        return struct.pack("<HBxII", 0, OFF_PAGE, overflow.add(data), len(data))
    return (struct.pack("<HB", len(data), 1) + data).ljust((len(data) + 6) & ~3, b"\0")


def separator(before: bytes, after: bytes) -> bytes:
    """The shortest beginning of ``after`` that is greater than ``before``."""
    length = 1
    for left, right in zip(before, after, strict=False):
        if left != right:
            break
        length += 1
    return after[:length]


def _branches(below: list[tuple[bytes, int]]) -> list[list[tuple[bytes, int]]]:
    branches: list[list[tuple[bytes, int]]] = [[]]
    room = _FILLED
    for key, child in below:
        need = 2 + (24 if len(key) > BTREE_ITEM_LIMIT else (len(key) + 15) & ~3)
        if need > room:
            branches.append([])
            room = _FILLED
        branches[-1].append((key, child))
        room -= need
    return branches


def _branch_items(branch: list[tuple[bytes, int]], overflow: _Overflow) -> list[bytes]:
    """The items of a page above the leaves; the first one's key is never looked at."""
    return [branch_item(key if index else b"", child, overflow) for index, (key, child) in enumerate(branch)]


def branch_item(key: bytes, child: int, overflow: _Overflow | None = None) -> bytes:
    """The item that leads to a page; a long key goes to pages of its own, if there are any."""
    if len(key) > BTREE_ITEM_LIMIT and overflow is not None:
        inner = struct.pack("<HBxII", 0, OFF_PAGE, overflow.add(key), len(key))
        return struct.pack("<HBxII", len(inner), OFF_PAGE, child, 0) + inner
    return (struct.pack("<HBxII", len(key), 1, child, 0) + key).ljust((len(key) + 15) & ~3, b"\0")
