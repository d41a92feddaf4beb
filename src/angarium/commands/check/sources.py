"""The entries of tables whose source is text, with their lines: what a check can look into without opening a database.

Tables that are asked over a network, and those without a list of entries, have none: None, not an empty list.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from angarium.config.lines import decode
from angarium.config.values import names
from angarium.tables.text import logical_lines, split_entry

KEYED = frozenset({"hash", "btree", "lmdb", "cdb", "dbm", "sdbm", "texthash"})
PATTERNS = frozenset({"cidr", "regexp", "pcre"})
BUILT = {"hash": ".db", "btree": ".db", "lmdb": ".lmdb", "cdb": ".cdb", "dbm": ".pag", "sdbm": ".pag"}
"""Types whose file is built from a source, with the ending of the built file."""

SOURCE_LIMIT = 64 * 1024 * 1024
"""Bytes of a source that are looked into; a larger one counts as one that cannot be."""


class Entry(NamedTuple):
    """One entry of a table."""

    key: str
    value: str
    line: int


def entries(kind: str, name: str) -> list[Entry] | None:
    """The entries of ``kind:name``; None when they cannot be listed."""
    if kind == "static":
        return [Entry("*", name.strip("{} "), 0)]
    if kind == "inline":
        return _inline(name)
    if kind not in KEYED | PATTERNS or name.startswith("{"):
        return None
    path = Path(name)
    try:
        if not path.is_file() or path.stat().st_size > SOURCE_LIMIT:
            return None
        text = decode(path.read_bytes())
    except OSError:
        return None
    found = []
    for number, line in logical_lines(text, lambda _fault: None):
        if kind in PATTERNS:
            key, _blank, value = line.strip().partition(" ")
            found.append(Entry(key, value.strip(), number))
            continue
        try:
            key, value = split_entry(line)
        except ValueError:
            continue
        found.append(Entry(key.lower(), value, number))
    return found


def _inline(name: str) -> list[Entry]:
    inner = name.strip()
    if inner.startswith("{") and inner.endswith("}"):
        inner = inner[1:-1]
    pairs = (word.strip("{} ").partition("=") for word in names(inner))
    return [Entry(key.strip().lower(), value.strip(), 0) for key, equals, value in pairs if equals]
