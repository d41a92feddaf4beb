"""``socketmap:inet:host:port:name`` and ``socketmap:unix:path:name``, socketmap_table(5).

Keys are sent whole and as they are; parts of an address are never asked for. A question may take 100 seconds, as in
Postfix; a connection closes after 10 seconds without use.
"""

from __future__ import annotations

from angarium.model.lookup import NOT_FOUND, Found, Lookup, TemporaryError
from angarium.protocols.lookup.netstring import NetstringReader
from angarium.protocols.lookup.socketmap import REPLY_LIMIT, SocketmapReply, parse_reply, request
from angarium.tables.database.lookup import KEY_LIMIT, LookupFailedError, is_text, printable
from angarium.tables.database.servers import Limits, Server, ServerPool
from angarium.tables.database.stream import StreamConnection, StreamDriver
from angarium.tables.interface import Table
from angarium.tables.opener import TableSite

LIMITS = Limits(connect=100, query=100, idle_interval=10, retry_interval=1)

Connection = StreamConnection[NetstringReader]


def open_table(name: str, argument: str, site: TableSite) -> Table:
    """The table of ``socketmap:argument``. Raises ValueError."""
    endpoint, colon, mapname = argument.rpartition(":")
    kind, _, where = endpoint.partition(":")
    host, port_colon, port = where.rpartition(":")
    if kind == "unix" and where.startswith("/"):
        server = Server(where, path=where)
    elif kind == "inet" and port_colon and port:
        server = Server(where, host=host.strip("[]") or "localhost", port=port)
    else:
        raise ValueError(f"{name}: bad socketmap syntax: need inet:host:port:name or unix:/path:name")
    if not colon or not mapname:
        raise ValueError(f"{name}: bad socketmap syntax: the name of the map is missing")
    return SocketmapTable(name, mapname, server, site)


class SocketmapTable:
    """One map of a socketmap server."""

    pattern = True

    def __init__(self, name: str, mapname: str, server: Server, site: TableSite, limits: Limits = LIMITS) -> None:
        self.name = name
        self._mapname = mapname
        self._utf8 = site.utf8
        self._warn = site.warn
        self._pool = _pool(server, limits, site)
        self.close = self._pool.close

    async def lookup(self, key: str) -> Lookup:
        """The server's answer for a key."""
        if self._utf8 and not is_text(key):
            self._warn(f'{self.name}: non-UTF-8 key "{printable(key)}": malformed UTF-8 or invalid codepoint')
            return NOT_FOUND
        if len(key) > KEY_LIMIT:
            return self._error(f"key of {len(key)} characters is too long")

        async def work(connection: Connection) -> SocketmapReply:
            def receive(data: bytes) -> SocketmapReply | None:
                replies = connection.parser.receive_data(data)
                return parse_reply(replies[0]) if replies else None

            return await connection.ask(request(self._mapname, key.encode("utf-8", "surrogateescape")), receive)

        try:
            reply = await self._pool.run(self.name, work)
        except LookupFailedError as error:
            return TemporaryError(str(error), self.name)
        if reply.fault:
            return self._error(reply.fault)
        if reply.data is None:
            return NOT_FOUND
        value = reply.data.partition(b"\0")[0].decode("utf-8", "surrogateescape")
        if self._utf8 and not is_text(value):
            return self._error(f'key "{printable(key)}": non-UTF-8 value: malformed UTF-8')
        return Found(value, self.name)

    def _error(self, cause: str) -> TemporaryError:
        self._warn(f"{self.name}: {cause}")
        return TemporaryError(cause, self.name)


def _pool(server: Server, limits: Limits, site: TableSite) -> ServerPool[Connection]:
    """The connections to a server, shared by all its maps."""
    pools = site.shared.setdefault("socketmap", [])
    for known, pool in pools:
        if known == (server, limits):
            return pool  # type: ignore[no-any-return]  # the list is of this module's making
    driver = StreamDriver("socketmap", lambda: NetstringReader(REPLY_LIMIT))
    pool = ServerPool((server,), driver, limits, site.warn)
    pools.append(((server, limits), pool))
    return pool
