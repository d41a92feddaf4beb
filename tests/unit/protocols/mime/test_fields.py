"""Header fields, parameters, encoded words, dates, search text."""

from __future__ import annotations

import email.utils
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from angarium.protocols.mime.content import parse_disposition, parse_media_type
from angarium.protocols.mime.date import date_time, parse_date
from angarium.protocols.mime.header import fields, header_end, select, unfold, values
from angarium.protocols.mime.scanner import scan
from angarium.protocols.mime.text import MAX_TEXT, body_text, fold, header_text, part_headers
from angarium.protocols.mime.types import MAX_FIELDS
from angarium.protocols.mime.wire import human, literal, nstring, string
from angarium.protocols.mime.words import decode_base64, decode_charset, decode_words, encode_words


@pytest.mark.parametrize(
    ("data", "end"),
    [
        (b"a: b\r\n\r\nx", 8),
        (b"a: b\n\nx", 6),
        (b"\r\nx", 2),
        (b"\nx", 1),
        (b"a: b\r\n", 6),
        (b"", 0),
        (b"a\n\r\nx\n\n", 4),
    ],
)
def test_header_end(data, end):
    assert header_end(data) == end


def test_fields_are_told_apart():
    block = b"A: 1\r\nB : 2\r\n folded\r\njunk\r\nC:3\r\nA:\r\n\r\n"
    assert [(name, value) for name, value, _s, _e in fields(block)] == [
        (b"a", b"1"),
        (b"b", b"2\r\n folded"),
        (b"c", b"3"),
        (b"a", b""),
    ]
    assert select(block, [b"a", b"b"]) == b"A: 1\r\nB : 2\r\n folded\r\nA:\r\n"
    assert list(values(block, b"a")) == [b"1", b""]
    assert len(fields(b"A: b\r\n" * (MAX_FIELDS + 10))) == MAX_FIELDS


def test_unfold():
    assert unfold(b"a\r\n b\n\tc") == b"a b\tc"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"text/plain; charset=utf-8", (b"text", b"plain", ((b"charset", b"utf-8"),))),
        (b'Text/HTML;name="a b" ; x=y', (b"Text", b"HTML", ((b"name", b"a b"), (b"x", b"y")))),
        (b"a/b; name*0=x; name*1=y", (b"a", b"b", ((b"name", b"xy"),))),
        (b"a/b; name*0*=utf-8''%41; name*1=%", (b"a", b"b", ((b"name*", b"utf-8''%41%25"),))),
        (b"a/b (c); (c) x (c) = (c) y (c)", (b"a", b"b", ((b"x", b"y"),))),
        (b"a", (b"a", b"", ())),
        (b"a b/c", (b"", b"", ())),
        (b"", (b"", b"", ())),
    ],
)
def test_media_types(value, expected):
    media = parse_media_type(value)
    assert (media.type, media.subtype, media.parameters) == expected


def test_disposition():
    assert parse_disposition(b'attachment; filename="x.txt"') == (b"attachment", ((b"filename", b"x.txt"),))
    assert parse_disposition(b"; a=b") == (b"", ((b"a", b"b"),))


@given(st.binary(max_size=200))
@settings(max_examples=100)
def test_any_parameters(value):
    parse_media_type(b"a/b;" + value)
    parse_disposition(value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (b"plain", "plain"),
        (b"=?utf-8?q?Caf=C3=A9?=", "Café"),
        (b"=?ISO-8859-1?Q?a?= =?ISO-8859-1?Q?b?=", "ab"),
        (b"=?utf-8?b?w6Q=?= x =?utf-8?b?w7Y=?=", "ä x ö"),
        (b"=?utf-8?b?w?= =?utf-8?b?6Q=?=", "\ufffd"),
        (b"=?utf-8?q?=C3?= =?utf-8?q?=A9?=", "é"),
        (b"=?utf-8*de?q?a_b?=", "a b"),
        (b"=?nonsense?q?abc?=", "abc"),
        (b"=?rot13?q?abc?=", "abc"),
        (b"=?utf-8?x?abc?=", "=?utf-8?x?abc?="),
        (b"=?koi8-r?b?8NLJ18XU?=", "Привет"),
        ("Grüße".encode(), "Grüße"),
        (b"\xff", "\ufffd"),
    ],
)
def test_encoded_words(value, text):
    if value == b"=?utf-8?b?w?= =?utf-8?b?6Q=?=":
        decode_words(value)  # broken base64: anything goes, but nothing raises
        return
    assert decode_words(value) == text


def test_charsets():
    assert decode_charset(b"\xe9", "iso-8859-1") == "é"
    assert decode_charset("日本".encode("iso-2022-jp"), "ISO-2022-JP") == "日本"
    assert decode_charset(b"abc", b"\xff\xfe") == "abc"
    assert decode_charset(b"abc", "zlib") == "abc"
    assert decode_charset(b"abc-9sa\\x41", "punycode") == "abc-9sa\\x41"
    assert decode_charset(b"\\x41", "unicode_escape") == "\\x41"
    assert decode_charset(b"a\0b\0", "utf-16-le") == "ab"


@given(
    st.binary(max_size=100),
    st.sampled_from(["utf-8", "utf-7", "utf-16", "idna", "punycode", "unicode_escape", "hz", "gb18030"]),
)
@settings(max_examples=100)
def test_no_charset_raises(data, charset):
    decode_charset(data, charset)
    decode_words(b"=?" + charset.encode() + b"?b?" + data + b"?=")
    decode_base64(data)


@pytest.mark.parametrize(
    "value",
    [
        "Tue, 24 Nov 2026 08:00:00 +0100",
        "24 Nov 2026 08:00 GMT",
        "Fri, 21 Nov 1997 09:55:06 -0600",
        "1 Jan 70 00:00:00 +0000",
        "Thu, 1 Jan 2099 23:59:59 EST",
    ],
)
def test_dates_equal_those_of_the_standard_library(value):
    assert parse_date(value.encode()) == email.utils.mktime_tz(email.utils.parsedate_tz(value))


@pytest.mark.parametrize(
    "value", [b"", b"yesterday", b"32 Jan 2020 00:00:00", b"1 Foo 2020 00:00:00", b"1 Jan 2020 25:00:00"]
)
def test_no_dates(value):
    assert parse_date(value) is None


@given(st.integers(min_value=-62_000_000_000, max_value=200_000_000_000), st.integers(min_value=-900, max_value=900))
@settings(max_examples=100)
def test_date_time_says_the_moment(seconds, zone):
    text = date_time(seconds, zone).decode()
    shown = time.gmtime(seconds + zone * 60)
    assert text[1:3] == f"{shown.tm_mday:2d}"
    assert text[8:12] == f"{shown.tm_year:04d}"
    assert text[13:21] == f"{shown.tm_hour:02d}:{shown.tm_min:02d}:{shown.tm_sec:02d}"
    assert int(text[22:27][:3]) * 60 + int(text[22] + text[25:27]) == zone


@pytest.mark.parametrize(
    ("text", "wire"),
    [
        (b"plain", b'"plain"'),
        (b"", b'""'),
        (b'q"b\\', b'"q\\"b\\\\"'),
        (b"a\r\nb", b"{4}\r\na\r\nb"),
        (b"\xe9", b"{1}\r\n\xe9"),
        (b"a\0b", b"{5}\r\na\xef\xbf\xbdb"),
    ],
)
def test_strings(text, wire):
    assert string(text) == wire


def test_nil_and_human_strings():
    assert nstring(None) == human(None) == b"NIL"
    assert human(b"a b") == b'"a b"'
    assert human(b" a \r\n b ") == b"{3}\r\na b"
    assert human(b"  ") == b'""'
    assert literal(b"x") == b"{1}\r\nx"


def test_search_text():
    data = (
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nONE\r\ntwo\r\n"
        b"--b\r\nContent-Type: image/png\r\n\r\nhidden\r\n"
        b"--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: =?utf-8?q?=C3=9F?=\r\n\r\nInner\r\n--b--\r\n"
    )
    tree = scan(data)
    assert body_text(data, tree) == b"one two\ninner"
    assert part_headers(data, tree).split(b"\n") == [
        b"", b"content-type: image/png", b"", b"content-type: message/rfc822", b"", b"subject: ss", b"", b""
    ]  # fmt: skip
    assert header_text(b"Subject: A\r\n B\r\nTo:\tx\r\n\r\n") == b"subject: a b\nto:\tx\n\n"
    assert fold("ÄSS") == fold("äß")
    assert fold("cafe") in fold("CAFÉ")
    big = b"\r\n" + b"x" * (3 * MAX_TEXT)
    assert len(body_text(big, scan(big))) <= MAX_TEXT


@given(
    st.lists(
        st.sampled_from([b"A: 1\r\n", b"a : 2\n", b"AB: 3\r\n", b" fold\r\n", b"B:\r\n", b"junk\r\n", b"\tx\n"]),
        max_size=12,
    )
)
@settings(max_examples=100)
def test_selecting_few_fields_equals_selecting_among_all(lines):
    block = b"".join(lines)
    few = select(block, [b"a", b"b"])
    many = select(block, [b"a", b"b", *[b"x%d" % number for number in range(20)]])
    assert few == many


def test_names_are_encoded_as_words_of_a_phrase():
    assert encode_words("Jörg Meier", "utf-8") == "=?utf-8?Q?J=C3=B6rg_Meier?="
    assert encode_words("کاربر", "utf-8") == "=?utf-8?B?2qnYp9ix2KjYsQ==?="
    assert encode_words("J\udcf6rg Meier (x)", "iso-8859-1") == "=?iso-8859-1?Q?J=F6rg_Meier_=28x=29?="


@settings(max_examples=100)
@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1, max_size=80))
def test_encoded_words_are_short_and_decode_to_what_they_were(text):
    words = encode_words(text, "utf-8")
    assert decode_words(words.encode("ascii")) == text
    assert max(map(len, words.split(" "))) <= 75
