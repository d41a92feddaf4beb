"""A set of UIDs as SQL: a range where it is one, else a JSON list that SQLite takes apart."""

# ruff: noqa: S608 - the statements are put together from this package's own names; values are always bound.

from __future__ import annotations

from collections.abc import Sequence

_DENSE = 4


def condition(uids: Sequence[int], name: str = "uid") -> tuple[str, tuple[object, ...]]:
    """An SQL condition that is true for exactly these UIDs, and its bindings."""
    if not uids:
        return "0", ()
    low, high = min(uids), max(uids)
    if high - low + 1 == len(uids) and len(set(uids)) == len(uids):
        return f"{name} BETWEEN ? AND ?", (low, high)
    return f"{name} IN (SELECT value FROM json_each(?))", ("[" + ",".join(map(str, uids)) + "]",)


def reading_condition(uids: Sequence[int], name: str = "uid") -> tuple[str, tuple[object, ...], frozenset[int] | None]:
    """As ``condition``, but a dense set becomes a range whose rows the caller filters by the set returned."""
    if not uids:
        return "0", (), None
    low, high = min(uids), max(uids)
    if high - low + 1 == len(uids) and len(set(uids)) == len(uids):
        return f"{name} BETWEEN ? AND ?", (low, high), None
    if high - low < _DENSE * len(uids):
        return f"{name} BETWEEN ? AND ?", (low, high), frozenset(uids)
    return (*condition(uids, name), None)
