from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from angarium.protocols.smtp.client_reply import LINES_LIMIT, TEXT_LIMIT, ClientReply, ReplyError, ReplyParser

WIRE = b"220 mx.example.org ESMTP\r\n250-mx.example.org\r\n250-PIPELINING\r\n250 DSN\r\n550 5.1.1 no\n354\r\n"
REPLIES = [
    ClientReply(220, ("220 mx.example.org ESMTP",)),
    ClientReply(250, ("250-mx.example.org", "250-PIPELINING", "250 DSN")),
    ClientReply(550, ("550 5.1.1 no",)),
    ClientReply(354, ("354",)),
]


def test_whole():
    assert ReplyParser().receive(WIRE) == REPLIES


def test_byte_by_byte():
    parser = ReplyParser()
    assert [reply for at in range(len(WIRE)) for reply in parser.receive(WIRE[at : at + 1])] == REPLIES
    assert not parser.pending


def test_incomplete_is_pending():
    parser = ReplyParser()
    assert parser.receive(b"250-first\r\n") == []
    assert parser.pending
    assert parser.receive(b"250 last") == []
    assert parser.receive(b"\r\n")[0].text == "250-first 250 last"


@pytest.mark.parametrize(
    "line", [b"HTTP/1.1 400 Bad Request\r\n", b"\r\n", b"99 x\r\n", b"600 x\r\n", b"2500 x\r\n", b"25x\r\n"]
)
def test_what_is_no_reply(line):
    with pytest.raises(ReplyError):
        ReplyParser().receive(line)


@pytest.mark.parametrize(
    ("line", "dsn"),
    [
        ("550 5.1.1 no", "5.1.1"),
        ("550 no", "5.0.0"),
        ("450 5.7.1 contradiction", "4.0.0"),
        ("250 2.0.0 Ok", "2.0.0"),
        ("250", "2.0.0"),
        ("354 go", "2.0.0"),
        ("550 5.1.1", "5.1.1"),
        ("550 5.1.9999 x", "5.0.0"),
    ],
)
def test_enhanced_status(line, dsn):
    assert str(ClientReply(int(line[:3]), (line,)).dsn) == dsn


def test_endless_line_is_refused():
    parser = ReplyParser()
    parser.receive(b"250 " + b"x" * 1000)
    parser.receive(b"x" * 1000)
    with pytest.raises(ReplyError):
        parser.receive(b"x" * 1000)


def test_endless_reply_is_refused_and_bounded():
    parser = ReplyParser()
    for _ in range(LINES_LIMIT):
        parser.receive(b"250-" + b"x" * 1000 + b"\r\n")
    with pytest.raises(ReplyError):
        parser.receive(b"250-x\r\n")
    parser = ReplyParser()
    for _ in range(100):
        parser.receive(b"250-" + b"x" * 1000 + b"\r\n")
    assert len(parser.receive(b"250 end\r\n")[0].text) < TEXT_LIMIT + 2048


@settings(max_examples=100, deadline=None)
@given(st.lists(st.binary(max_size=40), max_size=8))
def test_any_octets(pieces):
    parser = ReplyParser()
    try:
        for piece in pieces:
            for reply in parser.receive(piece):
                assert 200 <= reply.code <= 599
                assert "\r" not in reply.text
                assert "\n" not in reply.text
    except ReplyError:
        pass
