"""ENVELOPE: equal to what Dovecot answers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from angarium.protocols.mime.address import GROUP_END, MailAddress, parse_addresses
from angarium.protocols.mime.envelope import envelope
from angarium.protocols.mime.header import fields, header_end
from angarium.protocols.mime.types import MAX_ADDRESSES

GOLDEN = json.loads((Path(__file__).parents[3] / "golden" / "mime" / "envelopes.json").read_text(encoding="utf-8"))


def envelope_of(data: bytes) -> bytes:
    return envelope((name, value) for name, value, _start, _end in fields(data[: header_end(data)]))


@pytest.mark.parametrize("number", range(len(GOLDEN)))
def test_odd_headers(number):
    case = GOLDEN[number]
    assert envelope_of(case["message"].encode("latin-1")) == case["envelope"].encode("latin-1")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"a@b", [MailAddress(None, None, b"a", b"b")]),
        (b"N <a@b>", [MailAddress(b"N", None, b"a", b"b")]),
        (b'"N, M" <a@b>', [MailAddress(b"N, M", None, b"a", b"b")]),
        (b"<a@b>", [MailAddress(None, None, b"a", b"b")]),
        (b"g: a@b;", [MailAddress(None, None, b"g", None), MailAddress(None, None, b"a", b"b"), GROUP_END]),
        (b"a@b (Name)", [MailAddress(b"Name", None, b"a", b"b")]),
        (b"<@r:a@b>", [MailAddress(None, b"@r", b"a", b"b")]),
        (b"", []),
        (b"   ", []),
    ],
)
def test_addresses(text, expected):
    assert parse_addresses(text) == expected


def test_the_common_form_and_the_whole_grammar_agree():
    plain = parse_addresses(b'Joe Q <joe@example.org>, "A B" <a.b@example.org>, c@d.e')
    odd = parse_addresses(b'(x) Joe Q <joe@example.org>, "A B" <a.b@example.org>, c@d.e')
    assert plain == odd


@given(st.binary(max_size=200))
@settings(max_examples=100)
def test_any_bytes_give_addresses(data):
    for one in parse_addresses(data):
        assert one.mailbox is not None or one == GROUP_END


@given(
    st.lists(
        st.sampled_from([b"a", b"@", b"<", b">", b",", b";", b":", b'"', b"\\", b"(", b")", b".", b" ", b"["]),
        max_size=60,
    )
)
@settings(max_examples=100)
def test_any_tokens_give_addresses(pieces):
    assert len(parse_addresses(b"".join(pieces))) <= len(pieces) * 2 + 2


def test_a_million_addresses_are_bounded():
    assert len(parse_addresses(b"a@b," * 1_000_000)) == MAX_ADDRESSES
    assert len(parse_addresses(b"(x)a@b," * 1_000_000)) == MAX_ADDRESSES
    assert len(parse_addresses(b"(" * 1_000_000)) <= 1
    assert len(parse_addresses(b"g:" * 500_000)) <= MAX_ADDRESSES


@given(st.binary(max_size=300))
@settings(max_examples=100)
def test_any_header_gives_an_envelope(data):
    answer = envelope_of(b"From: " + data + b"\r\nSubject: " + data)
    assert answer.startswith(b"(")
    assert b"\0" not in answer
