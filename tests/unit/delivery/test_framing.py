"""Messages in mailboxes: line ends, ``From `` lines, the empty line, wherever the pieces end."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from angarium.delivery.framing import Form, Framing, delivery_header, framed, postmark, shaped


def whole(kind, *pieces):
    return b"".join(framed(kind, b"M\n", b"H\n", pieces))


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (Framing.MAILBOX, b"M\nH\n>From a\n>>From b\n>From c\nFromage\n\n"),
        (Framing.MAILDIR, b"H\nFrom a\n>>From b\nFrom c\nFromage\n"),
        (Framing.COMMAND, b"M\nH\nFrom a\n>>From b\nFrom c\nFromage\n"),
    ],
)
def test_kinds(kind, expected):
    assert whole(kind, b"From a\r\n>>From b\r\nFrom c\r\nFromage") == expected


def test_postmark_and_header():
    assert postmark("", "Tue Nov 24 12:19:34 2026") == b"From MAILER-DAEMON  Tue Nov 24 12:19:34 2026\n"
    assert postmark("a b@x", "D") == b'From "a b"@x  D\n'
    assert delivery_header("", "", "") == b"Return-Path: <>\n"


TEXT = st.lists(st.sampled_from([b"From ", b"\r\n", b"\n", b"\r", b"F", b"ro", b"m ", b">", b"x"]), max_size=20)


@settings(max_examples=100)
@given(st.sampled_from(Framing), st.lists(TEXT, max_size=5))
def test_pieces_may_end_anywhere(kind, pieces):
    parts = [b"".join(piece) for piece in pieces]
    text = b"".join(parts)
    assert whole(kind, *parts) == whole(kind, text) == whole(kind, *[text[n : n + 1] for n in range(len(text))])


@settings(max_examples=100)
@given(
    st.booleans(), st.booleans(), st.booleans(), st.sampled_from([b"\n", b"\r\n", b"ab"]), st.lists(TEXT, max_size=5)
)
def test_forms_work_line_by_line(quotes, dots, blank, eol, pieces):
    parts = [b"".join(piece).replace(b"x", b".") for piece in pieces]
    lines = b"".join(parts).replace(b"\r\n", b"\n").split(b"\n")
    lines = lines[:-1] if not lines[-1] else lines
    lines = [b">" + line if quotes and line.startswith(b"From ") else line for line in lines]
    lines = [b"." + line if dots and line.startswith(b".") else line for line in lines]
    expected = b"".join(line + eol for line in (b"M", b"H", *lines, *([b""] if blank else [])))
    form = Form(mark=True, quotes=quotes, dots=dots, blank=blank, eol=eol)
    assert b"".join(shaped(form, b"M\n", b"H\n", parts)) == expected
