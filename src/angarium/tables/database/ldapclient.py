"""Connections to LDAP servers: connect, TLS, log in, search.

The protocol is ``protocols.ldap``. One request is under way on a connection at a time.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Callable
from dataclasses import dataclass

from angarium.protocols.ldap import filter as filters
from angarium.protocols.ldap import messages, url
from angarium.protocols.ldap.ber import BerError
from angarium.protocols.ldap.filter import FilterError
from angarium.protocols.ldap.messages import (
    Entry,
    LdapReader,
    Message,
    Operation,
    Reference,
    Result,
    ResultCode,
    Scope,
    Search,
)
from angarium.protocols.ldap.url import LdapUrl
from angarium.protocols.sasl.types import Secret
from angarium.runtime.closing import close_stream
from angarium.tables.database.servers import QueryError, Server, ServerError, system_text
from angarium.tables.database.tls import ClientTls, client_context

_CHUNK = 65536
_ENTRIES_LIMIT = 64 * 1024 * 1024
_DEFAULT_SOCKETS = "/var/run/slapd/ldapi"
_REFERRAL_HOPS = 5


@dataclass(frozen=True, slots=True)
class LdapLogin:
    """How to log in.

    Attributes:
        kind: ``no``, ``simple`` or the SASL mechanism.
        name: the DN.
        password: None: none.
        authorization: the SASL authorization identity.
    """

    kind: str = "no"
    name: str = ""
    password: Secret | None = None
    authorization: str = ""


@dataclass(frozen=True, slots=True)
class LdapOptions:
    """What connections of a table have in common.

    Attributes:
        version: of the protocol, 2 or 3.
        login: how to log in.
        start_tls: ask for TLS after connecting.
        tls: how to do TLS, then and with ldaps.
        timeout: seconds for one search.
        chase_referrals: ask the servers that a server refers to, as nobody.
    """

    version: int
    login: LdapLogin
    start_tls: bool
    tls: ClientTls
    timeout: float
    chase_referrals: bool = False


class LdapConnection:
    """One connection, logged in."""

    def __init__(self, options: LdapOptions, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._options = options
        self._reader = reader
        self._writer = writer
        self._parser = LdapReader()
        self._number = 0

    async def prepare(self, host: str, context: Callable[[], ssl.SSLContext]) -> None:
        """TLS, if it is asked for, and the log-in. Raises ServerError."""
        if self._options.start_tls:
            self._check("STARTTLS", await self._result(messages.start_tls(self._next())))
            await self._start_tls(context(), host or "localhost")
        login = self._options.login
        password = login.password.reveal() if login.password else ""
        if login.kind == "no":
            return
        if login.kind == "simple":
            request = messages.simple_bind(self._next(), self._options.version, login.name, password)
        else:
            who = login.authorization.encode()
            if login.kind == "PLAIN":
                who += b"\0" + login.name.encode() + b"\0" + password.encode()
            request = messages.sasl_bind(self._next(), "" if login.kind == "PLAIN" else login.name, login.kind, who)
        self._check(f"Unable to bind with dn {login.name!r}", await self._result(request))

    async def _start_tls(self, context: ssl.SSLContext, host: str) -> None:
        """Go on inside TLS. What came in the clear after the answer is not read, whoever sent it (RFC 4513, 6.2)."""
        if self._parser.pending:
            raise ServerError("data in the clear after STARTTLS")
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reader)
        transport = await loop.start_tls(self._writer.transport, protocol, context, server_hostname=host)
        if transport is None:
            raise ServerError("the connection was closed in STARTTLS")
        protocol.connection_made(transport)
        self._clear_writer = self._writer  # it would close the socket when it is collected
        self._reader = reader
        self._writer = asyncio.StreamWriter(transport, protocol, reader, loop)

    @staticmethod
    def _check(what: str, result: Result) -> None:
        if result.code != ResultCode.SUCCESS:
            raise ServerError(f"{what}: {result}")

    async def search(self, request: Search) -> tuple[Result, list[Entry], list[str]]:
        """The result, the entries, and URLs of servers that hold more.

        Raises:
            ServerError: the connection broke, or the server took longer than ``timeout``.
            QueryError: the filter is none, or the answer is too large.
        """
        try:
            encoded = filters.encode(request.filter)
        except FilterError as error:
            raise QueryError(f"Search error: bad search filter {request.filter!r}: {error}") from error
        self._send(messages.search(self._next(), request, encoded))
        entries: list[Entry] = []
        urls: list[str] = []
        size = 0
        try:
            async with asyncio.timeout(self._options.timeout):
                while True:
                    for operation in await self._receive():
                        match operation:
                            case Entry():
                                entries.append(operation)
                                size += sum(sum(map(len, values)) + 64 for _, values in operation.attributes)
                            case Reference():
                                urls.extend(operation.urls)
                            case Result():
                                return operation, entries, [*operation.referrals, *urls]
                            case _:
                                raise ServerError("the server ends the connection")
                    if size > _ENTRIES_LIMIT:
                        raise QueryError("the result is too large", broken=True)
        except TimeoutError:
            raise ServerError(f"search took longer than {self._options.timeout:g} seconds") from None

    def _next(self) -> int:
        self._number += 1
        return self._number

    def _send(self, data: bytes) -> None:
        self._writer.write(data)

    async def _result(self, request: bytes) -> Result:
        """Send what has one answer."""
        self._send(request)
        while True:
            for operation in await self._receive():
                if isinstance(operation, Result):
                    return operation
                raise ServerError("unexpected answer")

    async def _receive(self) -> list[Operation]:
        """The operations that come next, of the request that is under way."""
        try:
            await self._writer.drain()
            data = await self._reader.read(_CHUNK)
            if not data:
                raise ServerError("Can't contact LDAP server: the connection is closed")
            return [self._mine(message) for message in self._parser.receive_data(data)]
        except BerError as error:
            raise ServerError(f"broken answer: {error}") from error
        except OSError as error:
            raise ServerError(f"Can't contact LDAP server: {system_text(error)}") from error

    def _mine(self, message: Message) -> Operation:
        if message.number not in (0, self._number):
            raise ServerError("an answer to another request")
        return message.operation

    def abort(self) -> None:
        """Cut it off."""
        self._writer.transport.abort()

    async def close(self) -> None:
        """Say good-bye."""
        with contextlib.suppress(OSError):
            self._send(messages.unbind(self._next()))
        await close_stream(self._writer)


class LdapDriver:
    """Makes connections to the servers of a table."""

    kind = "ldap"

    def __init__(self, options: LdapOptions) -> None:
        self._options = options
        self._context: ssl.SSLContext | None = None

    async def connect(self, server: Server) -> LdapConnection:
        """``server.name`` is a URL. Raises ServerError."""
        return await self.open(url.parse(server.name), self._options)

    async def open(self, where: LdapUrl, options: LdapOptions) -> LdapConnection:
        """A connection, logged in. Raises ServerError."""
        try:
            if where.scheme == "ldapi":
                reader, writer = await asyncio.open_unix_connection(where.host or _DEFAULT_SOCKETS)
            else:
                tls = self._tls() if where.scheme == "ldaps" else None
                reader, writer = await asyncio.open_connection(where.host or "localhost", where.port, ssl=tls)
        except (OSError, ValueError, UnicodeError) as error:
            raise ServerError(system_text(error)) from error
        connection = LdapConnection(options, reader, writer)
        try:
            await connection.prepare(where.host, self._tls)
        except (OSError, ValueError) as error:
            connection.abort()
            raise ServerError(system_text(error)) from error
        except BaseException:
            connection.abort()
            raise
        return connection

    def _tls(self) -> ssl.SSLContext:
        if self._context is None:
            self._context = client_context(self._options.tls)
        return self._context

    def discard(self, connection: LdapConnection) -> None:
        """Cut it off."""
        connection.abort()

    async def settle(self) -> None:
        """Nothing goes on after ``discard``."""

    async def close(self, connection: LdapConnection) -> None:
        """Say good-bye."""
        await connection.close()

    async def search(self, connection: LdapConnection, request: Search, hops: int = 0) -> tuple[Result, list[Entry]]:
        """A search, with the referrals followed when that is asked for. Raises ServerError, QueryError."""
        result, entries, urls = await connection.search(request)
        if not self._options.chase_referrals or not urls:
            return result, entries
        if hops >= _REFERRAL_HOPS:
            raise QueryError("Search error: referral hop limit exceeded")
        for text in urls if result.code != ResultCode.REFERRAL else urls[:1]:
            further, found = await self._follow(text, request, hops)
            entries += found
            if result.code in (ResultCode.REFERRAL, ResultCode.SUCCESS):
                result = further
        return result, entries

    async def _follow(self, text: str, request: Search, hops: int) -> tuple[Result, list[Entry]]:
        """The search at the server that a URL names, as nobody."""
        try:
            where = url.parse(text)
        except ValueError as error:
            raise QueryError(f"Search error: bad referral: {error}") from error
        nobody = LdapOptions(
            3, LdapLogin("simple"), start_tls=False, tls=self._options.tls, timeout=self._options.timeout
        )
        connection = await self.open(where, nobody)
        try:
            base = where.base or request.base
            scope = where.scope if "?" in text else request.scope
            return await self.search(connection, _elsewhere(request, base, scope), hops + 1)
        finally:
            await connection.close()


def _elsewhere(request: Search, base: str, scope: Scope) -> Search:
    return Search(
        base,
        scope,
        request.filter,
        request.attributes,
        request.dereference,
        request.size_limit,
        request.time_limit,
    )
