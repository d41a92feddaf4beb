r"""``mysql:``, mysql_table(5): a lookup is a query at a MySQL or MariaDB server.

Settings: hosts, user, password, dbname, query, result_format, domain, expansion_limit, option_file, option_group,
require_result_set, tls_cert_file, tls_key_file, tls_CAfile, tls_CApath, tls_ciphers, tls_verify_cert, charset,
idle_interval, retry_interval; select_field, table, where_field and additional_conditions where there is no query.
``connect_timeout`` and ``query_timeout`` (10 s) are ours.

The driver (PyMySQL) blocks, so each pool has a few threads of its own. Every column of every row counts, as the text
that the server sends. Quoting is the connection's: it knows whether the server takes ``\`` for an escape.

TLS is used when a tls_ setting (or the option file) asks for it, and then the connection fails without it.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from angarium.protocols.sasl.types import Secret
from angarium.tables.database.legacy import query_text
from angarium.tables.database.lookup import RESULT_LIMIT, DatabaseTable, LookupRules, parse_template
from angarium.tables.database.optionfile import read_options
from angarium.tables.database.servers import Limits, QueryError, Server, ServerError, ServerPool, parse_server
from angarium.tables.database.source import TableSource
from angarium.tables.database.template import KeyParts, Template
from angarium.tables.database.tls import ClientTls, client_context
from angarium.tables.database.watched import open_watched
from angarium.tables.interface import Table
from angarium.tables.opener import TableSite

# The library has no types, or is not there: hence what is ignored.
try:
    import pymysql  # type: ignore[import-untyped,import-not-found,unused-ignore]
    from pymysql.charset import charset_by_name  # type: ignore[import-untyped,import-not-found,unused-ignore]
    from pymysql.connections import Connection  # type: ignore[import-untyped,import-not-found,unused-ignore]
    from pymysql.constants import CR  # type: ignore[import-untyped,import-not-found,unused-ignore]
    from pymysql.cursors import SSCursor  # type: ignore[import-untyped,import-not-found,unused-ignore]
except ImportError as error:
    raise ImportError(str(error), name="angarium[mysql]") from error  # the extra that brings it

T = TypeVar("T")
Column = bytes | None

DEFAULT_PORT = 3306
DEFAULT_SOCKETS = ("/run/mysqld/mysqld.sock", "/var/lib/mysql/mysql.sock", "/tmp/mysql.sock")  # noqa: S108 - the client library's own list
_ROWS = 1000


@dataclass(frozen=True, slots=True)
class MysqlSettings:
    """What decides whether two tables may share connections."""

    servers: tuple[Server, ...]
    user: str
    password: Secret | None
    database: str
    charset: str
    tls: ClientTls | None
    limits: Limits
    default_socket: str
    default_port: int

    @classmethod
    def read(cls, source: TableSource) -> MysqlSettings:
        """The settings of a table; the option file fills in what they leave out. Raises ValueError, OSError."""
        options = read_options(source.text("option_file"), source.text("option_group", "client"))
        hosts = source.names("hosts") or (options.get("host", "localhost"),)
        password = source.secret("password")
        if password is None and "password" in options:
            password = Secret(options["password"])
        return cls(
            servers=tuple(parse_server(host) for host in hosts),
            user=source.text("user") or options.get("user", ""),
            password=password,
            database=source.text("dbname", required=True),
            charset=_charset(source.text("charset") or "utf8mb4"),
            tls=_tls(source, options),
            limits=Limits(
                source.seconds("connect_timeout", 10),
                source.seconds("query_timeout", 10),
                source.seconds("idle_interval", 60),
                source.seconds("retry_interval", 60),
            ),
            default_socket=options.get("socket", ""),
            default_port=int(options["port"]) if options.get("port", "").isdecimal() else DEFAULT_PORT,
        )


def _charset(name: str) -> str:
    """A character set that the driver knows. Raises ValueError."""
    try:
        known = charset_by_name(name) is not None
    except KeyError:
        known = False
    if not known:
        raise ValueError(f"unknown character set: charset = {name}")
    return name


def _tls(source: TableSource, options: Mapping[str, str]) -> ClientTls | None:
    tls = ClientTls(
        ca_file=source.text("tls_CAfile") or options.get("ssl-ca", ""),
        ca_path=source.text("tls_CApath") or options.get("ssl-capath", ""),
        cert_file=source.text("tls_cert_file") or options.get("ssl-cert", ""),
        key_file=source.text("tls_key_file") or options.get("ssl-key", ""),
        ciphers=source.text("tls_ciphers") or options.get("ssl-cipher", ""),
        verify_name=source.boolean("tls_verify_cert", default=False),
    )
    return tls if tls.wanted else None


class MysqlConnection:
    """One connection. Its methods block: they run on the pool's threads."""

    def __init__(self, settings: MysqlSettings, server: Server, context: ssl.SSLContext | None) -> None:
        self._settings = settings
        self._context = context
        self._server = server
        path, host, port = _endpoint(settings, server)
        password = settings.password
        self.cut = False
        self._asking = False
        self._interrupted = False
        self._raw: Connection[Any] = Connection(
            user=settings.user or None,
            password=password.reveal().encode("utf-8", "surrogateescape") if password else b"",
            host=host,
            unix_socket=path,
            port=port,
            database=settings.database,
            charset=settings.charset,
            conv={},
            use_unicode=False,
            autocommit=None,
            cursorclass=SSCursor,
            connect_timeout=max(1, int(settings.limits.connect)),
            # The pool's own limit comes first, and cuts the connection off; this is for a thread that nobody minds.
            read_timeout=settings.limits.query + 2,
            write_timeout=settings.limits.query + 2,
            ssl=context,
            ssl_disabled=context is None,
            defer_connect=True,
        )

    def open(self) -> None:
        """Connect and log in. Raises ServerError."""
        try:
            self._raw.connect()
        except (pymysql.Error, OSError, ValueError, RuntimeError) as error:
            raise ServerError(_text(error)) from error

    def rows(self, query: Callable[[Callable[[str], str]], str], *, result_wanted: bool) -> list[Column]:
        """All columns of all rows of the one result set.

        Args:
            query: makes the text, given what quotes a piece of it.
            result_wanted: no result set is an error.

        Raises:
            ServerError: the connection broke.
            QueryError: the server refused, or there is not one result set.
        """
        self._asking = True
        try:
            return self._rows(query(self._quote), result_wanted=result_wanted)
        except (OSError, pymysql.InterfaceError) as error:
            raise ServerError(_text(error)) from error
        except pymysql.MySQLError as error:
            code = error.args[0] if error.args else None
            if isinstance(code, int) and (CR.CR_ERROR_FIRST <= code <= CR.CR_ERROR_LAST or code == 0):
                raise ServerError(_text(error)) from error
            raise QueryError(_text(error)) from error
        except (UnicodeError, IndexError, AttributeError, ValueError) as error:
            # What the driver does with an answer that is no MySQL, or when it was cut off.
            raise ServerError(f"broken answer: {error}") from error
        finally:
            self._asking = False

    def _quote(self, text: str) -> str:
        return str(self._raw.escape(text))[1:-1]  # the driver puts the quotes around it; the template has its own

    def _rows(self, sql: str, *, result_wanted: bool) -> list[Column]:
        cursor = self._raw.cursor()
        try:
            cursor.execute(sql)
            result = self._columns(cursor)
            while cursor.nextset():
                more = self._columns(cursor)
                if more is not None and result is not None:
                    raise QueryError("query returned multiple result sets", broken=True)
                result = more if result is None else result
        except BaseException:
            _forget(cursor)
            raise
        cursor.close()
        if result is None and result_wanted:
            raise QueryError("query returned no result set (require_result_set = yes)")
        return result or []

    @staticmethod
    def _columns(cursor: Any) -> list[Column] | None:
        """The columns of one result set; None when it is none."""
        if cursor.description is None:
            return None
        out: list[Column] = []
        size = 0
        while rows := cursor.fetchmany(_ROWS):
            for row in rows:
                out.extend(row)
                size += sum(len(column) if column else 1 for column in row)
            if size > RESULT_LIMIT:
                raise QueryError("the result is too large", broken=True)
        return out

    def quit(self) -> None:
        """Say good-bye."""
        with contextlib.suppress(pymysql.Error, OSError, AttributeError):
            self._raw.close()

    def end(self) -> None:
        """After ``abort``: close it, and tell the server to give up a query that nobody waits for."""
        self.quit()
        if not self._interrupted:
            return
        messenger = MysqlConnection(self._settings, self._server, self._context)
        try:
            messenger.open()
            messenger._raw.kill(self._raw.thread_id())
        except (ServerError, pymysql.Error, OSError, LookupError, AttributeError, ValueError):
            pass  # the query ends by itself, or the server is gone
        finally:
            messenger.quit()

    def abort(self) -> None:
        """End it from another thread: a call that waits on the socket returns."""
        self.cut = True
        self._interrupted = self._asking
        raw = getattr(self._raw, "_sock", None)
        if raw is not None:
            with contextlib.suppress(OSError):
                raw.shutdown(socket.SHUT_RDWR)


class MysqlDriver:
    """Connections of one kind, on threads of their own."""

    kind = "mysql"

    def __init__(self, settings: MysqlSettings) -> None:
        self._settings = settings
        self._context: ssl.SSLContext | None = None
        self._lock = threading.Lock()
        # One more than there are connections: a connection that was cut off may hold its thread for a moment.
        self._executor = ThreadPoolExecutor(settings.limits.connections + 1, "mysql")

    async def run(self, call: Callable[[], T]) -> T:
        """A blocking call on one of the threads."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, call)

    async def connect(self, server: Server) -> MysqlConnection:
        """Raises ServerError."""
        try:
            if self._settings.tls is not None and self._context is None:
                self._context = client_context(self._settings.tls)
        except OSError as error:
            raise ServerError(f"TLS: {error}") from error
        connection = MysqlConnection(self._settings, server, self._context)

        def open_it() -> None:
            connection.open()
            if connection.cut:  # nobody waits for it any more
                connection.quit()

        try:
            await self.run(open_it)
        except asyncio.CancelledError:
            connection.abort()
            raise
        return connection

    def discard(self, connection: MysqlConnection) -> None:
        """Cut it off. Its thread, should it have one, closes it."""
        connection.abort()
        with contextlib.suppress(RuntimeError):  # at the end of the program there are no threads any more
            self._executor.submit(connection.end)

    async def settle(self) -> None:
        """Nothing goes on after ``discard`` but on a thread."""

    async def close(self, connection: MysqlConnection) -> None:
        """Say good-bye."""
        await self.run(connection.quit)


def _forget(cursor: Any) -> None:
    """Keep the driver from reading the rest of an answer, on any thread, when it collects what belongs to it."""
    result = cursor._result  # noqa: SLF001 - there is no other way to it
    if result is not None:
        result.unbuffered_active = False
        result.connection = None
    cursor.connection = None


def _endpoint(settings: MysqlSettings, server: Server) -> tuple[str | None, str, int]:
    """(path, host, port). A server called localhost is on the default UNIX-domain socket, as mysql_table(5) notes."""
    if server.path:
        return server.path, "localhost", 0
    if server.host.lower() == "localhost":
        return settings.default_socket or _default_socket(), "localhost", 0
    if server.port and not server.port.isdecimal():
        with contextlib.suppress(OSError):
            return None, server.host, socket.getservbyname(server.port, "tcp")
    return None, server.host, int(server.port) if server.port.isdecimal() else settings.default_port


def _default_socket() -> str:
    from pathlib import Path  # late: wanted for this rare case alone

    return next((path for path in DEFAULT_SOCKETS if Path(path).exists()), DEFAULT_SOCKETS[0])


def _text(error: BaseException) -> str:
    """The server's words, without the driver's tuple around them."""
    args = error.args
    if len(args) > 1 and isinstance(args[0], int):
        return str(args[1])
    return str(args[0]) if args and args[0] else type(error).__name__


def open_table(name: str, argument: str, site: TableSite) -> Table:
    """The table of ``mysql:argument``, which follows its file. Raises ValueError for settings that make no sense."""
    return open_watched(name, argument, site, _make)


def _make(name: str, argument: str, site: TableSite) -> Table:
    """The table of ``mysql:argument``. Raises ValueError for settings that make no sense."""
    source = TableSource("mysql", argument, site)
    query = parse_template(source, query_text(source))
    rules = LookupRules.read(source, site, query)
    result_wanted = source.boolean("require_result_set", default=True)
    settings = MysqlSettings.read(source)
    driver, pool = _pool(settings, site)
    asker = MysqlAsker(name, query, driver, pool, result_wanted=result_wanted)
    return DatabaseTable(name, rules, asker.ask, site, pool.close)


def _pool(settings: MysqlSettings, site: TableSite) -> tuple[MysqlDriver, ServerPool[MysqlConnection]]:
    """The pool of these settings, shared by all tables that have the same."""
    pools = site.shared.setdefault("mysql", [])
    for known, driver, pool in pools:
        if known == settings:
            return driver, pool
    driver = MysqlDriver(settings)
    pool = ServerPool(settings.servers, driver, settings.limits, site.warn)
    pools.append((settings, driver, pool))
    return driver, pool


@dataclass(frozen=True, slots=True)
class MysqlAsker:
    """Asks the query of one table."""

    name: str
    query: Template
    driver: MysqlDriver
    pool: ServerPool[MysqlConnection]
    result_wanted: bool

    async def ask(self, key: KeyParts) -> list[str | None]:
        """The values. Raises LookupFailedError."""

        def text(quote: Callable[[str], str]) -> str:
            return key.expand(self.query, quote)

        async def work(connection: MysqlConnection) -> list[Column]:
            return await self.driver.run(lambda: connection.rows(text, result_wanted=self.result_wanted))

        columns = await self.pool.run(self.name, work)
        return [None if column is None else column.decode("utf-8", "surrogateescape") for column in columns]
