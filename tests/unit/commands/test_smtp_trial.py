"""smtp-source and smtp-sink: with each other, and each with Postfix's."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import socket
from pathlib import Path

import pytest

from angarium.commands import smtp_sink, smtp_source
from angarium.commands.smtp_sink import Delay, SinkOptions, SmtpSink
from angarium.commands.smtp_source import SmtpSource, SourceError, body_of, stuffed
from angarium.commands.trial_endpoint import Endpoint, EndpointError, parse_endpoint

REAL_SOURCE = Path("/usr/sbin/smtp-source")
REAL_SINK = Path("/usr/sbin/smtp-sink")


def sink_options(*words):
    import getopt

    pairs, _ = getopt.getopt(list(words), "468aA:b:B:cCd:D:eEf:Fh:H:Ln:m:M:NpPq:Q:r:R:s:S:t:T:u:vw:W:")
    return smtp_sink.read_options(pairs)


def source_options(port, *words):
    import getopt

    pairs, _ = getopt.getopt(list(words), "46AcC:df:F:l:Lm:M:Nor:R:s:S:t:T:vw:")
    return smtp_source.read_options(pairs, Endpoint(host="127.0.0.1", port=port))


def with_sink(options, work):
    """Runs ``work(port, sink)`` beside a sink."""

    async def main():
        listener = smtp_sink.listening(Endpoint(host="127.0.0.1", port=0), socket.AF_INET, 100)
        sink = SmtpSink(options, lambda _text: None)
        await sink.start(listener)
        try:
            async with asyncio.timeout(30):
                return await work(listener.getsockname()[1], sink)
        finally:
            await sink.stop()

    return asyncio.run(main())


def sent(options, *words):
    """What the source sends to a sink: (accepted, refused, messages at the sink)."""

    async def work(port, sink):
        source = SmtpSource(source_options(port, *words))
        await source.run()
        return source.sent, source.refused, sink.messages

    return with_sink(options, work)


def dialogue(options, *commands):
    """What a sink answers, the greeting first; ``None`` when it hangs up."""

    async def work(port, _sink):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        answers = []
        for command in ("", *commands):
            if command:
                writer.write(command.encode() + b"\r\n")
            lines = []
            while True:
                line = (await reader.readline()).decode().rstrip("\r\n")
                lines.append(line)
                if line[3:4] != "-":
                    break
            answers.append("\n".join(lines) if lines != [""] else None)
            if answers[-1] is None:
                break
        writer.close()
        return answers

    return with_sink(options, work)


def test_messages_arrive(tmp_path):
    options = SinkOptions(collected=str(tmp_path / "new" / "mail"))
    assert sent(
        options, "-m", "5", "-s", "2", "-r", "3", "-f", "a@x.test", "-t", "b@y.test", "-S", "hi", "-M", "me"
    ) == (
        5,
        0,
        5,
    )
    text = (tmp_path / "new" / "mail").read_text()
    assert text.count("X-Client-Addr: 127.0.0.1\nX-Client-Proto: SMTP\nX-Helo-Args: me\n") == 5
    assert text.count("X-Mail-Args: FROM:<a@x.test>\nX-Rcpt-Args: TO:<1b@y.test>\nX-Rcpt-Args: TO:<2b@y.test>\n") == 5
    assert text.count("\nSubject: hi\n\n") == 5


def test_a_file_is_sent_with_its_dots(tmp_path):
    (tmp_path / "mail").write_bytes(b"Subject: x\n\n.\n..two\nend")
    assert sent(SinkOptions(single=str(tmp_path / "got.")), "-F", str(tmp_path / "mail")) == (1, 0, 1)
    (got,) = tmp_path.glob("got.*")
    assert got.read_text().endswith("\nSubject: x\n\n.\n..two\nend\n\n")


def test_lmtp_and_one_connection():
    assert sent(SinkOptions(lmtp=True), "-L", "-d", "-m", "4", "-r", "2") == (8, 0, 4)


@pytest.mark.parametrize("command", ["CONNECT", "HELO", "MAIL", "RCPT", "DATA", "."])
def test_refusals(command):
    with pytest.raises(SourceError, match=r"450 4\.3\.0 Error: command failed"):
        sent(sink_options("-r", command))
    with pytest.raises(SourceError, match="lost connection"):
        sent(sink_options("-q", command))


def test_it_goes_on_when_told_so():
    accepted, refused, messages = sent(sink_options("-f", "RCPT"), "-A", "-m", "3")
    assert (accepted, refused, messages) == (0, 3, 0)


def test_nobody_listens():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with pytest.raises(SourceError, match=r"connect: Connection refused"):
            asyncio.run(SmtpSource(source_options(unused.getsockname()[1])).run())


def test_what_is_offered():
    everything = dialogue(SinkOptions(), "EHLO x")[1]
    assert everything.splitlines()[0] == "250-smtp-sink"
    for option, text in smtp_sink.CAPABILITIES:
        assert text in everything
        assert text not in dialogue(sink_options(f"-{option}"), "EHLO x")[1]
    assert dialogue(sink_options("-e"), "EHLO x")[1].startswith("500")
    assert dialogue(sink_options("-P"))[0] == "220 ********"
    assert "PIPELINING" not in dialogue(sink_options("-r", "vrfy"), "EHLO x")[1]


def test_own_replies_and_the_end():
    options = sink_options("-b", "451 later", "-B", "554 never", "-r", "mail", "-f", "RCPT,VRFY", "-Q", "noop")
    assert dialogue(options, "MAIL FROM:<>", "VRFY x", "NONSENSE", "NOOP", "x")[1:] == [
        "451 later",
        "554 never",
        "500 5.5.1 Error: unknown command",
        "421 4.0.0 Server closing connection",
        None,
    ]


def test_abort_after_data():
    assert dialogue(sink_options("-A", "0"), "MAIL FROM:<>", "RCPT TO:<x>", "DATA")[3].startswith("354")


def test_it_ends_after_so_many_messages():
    async def work(port, sink):
        await SmtpSource(source_options(port, "-m", "2")).run()
        await sink.finished.wait()
        return sink.messages

    assert with_sink(SinkOptions(messages=2), work) == 2
    assert with_sink(SinkOptions(sessions=2), work) == 2


def test_a_line_without_end():
    async def work(port, _sink):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"x" * 200_000)
        data = await reader.read()
        writer.close()
        return data

    with contextlib.suppress(ConnectionResetError):  # the kernel may throw away what was not read
        assert with_sink(SinkOptions(), work).startswith(b"220")


def test_bodies():
    assert stuffed(b".\n.x\ny") == b"..\r\n..x\r\ny\r\n"
    assert [len(body_of(length)) for length in (1, 2, 80, 81, 1000)] == [2, 2, 80, 82, 1000]
    assert all(len(line) <= 80 for line in body_of(1000).splitlines(keepends=True))


def test_delays():
    throws = iter([10, 20, 95])
    assert Delay(2.0, 90).length(lambda _sides: next(throws)) == 6.0
    assert Delay(2.0).length(lambda _sides: 0) == 2.0


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("localhost:2525", Endpoint(host="localhost", port=2525)),
        ("inet:[::1]:25", Endpoint(host="::1", port=25)),
        ("unix:/tmp/x", Endpoint(path="/tmp/x")),
        (":25", Endpoint(port=25)),
        ("25", Endpoint(port=25)),
    ],
)
def test_places(text, place):
    assert parse_endpoint(text) == place


def test_no_places():
    for text in ("host:99999", "[::1", "host:nosuchport"):
        with pytest.raises(EndpointError):
            parse_endpoint(text)
    assert parse_endpoint("host", default_port=25) == Endpoint(host="host", port=25)


def test_wrong_calls(capsys):
    assert smtp_sink.main([":0"]) == 1
    assert smtp_sink.main(["-z", ":0", "1"]) == 1
    assert smtp_source.main([]) == 1
    assert smtp_source.main(["-m", "0", "localhost:25"]) == 1
    assert "usage: smtp-source" in capsys.readouterr().err


@pytest.mark.skipif(not REAL_SOURCE.exists(), reason="there is no Postfix here")
@pytest.mark.parametrize("words", [(), ("-m", "20", "-s", "5", "-r", "3"), ("-d", "-m", "5", "-l", "5000")])
def test_the_real_source_with_our_sink(words):
    async def work(port, sink):
        process = await asyncio.create_subprocess_exec(REAL_SOURCE, *words, f"127.0.0.1:{port}")
        assert await process.wait() == 0
        return sink.messages

    expected = int(words[words.index("-m") + 1]) if "-m" in words else 1
    assert with_sink(SinkOptions(), work) == expected


def with_real_sink(tmp_path, work, *words):
    """Runs ``work(path)`` beside Postfix's smtp-sink."""

    async def main():
        path = str(tmp_path / "sink")
        user = ("-u", "nobody") if os.geteuid() == 0 else ()
        process = await asyncio.create_subprocess_exec(REAL_SINK, *user, *words, f"unix:{path}", "10")
        try:
            async with asyncio.timeout(30):
                return await work(path)
        finally:
            process.kill()
            await process.wait()

    return asyncio.run(main())


@pytest.mark.skipif(not REAL_SINK.exists(), reason="there is no Postfix here")
@pytest.mark.parametrize(
    "words", [(), ("-m", "20", "-s", "5", "-r", "3", "-N"), ("-d", "-m", "5", "-l", "5000"), ("-o",)]
)
def test_our_source_with_the_real_sink(tmp_path, words):
    async def work(path):
        source = SmtpSource(dataclasses.replace(source_options(0, "-C", "20", *words), place=Endpoint(path=path)))
        await source.run()
        return source.sent, source.refused

    expected = int(words[words.index("-m") + 1]) if "-m" in words else 1
    assert with_real_sink(tmp_path, work) == (expected, 0)


COMMANDS = (
    "HELO me",
    "EHLO me",
    "MAIL FROM:<a@x.test>",
    "MAIL FROM:<a@x.test>",
    "RCPT TO:<b@x.test>",
    "RSET",
    "RCPT TO:<b@x.test>",
    "NOOP",
    "VRFY x",
    "NONSENSE",
    "DATA",
    "MAIL FROM:<>",
    "RCPT TO:<b@x.test>",
    "DATA",
    ".",
    "RCPT TO:<b@x.test>",
    "QUIT",
)


@pytest.mark.skipif(not REAL_SINK.exists(), reason="there is no Postfix here")
@pytest.mark.parametrize(
    "words",
    ["", "-8 -a -C", "-E -F -N -p", "-e", "-h name", "-P", "-f MAIL,NOOP", "-r RCPT", "-B 599 -f VRFY"],
)
def test_our_sink_answers_as_the_real_one(tmp_path, words):
    async def work(path):
        source = SmtpSource(dataclasses.replace(source_options(0, "-C", "20"), place=Endpoint(path=path)))
        await (await source.connect()).quit()  # now it listens
        reader, writer = await asyncio.open_unix_connection(path)
        answers = []
        for command in ("", *COMMANDS):
            if command:
                writer.write(command.encode() + b"\r\n")
            lines = []
            while True:
                line = (await reader.readline()).decode().rstrip("\r\n")
                lines.append(line)
                if line[3:4] != "-":
                    break
            answers.append("\n".join(lines))
        writer.close()
        return answers

    options = words.split()
    assert dialogue(sink_options(*options), *COMMANDS) == with_real_sink(tmp_path, work, *options)
