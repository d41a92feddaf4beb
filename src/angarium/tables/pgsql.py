r"""``pgsql:``, pgsql_table(5): a lookup is a query at a PostgreSQL server.

Settings: hosts (also ``postgresql://`` URIs), user, password, dbname, query, result_format, domain, expansion_limit,
idle_interval, retry_interval; select_function, or select_field, table, where_field and additional_conditions, where
there is no query. ``encoding`` has no effect: text is UTF-8 here, and the server converts. ``connect_timeout`` and
``query_timeout`` (10 s) are ours.

The query is sent inside ``COPY (…) TO STDOUT``: one round trip, every value as the text that the server itself writes
for its type, and an answer that can be stopped when it grows too large. So it is one SELECT, VALUES, or a statement
with RETURNING; Postfix would take several statements.

Quoting: a quote is doubled, and ``\`` too when the session has ``standard_conforming_strings = off``.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from typing import Any

from angarium.protocols.sasl.types import Secret
from angarium.tables.database.legacy import query_text
from angarium.tables.database.lookup import RESULT_LIMIT, DatabaseTable, LookupRules, parse_template
from angarium.tables.database.servers import Limits, QueryError, Server, ServerError, ServerPool, parse_server
from angarium.tables.database.source import TableSource
from angarium.tables.database.template import KeyParts, Template
from angarium.tables.database.watched import open_watched
from angarium.tables.interface import Table
from angarium.tables.opener import TableSite

try:
    import asyncpg  # type: ignore[import-untyped,import-not-found,unused-ignore]  # it has no types, or is not there
except ImportError as error:
    raise ImportError(str(error), name="angarium[pgsql]") from error  # the extra that brings it

_URI = ("postgresql://", "postgres://")
_ESCAPE = re.compile(rb"\\(.)", re.DOTALL)
_ESCAPES = {b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"}
_NULL = rb"\N"


@dataclass(frozen=True, slots=True)
class PgsqlSettings:
    """What decides whether two tables may share connections. A URI may hold a password, so ``hosts`` does not print."""

    hosts: Secret
    user: str
    password: Secret | None
    database: str
    limits: Limits

    @classmethod
    def read(cls, source: TableSource) -> PgsqlSettings:
        """The settings of a table. Raises ValueError."""
        hosts = source.secret("hosts") or Secret("localhost")
        # A URI has the name in it; Postfix wants dbname all the same.
        named = all(word.startswith(_URI) for word in hosts.reveal().replace(",", " ").split())
        return cls(
            hosts=hosts,
            user=source.text("user"),
            password=source.secret("password"),
            database=source.text("dbname", required=not named),
            limits=Limits(
                source.seconds("connect_timeout", 10),
                source.seconds("query_timeout", 10),
                source.seconds("idle_interval", 60),
                source.seconds("retry_interval", 60),
            ),
        )

    def servers(self) -> tuple[tuple[Server, str], ...]:
        """Each server, and its URI; empty when it has none."""
        words = self.hosts.reveal().replace(",", " ").split()
        return tuple(
            (Server(_without_password(word), host=f"uri{number}"), word)
            if word.startswith(_URI)
            else (parse_server(word), "")
            for number, word in enumerate(words)
        )


def _without_password(uri: str) -> str:
    """A URI as it may be shown."""
    text = re.sub(r"//([^:@/?]*):[^@/?]*@", r"//\1@", uri)
    return re.sub(r"([?&]password=)[^&]*", r"\1…", text)


class PgsqlDriver:
    """Connections to PostgreSQL."""

    kind = "pgsql"

    def __init__(self, settings: PgsqlSettings) -> None:
        self._settings = settings
        self._uris = {server: uri for server, uri in settings.servers() if uri}
        self._ending: set[asyncio.Task[None]] = set()

    async def connect(self, server: Server) -> Any:
        """Raises ServerError."""
        settings = self._settings
        password = settings.password.reveal() if settings.password else None
        uri = self._uris.get(server)
        where: dict[str, Any] = {"dsn": uri} if uri else {"host": server.path or server.host}
        if server.port:
            where["port"] = int(server.port) if server.port.isdecimal() else server.port
        try:
            return await asyncpg.connect(
                **where,
                user=settings.user or None,
                password=password,
                database=settings.database or None,
                timeout=settings.limits.connect,
                statement_cache_size=0,
            )
        except (OSError, ValueError, TypeError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise ServerError(_text(error)) from error
        except asyncpg.InternalClientError as error:
            raise ServerError(f"broken answer: {_text(error)}") from error

    def discard(self, connection: Any) -> None:
        """Cut it off, in a moment: the driver first tells the server to give up a query that nobody waits for."""
        task = asyncio.get_running_loop().create_task(self.close(connection))
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def close(self, connection: Any) -> None:
        """Say good-bye, for two seconds at most."""
        try:
            await connection.close(timeout=2)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError):
            connection.terminate()

    async def settle(self) -> None:
        """Wait for what ``discard`` has begun."""
        if self._ending:
            await asyncio.gather(*self._ending, return_exceptions=True)


async def copy_out(connection: Any, sql: str) -> list[str | None]:
    """All columns of all rows of a query.

    Raises:
        ServerError: the connection broke.
        QueryError: the server refused, or the answer is too large.
    """
    answer = bytearray()

    async def take(chunk: bytes) -> None:
        answer.extend(chunk)
        if len(answer) > RESULT_LIMIT:
            raise QueryError("the result is too large", broken=True)

    try:
        # The line end closes a comment that may end the query.
        await connection.copy_from_query(sql.rstrip("; \t\r\n") + "\n", output=take)
    except (asyncpg.PostgresConnectionError, asyncpg.InterfaceError, asyncpg.OperatorInterventionError) as error:
        raise ServerError(_text(error)) from error
    except asyncpg.PostgresError as error:
        raise QueryError(_text(error)) from error
    except (OSError, asyncpg.InternalClientError, UnicodeError) as error:
        raise ServerError(f"broken answer: {_text(error)}") from error
    return decode(bytes(answer))


def decode(answer: bytes) -> list[str | None]:
    """The columns of COPY's text format."""
    return [
        None if column == _NULL else _unescape(column).decode("utf-8", "surrogateescape")
        for line in answer.split(b"\n")[:-1]
        for column in line.split(b"\t")
    ]


def _unescape(column: bytes) -> bytes:
    if b"\\" not in column:
        return column
    return _ESCAPE.sub(lambda found: _ESCAPES.get(found[1], found[1]), column)


def quoting(connection: Any) -> Any:
    """What makes a piece of a string literal for this session."""
    if connection.get_settings().standard_conforming_strings == "on":
        return quote
    return quote_backslash


def quote(text: str) -> str:
    """A piece of a standard string literal."""
    return text.replace("'", "''")


def quote_backslash(text: str) -> str:
    """A piece of a string literal in which a backslash escapes."""
    return text.replace("\\", "\\\\").replace("'", "''")


def _text(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def open_table(name: str, argument: str, site: TableSite) -> Table:
    """The table of ``pgsql:argument``, which follows its file. Raises ValueError for settings that make no sense."""
    return open_watched(name, argument, site, _make)


def _make(name: str, argument: str, site: TableSite) -> Table:
    """The table of ``pgsql:argument``. Raises ValueError for settings that make no sense."""
    source = TableSource("pgsql", argument, site)
    query = parse_template(source, query_text(source, functions=True))
    rules = LookupRules.read(source, site, query)
    pool = _pool(PgsqlSettings.read(source), site)
    return DatabaseTable(name, rules, PgsqlAsker(name, query, pool).ask, site, pool.close)


def _pool(settings: PgsqlSettings, site: TableSite) -> ServerPool[Any]:
    """The pool of these settings, shared by all tables that have the same."""
    pools = site.shared.setdefault("pgsql", [])
    for known, pool in pools:
        if known == settings:
            return pool  # type: ignore[no-any-return]  # the list is of this module's making
    servers = [server for server, _ in settings.servers()]
    pool = ServerPool(servers, PgsqlDriver(settings), settings.limits, site.warn)
    pools.append((settings, pool))
    return pool


@dataclass(frozen=True, slots=True)
class PgsqlAsker:
    """Asks the query of one table."""

    name: str
    query: Template
    pool: ServerPool[Any]

    async def ask(self, key: KeyParts) -> list[str | None]:
        """The values. Raises LookupFailedError."""

        async def work(connection: Any) -> list[str | None]:
            return await copy_out(connection, key.expand(self.query, quoting(connection)))

        return await self.pool.run(self.name, work)
