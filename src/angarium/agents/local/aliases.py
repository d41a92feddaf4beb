"""alias_maps with the owners of its tables, whose rights the commands and files in them have (local(8), SECURITY).

A table that may not be one of aliases (``tables.ownership.refusal``) is asked nothing: mail waits, with a warning.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from angarium.model.lookup import NOT_FOUND, Found, NotFound, TemporaryError
from angarium.tables.interface import Table
from angarium.tables.maps import Maps
from angarium.tables.ownership import owner, refusal


@dataclass(frozen=True, slots=True)
class OwnedAlias:
    """What an alias table holds, and the uid of the table's owner (``ownership.NOBODY``: nobody who could be named)."""

    value: str
    owner: int
    table: str


AskAlias = Callable[[str], Awaitable[OwnedAlias | NotFound | TemporaryError]]
"""A look-up in alias_maps; the key is a name in lower case."""


class AliasTables:
    """The tables of alias_maps.

    Args:
        maps: the tables.
        base: what relative file names start from.
    """

    def __init__(self, maps: Maps, base: Path) -> None:
        self._maps = tuple((Maps(maps.parameter, (table,)), table) for table in maps.tables)
        self._refused = {table.name: text for table in maps.tables if (text := refusal(table.name))}
        self._base = base

    async def find(self, name: str) -> OwnedAlias | NotFound | TemporaryError:
        """The first table's value."""
        for maps, table in self._maps:
            if table.name in self._refused:
                return TemporaryError(self._refused[table.name], table.name)
            found = await maps.find(name)
            if isinstance(found, Found):
                return self._owned(found, table)
            if isinstance(found, TemporaryError):
                return found
        return NOT_FOUND

    def _owned(self, found: Found, table: Table) -> OwnedAlias | TemporaryError:
        try:
            return OwnedAlias(found.value, owner(table.name, self._base), table.name)
        except OSError as error:
            return TemporaryError(f"cannot tell who owns it: {error}", table.name)
