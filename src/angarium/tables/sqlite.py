"""``sqlite:``, sqlite_table(5): a lookup is a query in a SQLite database.

Settings: dbpath, query, result_format, domain, expansion_limit; select_field, table, where_field and
additional_conditions where there is no query. ``query_timeout`` (10 s) is ours.

A row's first column counts. Of several statements the first alone is run. The database is opened read-only.
Quoting: a quote is doubled, which is all that a SQLite string literal knows.
"""

from __future__ import annotations

from angarium.runtime.sqlite import SqlError
from angarium.runtime.sqlite_reader import InterruptError, SqliteReader
from angarium.tables.database.legacy import query_text
from angarium.tables.database.lookup import RESULT_LIMIT, DatabaseTable, LookupFailedError, LookupRules, parse_template
from angarium.tables.database.source import TableSource
from angarium.tables.database.template import KeyParts
from angarium.tables.database.watched import open_watched
from angarium.tables.interface import Table
from angarium.tables.opener import TableSite


def open_table(name: str, argument: str, site: TableSite) -> Table:
    """The table of ``sqlite:argument``, which follows its file. Raises ValueError for settings that make no sense."""
    return open_watched(name, argument, site, _make)


def _make(name: str, argument: str, site: TableSite) -> Table:
    """The table of ``sqlite:argument``. Raises ValueError for settings that make no sense."""
    source = TableSource("sqlite", argument, site)
    query = parse_template(source, query_text(source))
    rules = LookupRules.read(source, site, query)
    timeout = source.seconds("query_timeout", 10)
    path = site.base / source.text("dbpath", required=True)
    reader = SqliteReader(path, timeout, RESULT_LIMIT)

    async def ask(key: KeyParts) -> list[str | None]:
        try:
            return await reader.column(key.expand(query, quote))
        except InterruptError:
            cause = f"query took longer than {timeout:g} seconds"
        except SqlError as error:
            cause = f"query failed: {error}"
        site.warn(f"{name}: {cause}")
        raise LookupFailedError(cause)

    async def close() -> None:
        reader.close()

    return DatabaseTable(name, rules, ask, site, close)


def quote(text: str) -> str:
    """A piece of a SQLite string literal."""
    return text.replace("'", "''")
