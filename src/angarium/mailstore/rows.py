"""The rows of small SQL answers: one, one or none, all."""

from __future__ import annotations

from typing import Any

from angarium.runtime.sqlite import Connection


def maybe_row(connection: Connection, statement: str, bindings: tuple[Any, ...] = ()) -> tuple[Any, ...] | None:
    """The first row; None when there is none."""
    row: tuple[Any, ...] | None = connection.execute(statement, bindings).fetchone()
    return row


def one_row(connection: Connection, statement: str, bindings: tuple[Any, ...] = ()) -> tuple[Any, ...]:
    """The row of a statement that always gives one: an aggregate, or an update of a row that is there."""
    row = maybe_row(connection, statement, bindings)
    assert row is not None, statement
    return row


def all_rows(connection: Connection, statement: str, bindings: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """All rows; for answers that are known to be short."""
    return list(connection.execute(statement, bindings))
