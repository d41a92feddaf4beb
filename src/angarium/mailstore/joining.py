"""A whole FETCH answer made by SQLite: ``AccountStore.rendered`` (the strings of ten thousand messages in 3 ms)."""

# ruff: noqa: S608 - the statement is put together from this package's own names; values are always bound.

from __future__ import annotations

from collections.abc import Sequence

from angarium.mailstore.interface import Column, HeaderFields, Piece, Place
from angarium.mailstore.reading import SOURCES, ordered_fields
from angarium.mailstore.rows import maybe_row, one_row
from angarium.mailstore.schema import COMMON_FIELDS
from angarium.runtime.sqlite import Connection

_READY = frozenset((Column.ENVELOPE, Column.BODY, Column.BODYSTRUCTURE, Column.INTERNALDATE, Column.SIZE))


class _Statement:
    """The statement while it is put together: what the inner SELECT yields, and how the outer one joins it."""

    def __init__(self, connection: Connection, number: str) -> None:
        self._connection = connection
        self._number = number
        self.inner = ["message.uid AS uid"]
        self.tables: dict[str, str] = {}
        self.outer: list[str] = []
        self.bindings: list[object] = []
        self.irregular = False

    def add(self, piece: Piece) -> bool:
        """Take one piece; False when it is not kept ready."""
        if isinstance(piece, bytes):
            self.outer.append("?")
            self.bindings.append(piece)
        elif isinstance(piece, HeaderFields):
            return self._add_fields(piece)
        elif piece is Place.NUMBER:
            self.outer.append(self._number)
        elif piece is Place.UID:
            self.outer.append("uid")
        elif piece is Place.FLAGS:
            self.tables["flagset"] = "message.flags"
            self._add_value("flagset.names", "'(', {}, ')'")
        elif piece in _READY:
            table, expression = SOURCES[piece]
            self.tables[table] = "message.body"
            self._add_value(expression, "{}")
        else:
            return False
        return True

    def _add_value(self, expression: str, shape: str) -> None:
        name = f"c{len(self.inner)}"
        self.inner.append(f"{expression} AS {name}")
        self.outer.append(shape.format(name, name))

    def _add_fields(self, piece: HeaderFields) -> bool:
        names = list(dict.fromkeys(name.lower() for name in piece.names))
        if not names or any(name not in COMMON_FIELDS for name in names):
            return False
        expression = ordered_fields(self._connection, names)
        if expression is None:
            return False
        self.tables["field"] = "message.body"
        self._add_value(f"CAST({expression} AS BLOB)", "'{{', length({}) + 2, x'7d0d0a', {}, x'0d0a'")
        self.irregular = True
        return True


def rendered(
    connection: Connection, identity: int, uids: Sequence[int], first: int, pieces: Sequence[Piece]
) -> bytes | None:
    """See ``interface.AccountStore.rendered``."""
    if not uids:
        return b""
    low, high = uids[0], uids[-1]
    contiguous = high - low + 1 == len(uids)
    statement = _Statement(connection, f"(uid - {low} + {first})" if contiguous else "number")
    if not contiguous:
        statement.inner.append(f"row_number() OVER (ORDER BY message.uid) + {first - 1} AS number")
    if not all(statement.add(piece) for piece in pieces):
        return None
    joins = "".join(f" CROSS JOIN {table} ON {table}.id = {key}" for table, key in statement.tables.items())
    scope = "FROM message{} WHERE message.mailbox = ? AND message.uid BETWEEN ? AND ?"
    if statement.irregular and _has_irregular(connection, scope, (identity, low, high)):
        return None
    count, joined = one_row(
        connection,
        f"SELECT count(*), CAST(group_concat(concat({', '.join(statement.outer)}), '') AS BLOB) FROM"
        f" (SELECT {', '.join(statement.inner)} {scope.format(joins)} ORDER BY message.uid)",
        (*statement.bindings, identity, low, high),
    )
    return joined if count == len(uids) else None


def _has_irregular(connection: Connection, scope: str, bindings: tuple[object, ...]) -> bool:
    """Whether some message's header fields do not stand in an order that the columns can give back."""
    join = scope.format(" CROSS JOIN field ON field.id = message.body")
    return maybe_row(connection, f"SELECT 1 {join} AND field.ordering = 0 LIMIT 1", bindings) is not None
