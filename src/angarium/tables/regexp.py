"""regexp_table(5)."""

from __future__ import annotations

from angarium.tables.interface import Table
from angarium.tables.opener import TableSite
from angarium.tables.patterns import RegexpTable


def open_table(name: str, argument: str, site: TableSite) -> Table:
    """Open it."""
    return RegexpTable(name, argument if argument.startswith("{") else str(site.base / argument), site.warn)
