import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from angarium.protocols.lookup.netstring import FramingError, NetstringReader, encode


@settings(max_examples=100)
@given(st.lists(st.binary(max_size=200)), st.integers(1, 20))
def test_what_is_encoded_comes_back_however_it_is_cut(strings, step):
    data = b"".join(map(encode, strings))
    assert NetstringReader(200).receive_data(data) == strings
    reader = NetstringReader(200)
    pieces = [data[at : at + step] for at in range(0, len(data), step)]
    assert [string for piece in pieces for string in reader.receive_data(piece)] == strings


@pytest.mark.parametrize(
    "data", [b"x", b":", b"-1:", b"1x", b"01:a,", b"1:ab", b"201:", b"99999999999", b" 1:a,", b"1:a;", b"+1:a,"]
)
def test_what_is_no_netstring_or_too_long(data):
    with pytest.raises(FramingError):
        NetstringReader(200).receive_data(data)
    reader = NetstringReader(200)
    with pytest.raises(FramingError):
        list(map(reader.receive_data, (bytes((byte,)) for byte in data)))


def test_the_longest_and_what_follows_it():
    reader = NetstringReader(5)
    assert reader.receive_data(b"5:hello,0:,3:a") == [b"hello", b""]
    assert reader.receive_data(b"bc,") == [b"abc"]


@settings(max_examples=100)
@given(st.binary(max_size=300))
def test_any_bytes_are_strings_or_an_error(data):
    try:
        for string in NetstringReader(100).receive_data(data):
            assert len(string) <= 100
    except FramingError:
        pass
