from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from angarium.protocols.imap import utf7


@pytest.mark.parametrize(
    ("name", "wire"),
    [
        ("INBOX", b"INBOX"),
        ("Tom & Jerry", b"Tom &- Jerry"),
        ("~peter/mail/台北/日本語", b"~peter/mail/&U,BTFw-/&ZeVnLIqe-"),  # RFC 3501 section 5.1.3
        ("Entwürfe", b"Entw&APw-rfe"),
        ("😀", b"&2D3eAA-"),
    ],
)
def test_known_names(name, wire):
    assert utf7.encode(name) == wire
    assert utf7.decode(wire) == name


@pytest.mark.parametrize(
    "wire", [b"a&b", b"&AGE-", b"&U,BT", b"&U/BT-", b"&U,B-", b"&&-", b"\xff", b"&2D0-", b"&Jjo-&Jjo-", b"a\nb"]
)
def test_what_encode_would_not_write_is_refused(wire):
    with pytest.raises(ValueError, match=r"."):
        utf7.decode(wire)


@given(st.text(st.characters(exclude_categories=("Cs",)), max_size=30))
def test_decode_undoes_encode(name):
    assert utf7.decode(utf7.encode(name)) == name


@given(st.binary(max_size=20))
def test_one_name_has_one_form(wire):
    try:
        name = utf7.decode(wire)
    except ValueError:
        return
    assert utf7.encode(name) == wire
