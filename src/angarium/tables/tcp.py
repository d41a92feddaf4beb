"""``tcp:host:port``, tcp_table(5).

Keys are sent whole and as they are; parts of an address are never asked for. A question may take 100 seconds, as in
Postfix; a connection closes after a minute without use.
"""

from __future__ import annotations

from angarium.model.lookup import NOT_FOUND, Found, Lookup, TemporaryError
from angarium.protocols.lookup.tcp import LineReader, TcpReply, parse_reply, request
from angarium.tables.database.lookup import KEY_LIMIT, LookupFailedError, is_text, printable
from angarium.tables.database.servers import Limits, Server, ServerPool
from angarium.tables.database.stream import StreamConnection, StreamDriver
from angarium.tables.interface import Table
from angarium.tables.opener import TableSite

LIMITS = Limits(connect=100, query=100, retry_interval=1)

Connection = StreamConnection[LineReader]


def open_table(name: str, argument: str, site: TableSite) -> Table:
    """The table of ``tcp:argument``. Raises ValueError."""
    host, colon, port = argument.rpartition(":")
    if not colon or not port:
        raise ValueError(f"{name}: bad endpoint syntax: need tcp:host:port")
    return TcpTable(name, Server(argument, host=host.strip("[]") or "localhost", port=port), site)


class TcpTable:
    """The table of one server."""

    pattern = True

    def __init__(self, name: str, server: Server, site: TableSite, limits: Limits = LIMITS) -> None:
        self.name = name
        self._utf8 = site.utf8
        self._warn = site.warn
        self._pool: ServerPool[Connection] = ServerPool((server,), StreamDriver("tcp", LineReader), limits, site.warn)
        self.close = self._pool.close

    async def lookup(self, key: str) -> Lookup:
        """The server's answer for a key."""
        if self._utf8 and not is_text(key):
            self._warn(f'{self.name}: non-UTF-8 key "{printable(key)}": malformed UTF-8 or invalid codepoint')
            return NOT_FOUND
        if len(key) > KEY_LIMIT:
            return self._error(f"key of {len(key)} characters is too long")

        async def work(connection: Connection) -> TcpReply:
            def receive(data: bytes) -> TcpReply | None:
                lines = connection.parser.receive_data(data)
                return parse_reply(lines[0]) if lines else None

            return await connection.ask(request(key.encode("utf-8", "surrogateescape")), receive)

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
