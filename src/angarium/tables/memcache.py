"""``memcache:``, memcache_table(5): a cache, with another table behind it if there is one.

Settings: memcache, backup, flags, ttl, key_format, domain, data_size_limit, line_size_limit, max_try, retry_pause,
timeout. A key with white space or control characters is not there, be there a backup or not, as in Postfix; one of more
than 250 bytes is asked of the backup alone. What the backup finds is stored in memcached; that this fails is a warning
and no more.

Only lookups are done here; updates are for Postfix's own caches (postscreen, verify).
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from angarium.model.lookup import NOT_FOUND, Found, Lookup, TemporaryError
from angarium.protocols.lookup import memcache as protocol
from angarium.protocols.lookup.memcache import MemcacheReader, Status, Value
from angarium.tables.database.lookup import DatabaseTable, LookupFailedError, LookupRules, parse_template, printable
from angarium.tables.database.servers import Limits, Server, ServerPool
from angarium.tables.database.source import TableSource
from angarium.tables.database.stream import StreamConnection, StreamDriver
from angarium.tables.database.template import KeyParts, Template
from angarium.tables.database.watched import open_watched
from angarium.tables.interface import Table
from angarium.tables.opener import TableSite

Connection = StreamConnection[MemcacheReader]


@dataclass(frozen=True, slots=True)
class MemcacheSettings:
    """The settings of a table. Times in seconds, sizes in bytes."""

    server: Server
    key_format: Template
    flags: int
    ttl: int
    data_limit: int
    line_limit: int
    max_try: int
    retry_pause: float
    timeout: float

    @classmethod
    def read(cls, source: TableSource) -> MemcacheSettings:
        """Raises ValueError."""
        return cls(
            server=_server(source.text("memcache") or "inet:localhost:11211"),
            key_format=parse_template(source, source.text("key_format", "%s", required=True)),
            flags=source.integer("flags", 0, 0),
            ttl=source.integer("ttl", 3600, 0),
            data_limit=source.integer("data_size_limit", 10240, 1),
            line_limit=source.integer("line_size_limit", 1024, 1),
            max_try=source.integer("max_try", 2, 1, 100),
            retry_pause=source.seconds("retry_pause", 1),
            timeout=source.seconds("timeout", 2),
        )


def _server(text: str) -> Server:
    kind, _, where = text.partition(":")
    if kind == "unix" and where:
        return Server(where, path=where)
    host, colon, port = where.rpartition(":")
    if kind == "inet" and colon and port:
        return Server(where, host=host.strip("[]") or "localhost", port=port)
    raise ValueError(f"bad memcache server: {text}: need inet:host:port or unix:/path")


def open_table(name: str, argument: str, site: TableSite) -> Table:
    """The table of ``memcache:argument``, which follows its file. Raises ValueError for settings that make no sense."""
    return open_watched(name, argument, site, _make)


def _make(name: str, argument: str, site: TableSite) -> Table:
    """The table of ``memcache:argument``. Raises ValueError."""
    source = TableSource("memcache", argument, site)
    settings = MemcacheSettings.read(source)
    rules = LookupRules.read(source, site, settings.key_format, fixed=True)
    backup = source.text("backup")
    asker = MemcacheAsker(name, settings, site.open(backup) if backup else None, site)
    return DatabaseTable(name, rules, asker.ask, site, asker.close)


class MemcacheAsker:
    """Asks memcached, then the backup."""

    def __init__(self, name: str, settings: MemcacheSettings, backup: Table | None, site: TableSite) -> None:
        self._name = name
        self._settings = settings
        self._backup = backup
        self._warn = site.warn
        limits = Limits(settings.timeout, settings.timeout, retry_interval=0)
        driver = StreamDriver("memcache", lambda: MemcacheReader(settings.line_limit, settings.data_limit))
        self._pool: ServerPool[Connection] = ServerPool((settings.server,), driver, limits, site.warn)
        self.close = self._pool.close

    async def ask(self, key: KeyParts) -> list[str | None]:
        """The value, if there is one. Raises LookupFailedError."""
        cached = key.expand(self._settings.key_format).encode()
        if not protocol.is_key(cached):
            return []
        possible = len(cached) <= protocol.LONGEST_KEY
        try:
            data = (await self._run(protocol.get(cached))).data if possible else None
        except LookupFailedError:
            if self._backup is None:
                raise
            data = None
        if data is not None:
            if not data:
                self._warn(f"{self._name}: key {printable(key.parts.whole)}: empty string result is not allowed")
                raise LookupFailedError("empty string result is not allowed")
            return [data.decode("utf-8", "surrogateescape")]
        found = await self._ask_backup(key.parts.whole)
        if isinstance(found, Found):
            if possible:
                await self._store(cached, found.value)
            return [found.value]
        return []

    async def _ask_backup(self, key: str) -> Lookup:
        if self._backup is None:
            return NOT_FOUND
        answer = await self._backup.lookup(key)
        if isinstance(answer, TemporaryError):
            raise LookupFailedError(f"{answer.source}: {answer.cause}")
        return answer

    async def _store(self, key: bytes, value: str) -> None:
        data = value.encode("utf-8", "surrogateescape")
        if len(data) > self._settings.data_limit:
            return
        settings = self._settings

        async def work(connection: Connection) -> Value | Status:
            connection.parser.expect_status()
            request = protocol.store(key, data, settings.flags, settings.ttl)
            return await connection.ask(request, connection.parser.receive_data)

        try:
            reply = await self._pool.run(self._name, work)
        except LookupFailedError:
            return  # the warning is in the log
        if reply != Status("STORED"):
            self._warn(f"{self._name}: update failed: {reply}")

    async def _run(self, request: bytes) -> Value:
        """A ``get``, tried ``max_try`` times."""

        async def work(connection: Connection) -> Value | Status:
            connection.parser.expect_value()
            return await connection.ask(request, connection.parser.receive_data)

        for left in range(self._settings.max_try - 1, -1, -1):
            try:
                answer = await self._pool.run(self._name, work)
            except LookupFailedError as error:
                # No point in asking again where nobody listens (memcache_table(5), max_try).
                if left == 0 or str(error).startswith("connect to"):
                    raise
                await asyncio.sleep(self._settings.retry_pause)
            else:
                assert isinstance(answer, Value)
                return answer
        raise AssertionError("max_try is at least 1")
