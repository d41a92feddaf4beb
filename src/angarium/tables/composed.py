"""Tables that are made of others, and of values: unionmap, pipemap, randmap.

==============================  ==========================================================================
``unionmap:{a:x, b:y}``         the results of all tables that have the key, joined with commas
``pipemap:{a:x, b:y}``          the result of one table is the key for the next; the last one's result
``randmap:{one, two}``          one of the values, drawn for each look-up
==============================  ==========================================================================

The first table that cannot be asked ends the search with its temporary error. Follows postconf(5) and DATABASE_README.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from angarium.model.lookup import NOT_FOUND, Found, Lookup, NotFound, TemporaryError
from angarium.tables.interface import Table
from angarium.tables.opener import TableSite
from angarium.tables.text import split_list


class UnionTable:
    """``unionmap:``; the first table decides whether it is asked with parts of keys."""

    def __init__(self, name: str, tables: Sequence[Table]) -> None:
        self.name = name
        self.pattern = tables[0].pattern
        self._tables = tables

    async def lookup(self, key: str) -> Lookup:
        """What all tables have for the key."""
        found: list[Found] = []
        for table in self._tables:
            result = await table.lookup(key)
            if isinstance(result, TemporaryError):
                return result
            if isinstance(result, Found):
                found.append(result)
        if not found:
            return NOT_FOUND
        return Found(",".join(each.value for each in found), " and ".join(each.source for each in found))


class PipeTable:
    """``pipemap:``; the first table decides whether it is asked with parts of keys."""

    def __init__(self, name: str, tables: Sequence[Table]) -> None:
        self.name = name
        self.pattern = tables[0].pattern
        self._tables = tables

    async def lookup(self, key: str) -> Lookup:
        """What the last table makes of it."""
        result: Lookup = NOT_FOUND
        for table in self._tables:
            result = await table.lookup(key)
            if isinstance(result, (NotFound, TemporaryError)):
                return result
            key = result.value
        return result


class RandomTable:
    """``randmap:``."""

    pattern = True

    def __init__(self, name: str, values: Sequence[str]) -> None:
        self.name = name
        self._results = [Found(value, name) for value in values]

    async def lookup(self, key: str) -> Lookup:  # noqa: ARG002 - any key
        """One of the values."""
        return random.choice(self._results)  # noqa: S311 - it spreads load and guards nothing


def open_table(name: str, argument: str, site: TableSite) -> Table:
    """Open a table of one of the three types. Raises ValueError."""
    kind = name.partition(":")[0]
    values = kind == "randmap"
    items: list[str] = []
    if argument.startswith("{") and argument.endswith("}"):
        try:
            items = split_list(argument[1:-1])
        except ValueError:
            items = []
    if not items or not (values or all(":" in item for item in items)):
        raise ValueError(f'bad syntax: "{name}"; need "{kind}:{{{"value" if values else "type:name"}...}}"')
    if values:
        return RandomTable(name, items)
    opener = site.make if site.strict else site.open
    tables = [opener(item) for item in items]
    return UnionTable(name, tables) if kind == "unionmap" else PipeTable(name, tables)
