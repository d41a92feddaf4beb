"""Opens ``type:name``: the one place that knows which types there are.

Guarantees: a table is opened once and shared; opening never raises. A type that is not there, or a name that makes
no sense, gives a table whose every lookup is a temporary error, and a warning in the log: as Postfix does it, mail
waits until the configuration is right.

A type in a module of its own costs nothing until a table of it is opened: ``MODULES`` names the module, which has a
function ``open_table(name, argument, site) -> Table``. It raises ValueError for an argument that makes no sense,
OSError for a file that cannot be read, ImportError for a library that is not installed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from angarium.tables.files import FileTable
from angarium.tables.interface import Table
from angarium.tables.patterns import CidrTable, RegexpTable
from angarium.tables.simple import EnvironTable, FailTable, InlineTable, StaticTable, UnixTable

Factory = Callable[[str, str], Table]
"""``(full name, argument) -> table``; raises ValueError for an argument that makes no sense."""

MODULES: Mapping[str, str] = {
    "ldap": "angarium.tables.ldap",
    "memcache": "angarium.tables.memcache",
    "mysql": "angarium.tables.mysql",
    "pgsql": "angarium.tables.pgsql",
    "socketmap": "angarium.tables.socketmap",
    "sqlite": "angarium.tables.sqlite",
    "tcp": "angarium.tables.tcp",
}
"""Types that are imported when the first table of them is opened."""

_FILE_TYPES = ("texthash", "hash", "btree", "lmdb", "cdb", "sdbm", "dbm")


@dataclass(frozen=True, slots=True)
class TableSite:
    """What a table may need of the place where it is opened.

    Attributes:
        warn: takes the text of a warning for the log.
        base: what relative file names start from.
        open: opens another ``type:name``, for tables that are made of tables.
        parameter: the expanded text of a name in main.cf; None when it is not set.
        shared: what tables of one kind keep together, as connections to the same server; by kind.
    """

    warn: Callable[[str], None]
    base: Path
    open: Callable[[str], Table]
    parameter: Callable[[str], str | None] = lambda _: None
    shared: dict[str, list[Any]] = field(default_factory=dict)


class TableOpener:
    """Opens and keeps tables.

    Args:
        warn: takes the text of a warning for the log.
        extra: more types (``directory`` comes in here), by name.
        base: what relative file names start from; Postfix's daemons stand in ``queue_directory``.
        parameter: the text of a name in main.cf, for tables that have their settings there.
    """

    def __init__(
        self,
        warn: Callable[[str], None],
        extra: Mapping[str, Factory] | None = None,
        base: Path | None = None,
        parameter: Callable[[str], str | None] = lambda _: None,
    ) -> None:
        self._warn = warn
        self._base = base or Path("/")
        self._site = TableSite(warn, self._base, self.open, parameter)
        self._tables: dict[str, Table] = {}
        self._types: dict[str, Factory] = {
            "static": StaticTable,
            "inline": InlineTable,
            "unix": UnixTable,
            "environ": lambda name, _: EnvironTable(name, os.environ),
            "fail": lambda name, argument: FailTable(name, argument or "the table is made to fail"),
            "regexp": lambda name, argument: RegexpTable(name, self._path(argument), warn),
            "pcre": lambda name, argument: RegexpTable(name, self._path(argument), warn),
            "cidr": lambda name, argument: CidrTable(name, self._path(argument), warn),
            "proxy": lambda _, argument: self.open(argument),
            "proxywrite": lambda _, argument: self.open(argument),
            **dict.fromkeys(_FILE_TYPES, self._open_file),
            **(extra or {}),
        }

    @property
    def types(self) -> tuple[str, ...]:
        """The types that can be opened, for ``postconf -m``."""
        return tuple(sorted({*self._types, *MODULES}))

    def open(self, name: str) -> Table:
        """The table of ``type:name``; a bare file name is of the type hash."""
        table = self._tables.get(name)
        if table is None:
            table = self._tables[name] = self._make(name)
        return table

    async def close(self) -> None:
        """Give back what tables hold open: connections, files. The tables may still be asked; they open it again."""
        for table in self._tables.values():
            close = getattr(table, "close", None)
            if close is not None:
                await close()

    def _make(self, name: str) -> Table:
        kind, colon, argument = name.partition(":")
        if not colon:
            kind, argument = "hash", name
        try:
            factory = self._types.get(kind)
            if factory is not None:
                return factory(name, argument)
            return self._open_late(kind, name, argument)
        except (ValueError, OSError) as error:
            self._warn(str(error))
            return FailTable(name, str(error))

    def _open_late(self, kind: str, name: str, argument: str) -> Table:
        """Import the type's module and open the table with it. Raises ValueError and OSError."""
        if kind not in MODULES:
            raise ValueError(f"unsupported dictionary type: {kind}")
        try:
            table: Table = import_module(MODULES[kind]).open_table(name, argument, self._site)
        except ImportError as error:
            raise ValueError(f"unsupported dictionary type: {kind} ({error.name} is not installed)") from error
        return table

    def _path(self, argument: str) -> str:
        return argument if argument.startswith("{") else str(self._base / argument)

    def _open_file(self, name: str, argument: str) -> Table:
        return FileTable(name, self._base / argument, self._warn)
