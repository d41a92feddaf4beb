"""The query of an SQL table, from ``query`` or from the settings that Postfix had before 2.2."""

from __future__ import annotations

from angarium.tables.database.source import TableSource


def query_text(source: TableSource, *, functions: bool = False) -> str:
    """The template of the query.

    Args:
        source: the table's settings.
        functions: ``select_function`` counts too (pgsql_table(5)).

    Raises:
        ValueError: there is neither a query nor what makes one.
    """
    query = source.text("query")
    if query:
        return query
    function = source.text("select_function") if functions else ""
    if function:
        return f"SELECT {function}('%s')"
    # The pieces are part of the template: a % of their own is written %%, as Postfix has it.
    table = source.text("table", required=True)
    select = source.text("select_field", required=True)
    where = source.text("where_field", required=True)
    more = source.text("additional_conditions")
    return f"SELECT {select} FROM {table} WHERE {where}='%s' {more}"  # noqa: S608 - the administrator's own text
