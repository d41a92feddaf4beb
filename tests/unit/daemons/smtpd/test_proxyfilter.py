"""The before-queue filter: what the recorded conversations do not show. A filter that is slow, endless or mute."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import pytest

from angarium.daemons.smtpd.proxyfilter import FilterConnection, FilterError, xforward_commands
from angarium.model.envelope import Forwarded, Origin

CLIENT = Origin("ESMTPS", "unknown", "2001:db8::7", 4711, "a+b.test")


def with_filter(behave, use, timeout=5.0):
    """Run ``use`` with a connection to a filter that behaves; what was warned of."""
    warnings = []

    tasks = []

    async def handle(reader, writer):
        tasks.append(asyncio.current_task())
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                await behave(reader, writer)
        finally:
            writer.close()

    async def main():
        server = await asyncio.start_server(handle, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        connection = FilterConnection(f"127.0.0.1:{port}", Path("/"), timeout, warnings.append)
        try:
            await use(connection)
        finally:
            connection.close()
            server.close()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return [text.replace(str(port), "PORT") for text in warnings]

    return asyncio.run(asyncio.wait_for(main(), 20))


def test_a_filter_that_does_not_take_the_message_is_given_up():
    async def behave(reader, writer):
        writer.write(b"220 hello\r\n")
        for answer in (b"250 fine\r\n", b"250 fine\r\n"):
            await reader.readline()
            writer.write(answer)
        await asyncio.Event().wait()

    async def use(connection):
        await connection.open("me.test", CLIENT, "MAIL FROM:<a@x.test>")
        with pytest.raises(FilterError):
            await connection.send([b"x" * 70 + b"\r\n"] * 400_000)

    assert with_filter(behave, use, timeout=0.3) == ["timeout talking to proxy 127.0.0.1:PORT"]


@pytest.mark.parametrize("said", [b"hello\r\n", b"220-" + b"x" * 10_000, b"220-x\r\n" * 2000])
def test_a_filter_that_speaks_no_smtp_is_given_up(said):
    async def behave(_reader, writer):
        writer.write(said)
        await asyncio.Event().wait()

    async def use(connection):
        with pytest.raises(FilterError):
            await connection.open("me.test", CLIENT, "MAIL FROM:<a@x.test>")

    (warning,) = with_filter(behave, use)
    assert warning.startswith("proxy 127.0.0.1:PORT does not speak SMTP: ")


def test_the_message_arrives_as_it_is():
    got = bytearray()

    async def behave(reader, writer):
        writer.write(b"220 hello\r\n")
        for _ in range(3):
            writer.write(b"354 go\r\n" if (await reader.readline()).startswith(b"DATA") else b"250 fine\r\n")
        got.extend(await reader.readuntil(b"\r\n.\r\n"))
        writer.write(b"250 2.0.0 mine\r\n")

    async def use(connection):
        await connection.open("me.test", CLIENT, "MAIL FROM:<a@x.test>")
        await connection.demand("DATA", 3)
        reply = await connection.send([b"A: b\r\n", b"\r\n.x\r\n" + b"y" * 3000 + b"\r\n"])
        assert str(reply) == "250 2.0.0 mine"

    assert with_filter(behave, use) == []
    assert bytes(got) == b"A: b\r\n\r\n..x\r\n" + b"y" * 3000 + b"\r\n.\r\n"


@pytest.mark.parametrize(
    ("data", "dot", "reply", "warning"),
    [
        (b"354 go\r\n550 5.7.1 not that\r\n", b"", "550 5.7.1 not that", None),
        (b"354 go\r\n250 mine\r\n", b"", None, 'proxy 127.0.0.1:PORT said "250 mine" before the message was sent'),
        (b"354 go\r\n", b"354 go\r\n", None, 'proxy 127.0.0.1:PORT said "354 go" to the message'),
        (b"354 go\r\n", b"250 mine\r\n250 again\r\n", "250 mine", None),
    ],
)
def test_only_what_follows_the_message_accepts_it(data, dot, reply, warning):
    async def behave(reader, writer):
        writer.write(b"220 hello\r\n")
        for answer in (b"250 fine\r\n", b"250 fine\r\n", data):
            await reader.readline()
            writer.write(answer)
        await reader.readuntil(b".\r\n")
        writer.write(dot)

    async def use(connection):
        await connection.open("me.test", CLIENT, "MAIL FROM:<a@x.test>")
        await connection.demand("DATA", 3)
        if reply is not None:
            assert str(await connection.send([b"A: b\r\n"])) == reply
            return
        with pytest.raises(FilterError) as caught:
            await connection.send([b"A: b\r\n"])
        assert str(caught.value.reply) == "451 4.3.0 Error: queue file write error"

    assert with_filter(behave, use, timeout=1.0) == ([warning] if warning else [])


def test_xforward_says_what_is_known_in_commands_that_are_short_enough():
    wanted = frozenset({"NAME", "ADDR", "PORT", "HELO", "IDENT", "PROTO", "SOURCE"})
    (command,) = xforward_commands(CLIENT, wanted)
    assert command.split() == [
        "XFORWARD",
        "NAME=[UNAVAILABLE]",
        "ADDR=IPV6:2001:db8::7",
        "PORT=4711",
        "HELO=a+2Bb.test",
        "IDENT=[UNAVAILABLE]",
        "PROTO=ESMTP",
        "SOURCE=[UNAVAILABLE]",
    ]
    long = Origin("ESMTP", forwarded=Forwarded("n" * 250, helo="h" * 250, ident="i" * 250, client=True))
    commands = xforward_commands(long, wanted)
    assert [command.count("=") for command in commands] == [3, 1, 3]
    assert all(len(command) <= 510 for command in commands)
    assert xforward_commands(CLIENT, frozenset()) == []
