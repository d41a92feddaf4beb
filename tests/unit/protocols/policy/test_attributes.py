import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from angarium.protocols.policy.attributes import LIMIT, AttributeReader, render

NAMES = st.text(st.characters(min_codepoint=97, max_codepoint=122), min_size=1, max_size=8)
VALUES = st.text(st.characters(blacklist_characters="\r\n\0", blacklist_categories=("Cs",)), max_size=20)


@settings(max_examples=60)
@given(st.lists(st.dictionaries(NAMES, VALUES, min_size=1, max_size=4), min_size=1, max_size=3))
def test_whole_and_octet_by_octet(requests):
    data = b"".join(map(render, requests))
    assert AttributeReader().receive_data(data + b"rest") == requests
    reader = AttributeReader()
    assert [reply for octet in data for reply in reader.receive_data(bytes([octet]))] == requests


def test_a_value_stays_in_its_line():
    assert render({"a": "b\nc=d\r\n\n\0"}) == b"a=b?c=d????\n\n"


@pytest.mark.parametrize("data", [b"x" * (LIMIT + 1), b"no equals sign\n\n", b"=value\n\n", b"a=b\n\n\n\n"])
def test_what_is_no_reply(data):
    with pytest.raises(ValueError, match=r"attribute|end"):
        AttributeReader().receive_data(data)


@settings(max_examples=100)
@given(st.binary(max_size=200))
def test_any_octets(data):
    try:
        replies = AttributeReader().receive_data(data)
    except ValueError:
        return
    assert all(isinstance(reply, dict) for reply in replies)
