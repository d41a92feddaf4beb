"""Clients that begin with TLS: handshakes that fail, take too long, or are too many."""

from __future__ import annotations

import asyncio
import socket
import ssl

import pytest

from angarium.runtime.authority import Authority
from angarium.runtime.handshakes import Handshakes, TooManyHandshakesError


class Greeter(asyncio.Protocol):
    def connection_made(self, transport):
        transport.write(b"hello\r\n")
        transport.close()


@pytest.fixture(scope="module")
def contexts(tmp_path_factory):
    """The server's, the client's."""
    directory = tmp_path_factory.mktemp("tls")
    authority = Authority.ensure(directory, "Test CA")
    certificate, key = authority.issue(directory, ("localhost",))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate, key)
    return server, ssl.create_default_context(cafile=str(authority.certificate))


def serve(contexts, test, *, timeout=10.0, limit=0):
    """Run ``test(port, handshakes)`` beside an acceptor; the errors that it told of."""
    failures = []

    async def body():
        handshakes = Handshakes(contexts[0], timeout, Greeter, lambda _socket, error: failures.append(error), limit)
        listener = socket.create_server(("127.0.0.1", 0))
        listener.setblocking(False)
        port = listener.getsockname()[1]
        accepting = asyncio.get_running_loop().create_task(handshakes.accept(listener))
        try:
            async with asyncio.timeout(10):
                await test(port, handshakes)
        finally:
            accepting.cancel()
            await asyncio.gather(accepting, return_exceptions=True)
        while len(handshakes):
            await asyncio.sleep(0)

    asyncio.run(body())
    return failures


async def greeted(port, context):
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="localhost")
    line = await reader.readline()
    writer.close()
    return line


def test_the_oldest_of_too_many_gives_way(contexts):
    """Else ten thousand that open a connection and say nothing hold half a gigabyte, and all file descriptors."""

    async def test(port, handshakes):
        silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(5)]
        for reader, _writer in silent[:3]:
            assert await reader.read() == b""
        assert len(handshakes) == 2
        assert await greeted(port, contexts[1]) == b"hello\r\n"
        for _reader, writer in silent:
            writer.close()

    failures = serve(contexts, test, limit=2)
    assert sum(isinstance(error, TooManyHandshakesError) for error in failures) >= 4


def test_a_silent_client_and_one_that_speaks_something_else(contexts):
    async def test(port, handshakes):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert await reader.read() == b""
        writer.close()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.0\r\n\r\n")
        await reader.read()
        writer.close()
        assert await greeted(port, contexts[1]) == b"hello\r\n"

    failures = serve(contexts, test, timeout=0.2)
    assert [type(error).__name__ for error in failures][1:] == ["SSLError"]
