"""A whole FETCH answer made by SQLite: ``AccountStore.rendered`` (the strings of ten thousand messages in 3 ms)."""

# ruff: noqa: S608 - the statement is put together from this package's own names; values are always bound.

from __future__ import annotations

from collections.abc import Sequence

from angarium.mailstore.interface import Column, HeaderFields, Piece, Place
from angarium.mailstore.reading import SOURCES, ordered_fields
from angarium.mailstore.rows import one_row
from angarium.mailstore.schema import COMMON_FIELDS
from angarium.runtime.sqlite import Connection, TooBigError

_READY = frozenset((Column.ENVELOPE, Column.BODY, Column.BODYSTRUCTURE, Column.INTERNALDATE, Column.SIZE))


_SCOPE = "mailbox = ? AND uid BETWEEN ? AND ?"
# In the order of the key, which NOT INDEXED leaves as the only way.
_NEIGHBOURS = f"FROM message NOT INDEXED{{}} WHERE {_SCOPE}"
_WITH_GAPS = (
    "FROM (SELECT uid, body, flags, row_number() OVER (ORDER BY uid) AS number"
    f" FROM message WHERE {_SCOPE}) AS message{{}}"
)


class _Statement:
    """The statement while it is put together.

    Nothing that differs from one batch to the next stands in its text, so that SQLite compiles it once.
    """

    def __init__(self, connection: Connection, number: str, offset: int) -> None:
        self._connection = connection
        self._number = number
        self._offset = offset
        self.tables: dict[str, str] = {}
        self.words: list[str] = []
        self.bindings: list[object] = []

    def add(self, piece: Piece) -> bool:
        """Take one piece; False when it is not kept ready."""
        if isinstance(piece, bytes):
            self.words.append("?")
            self.bindings.append(piece)
        elif isinstance(piece, HeaderFields):
            return self._add_fields(piece)
        elif piece is Place.NUMBER:
            self.words.append(f"({self._number} + ?)")
            self.bindings.append(self._offset)
        elif piece is Place.UID:
            self.words.append("message.uid")
        elif piece is Place.FLAGS:
            self.tables["flagset"] = "message.flags"
            self.words.append("'(', flagset.names, ')'")
        elif piece in _READY:
            table, expression = SOURCES[piece]
            self.tables[table] = "message.body"
            self.words.append(expression)
        else:
            return False
        return True

    def _add_fields(self, piece: HeaderFields) -> bool:
        names = list(dict.fromkeys(name.lower() for name in piece.names))
        if not names or any(name not in COMMON_FIELDS for name in names):
            return False
        expression = ordered_fields(self._connection, names)
        if expression is None:
            return False
        self.tables["field"] = "message.body"
        self.words.append(f"'{{', octet_length({expression}) + 2, x'7d0d0a', {expression}, x'0d0a'")
        return True


def rendered(
    connection: Connection, identity: int, uids: Sequence[int], first: int, pieces: Sequence[Piece]
) -> bytes | None:
    """See ``interface.AccountStore.rendered``."""
    if not uids:
        return b""
    low, high = uids[0], uids[-1]
    contiguous = high - low + 1 == len(uids)
    number, offset = ("message.uid", first - low) if contiguous else ("message.number", first - 1)
    statement = _Statement(connection, number, offset)
    if not all(statement.add(piece) for piece in pieces):
        return None
    joins = "".join(f" CROSS JOIN {table} ON {table}.id = {key}" for table, key in statement.tables.items())
    # 0 is the order of header fields that the columns cannot give back.
    order = "min(field.ordering)" if "field" in statement.tables else "1"
    try:
        count, regular, joined = one_row(
            connection,
            f"SELECT count(*), {order}, CAST(group_concat(concat({', '.join(statement.words)}), '') AS BLOB) "
            + (_NEIGHBOURS if contiguous else _WITH_GAPS).format(joins),
            (*statement.bindings, identity, low, high),
        )
    except TooBigError:
        return None  # the caller takes fewer at a time
    return joined if count == len(uids) and regular else None
