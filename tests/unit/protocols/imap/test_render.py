from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from angarium.protocols.imap import render
from angarium.protocols.imap.cursor import Cursor


@pytest.mark.parametrize(
    ("data", "wire"),
    [
        (b"INBOX", b"INBOX"),
        (b"", b'""'),
        (b"a b", b'"a b"'),
        (b'say "x\\y"', b'"say \\"x\\\\y\\""'),
        (b"nil", b'"nil"'),
        (b"a%", b'"a%"'),
        ("ü".encode(), b"{2}\r\n\xc3\xbc"),
        (b"x" * 2000, b"x" * 2000),
    ],
)
def test_astring(data, wire):
    assert render.astring(data) == wire


@given(st.binary(max_size=60).filter(lambda data: b"\0" not in data))
def test_the_parser_reads_what_was_written(data):
    wire = render.string(data)
    head, newline, rest = wire.partition(b"\r\n")
    segments = (head[: head.rindex(b"{")], rest, b"") if newline and head.endswith(b"}") else (wire,)
    assert Cursor(segments).string() == data


def test_mailbox_names():
    assert render.mailbox("Büro", utf8=False) == b"B&APw-ro"
    assert render.mailbox("Büro", utf8=True) == '"Büro"'.encode()
    assert render.mailbox("a b", utf8=True) == b'"a b"'


def test_flags_have_an_order():
    assert render.flags({"$Junk", "\\Seen", "\\Answered", "Alpha"}) == b"(\\Answered \\Seen $Junk Alpha)"
