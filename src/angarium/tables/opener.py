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

from angarium.tables.built import KINDS, BuiltTable
from angarium.tables.files import FileTable
from angarium.tables.interface import Table
from angarium.tables.keys import Fold, fold_ascii, fold_unicode, keep
from angarium.tables.simple import EnvironTable, FailTable, InlineTable, NisTable, StaticTable, UnixTable, UnusableTable

Factory = Callable[[str, str], Table]
"""``(full name, argument) -> table``; raises ValueError for an argument that makes no sense."""

MODULES: Mapping[str, str] = {
    "cidr": "angarium.tables.cidr",
    "ldap": "angarium.tables.ldap",
    "memcache": "angarium.tables.memcache",
    "mysql": "angarium.tables.mysql",
    "pcre": "angarium.tables.pcre",
    "pgsql": "angarium.tables.pgsql",
    "pipemap": "angarium.tables.composed",
    "randmap": "angarium.tables.composed",
    "regexp": "angarium.tables.regexp",
    "socketmap": "angarium.tables.socketmap",
    "sqlite": "angarium.tables.sqlite",
    "tcp": "angarium.tables.tcp",
    "unionmap": "angarium.tables.composed",
}
"""Types that are imported when the first table of them is opened."""


@dataclass(frozen=True, slots=True)
class TableSite:
    """What a table may need of the place where it is opened.

    Attributes:
        warn: takes the text of a warning for the log.
        base: what relative file names start from.
        open: opens another ``type:name``, for tables that are made of tables.
        make: the same, but raises ValueError and OSError where ``open`` gives a table that always fails.
        parameter: the expanded text of a name in main.cf; None when it is not set.
        shared: what tables of one kind keep together, as connections to the same server; by kind.
        utf8: ``smtputf8_enable``: keys and values are UTF-8.
        fold: folds the keys of tables of fixed strings.
        strict: opened by a command, which wants the built file of a table and no other.
        substitutes: results of patterns may hold what a key has matched (``$1``).
    """

    warn: Callable[[str], None]
    base: Path
    open: Callable[[str], Table]
    make: Callable[[str], Table]
    parameter: Callable[[str], str | None] = lambda _: None
    shared: dict[str, list[Any]] = field(default_factory=dict)
    utf8: bool = True
    fold: Fold = fold_unicode
    strict: bool = False
    substitutes: bool = True


class TableOpener:
    """Opens and keeps tables.

    Args:
        warn: takes the text of a warning for the log.
        extra: more types (``directory`` comes in here), by name.
        base: what relative file names start from; Postfix's daemons stand in ``queue_directory``.
        parameter: the text of a name in main.cf, for tables that have their settings there.
        utf8: ``smtputf8_enable``: keys and values are UTF-8.
        strict: opened by a command, which wants the built file of a table and no other.
        default_type: ``default_database_type``, of a bare file name.
        folds: False leaves keys as they are.
        substitutes: False skips rules of patterns whose result holds what a key has matched: where senders choose the
            key and the value is the name of a file or a user.
    """

    def __init__(
        self,
        warn: Callable[[str], None],
        extra: Mapping[str, Factory] | None = None,
        base: Path | None = None,
        parameter: Callable[[str], str | None] = lambda _: None,
        *,
        utf8: bool = True,
        strict: bool = False,
        default_type: str = "hash",
        folds: bool = True,
        substitutes: bool = True,
    ) -> None:
        fold = keep if not folds else fold_unicode if utf8 else fold_ascii
        self._warn = warn
        self._base = Path("/") if base is None else base
        self._site = TableSite(
            warn,
            self._base,
            self.open,
            self.make,
            parameter,
            utf8=utf8,
            fold=fold,
            strict=strict,
            substitutes=substitutes,
        )
        self._default_type = default_type
        self._tables: dict[str, Table] = {}
        opens = self.make if strict else self.open
        self._types: dict[str, Factory] = {
            "static": StaticTable,
            "inline": lambda name, argument: InlineTable(name, argument, fold),
            "unix": lambda name, argument: UnixTable(name, argument, fold),
            "environ": lambda name, _: EnvironTable(name, os.environ, fold),
            "nis": lambda name, _: NisTable(name, warn),
            "fail": FailTable,
            "texthash": lambda name, argument: FileTable(name, self._base / argument, warn, utf8=utf8, fold=fold),
            "proxy": lambda _, argument: opens(argument),
            "proxywrite": lambda _, argument: opens(argument),
            **dict.fromkeys(KINDS, self._open_built),
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
        try:
            return self.make(name)
        except (ValueError, OSError) as error:
            self._warn(str(error))
            return UnusableTable(name, str(error))

    def make(self, name: str) -> Table:
        """Open a table that is not kept. Raises ValueError and OSError where ``open`` gives a table that fails."""
        kind, colon, argument = name.partition(":")
        if not colon:
            kind, argument = self._default_type, name
        if not argument or not kind:
            raise ValueError(f'open dictionary: expecting "type:name" form instead of "{name}"')
        factory = self._types.get(kind)
        if factory is not None:
            return factory(name, argument)
        return self._open_late(kind, name, argument)

    def _open_late(self, kind: str, name: str, argument: str) -> Table:
        """Import the type's module and open the table with it. Raises ValueError and OSError."""
        if kind not in MODULES:
            raise ValueError(f"unsupported dictionary type: {kind}")
        try:
            table: Table = import_module(MODULES[kind]).open_table(name, argument, self._site)
        except ImportError as error:
            raise ValueError(f"unsupported dictionary type: {kind} ({error.name} is not installed)") from error
        return table

    def _open_built(self, name: str, argument: str) -> Table:
        kind = KINDS[name.partition(":")[0] if ":" in name else self._default_type]
        site = self._site
        return BuiltTable(
            name, kind, self._base / argument, site.warn, utf8=site.utf8, fold=site.fold, strict=site.strict
        )
