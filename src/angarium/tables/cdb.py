"""Reads and builds constant databases: the file format cdb.

256 pairs (offset, count of slots) of hash tables come first, then the entries (length of key, length of value, key,
value), then the tables of slots (hash, offset of the entry). All numbers have 32 bits, low byte first, so a file ends
before 4 GiB. Failures: ``DamagedFileError``; OverflowError when a file would get too long.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from typing import BinaryIO

from angarium.tables.builtfile import VALUE_LIMIT, DamagedFileError, FileBytes

_HEADER = 2048
_SIZE_LIMIT = 0xFFFFFFFF
_PAIR = struct.Struct("<II")


def hash_of(key: bytes) -> int:
    """The hash of a key."""
    value = 5381
    for byte in key:
        value = (value * 33 & 0xFFFFFFFF) ^ byte
    return value


class CdbFile:
    """A constant database. Raises DamagedFileError when it has no header."""

    def __init__(self, file: FileBytes) -> None:
        self._file = file
        self._tables = struct.unpack("<512I", file.read(0, _HEADER))

    def get(self, key: bytes) -> bytes | None:
        """The value of a key, the first if there are several."""
        number = hash_of(key)
        table = 2 * (number & 255)
        start, count = self._tables[table : table + 2]
        if not count:
            return None
        first = (number >> 8) % count
        for step in range(count):
            slot = (first + step) % count
            here, offset = _PAIR.unpack(self._file.read(start + 8 * slot, 8))
            if not offset:
                return None
            if here == number:
                key_length, value_length = self._lengths(offset)
                if key_length == len(key) and self._file.read(offset + 8, key_length) == key:
                    return self._file.read(offset + 8 + key_length, value_length)
        return None

    def _lengths(self, offset: int) -> tuple[int, int]:
        key_length, value_length = _PAIR.unpack(self._file.read(offset, 8))
        if key_length > VALUE_LIMIT or value_length > VALUE_LIMIT:
            raise DamagedFileError("an item is longer than it can be")
        return key_length, value_length

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """Every entry, in the order in which they were written."""
        offset, end = _HEADER, self._tables[0]
        while offset < end:
            key_length, value_length = self._lengths(offset)
            data = self._file.read(offset + 8, key_length + value_length)
            yield data[:key_length], data[key_length:]
            offset += 8 + len(data)


def build_cdb(out: BinaryIO, entries: Mapping[bytes, bytes]) -> None:
    """Write a constant database. Raises OSError, and OverflowError when it gets too long."""
    slots: list[list[tuple[int, int]]] = [[] for _ in range(256)]
    out.write(bytes(_HEADER))
    at = _HEADER
    for key, value in entries.items():
        out.write(_PAIR.pack(len(key), len(value)) + key + value)
        number = hash_of(key)
        slots[number & 255].append((number, at))
        at += 8 + len(key) + len(value)
        if at > _SIZE_LIMIT:
            raise OverflowError("a cdb file ends before 4 GiB")
    if at + 16 * len(entries) > _SIZE_LIMIT:
        raise OverflowError("a cdb file ends before 4 GiB")
    header: list[int] = []
    for pairs in slots:
        count = 2 * len(pairs)
        header += (at, count)
        table = [(0, 0)] * count
        for number, offset in pairs:
            slot = (number >> 8) % count
            while table[slot][1]:
                slot = (slot + 1) % count
            table[slot] = (number, offset)
        out.write(b"".join(_PAIR.pack(*each) for each in table))
        at += 8 * count
    out.seek(0)
    out.write(struct.pack("<512I", *header))
