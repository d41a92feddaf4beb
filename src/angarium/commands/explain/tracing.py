"""Tables that remember what was found in them, so that an explanation can say which line did what.

``TracingOpener`` stands in front of the process's opener. It changes no answer. A table that was asked and had nothing
is not remembered; one that could not be asked is.
"""

from __future__ import annotations

from dataclasses import dataclass

from angarium.model.lookup import Found, Lookup, TemporaryError
from angarium.tables.built import BuiltTable
from angarium.tables.interface import Table
from angarium.tables.opener import TableOpener


@dataclass(frozen=True, slots=True)
class Hit:
    """One key that a table had, or that it could not be asked for (``failed``)."""

    table: str
    key: str
    value: str
    source: str
    failed: bool = False


class _TracedTable:
    def __init__(self, table: Table, hits: list[Hit]) -> None:
        self._table = table
        self._hits = hits

    @property
    def name(self) -> str:
        return self._table.name

    @property
    def pattern(self) -> bool:
        return self._table.pattern

    async def lookup(self, key: str) -> Lookup:
        result = await self._table.lookup(key)
        if isinstance(result, Found):
            if isinstance(self._table, BuiltTable):
                result = Found(result.value, await self._table.locate(key, result))
            self._hits.append(Hit(self.name, key, result.value, result.source))
        elif isinstance(result, TemporaryError):
            self._hits.append(Hit(self.name, key, result.cause, result.source, failed=True))
        return result


class TracingOpener(TableOpener):
    """Opens what ``inner`` opens, and remembers what is found there in ``hits``."""

    def __init__(self, inner: TableOpener) -> None:
        # Not the opener's own __init__: everything that it would set up is inner's.
        self._inner = inner
        self._traced: dict[str, Table] = {}
        self.hits: list[Hit] = []

    @property
    def types(self) -> tuple[str, ...]:
        """Of ``inner``."""
        return self._inner.types

    def open(self, name: str) -> Table:
        """The table of ``type:name``, traced."""
        table = self._traced.get(name)
        if table is None:
            table = self._traced[name] = _TracedTable(self._inner.open(name), self.hits)
        return table

    def take(self) -> tuple[Hit, ...]:
        """What was found since the last time, each once."""
        hits = tuple(dict.fromkeys(self.hits))
        self.hits.clear()
        return hits
