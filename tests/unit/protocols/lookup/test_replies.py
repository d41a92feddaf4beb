"""The replies of socketmap, tcp and memcache servers; those of the tables are what Postfix 3.7 made of them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from angarium.protocols.lookup import memcache, socketmap, tcp
from angarium.protocols.lookup.memcache import MemcacheReader, Status, Value
from angarium.protocols.lookup.netstring import FramingError
from angarium.protocols.lookup.tcp import LineReader


@pytest.mark.parametrize(
    ("reply", "data", "fault"),
    [
        (b"OK data x", b"data x", ""),
        (b"OK ", b"", ""),
        (b"NOTFOUND ", None, ""),
        (b"NOTFOUND", None, ""),
        (b"NOTFOUND why", None, ""),
        (b"TEMP why", None, "socketmap server temporary error: why"),
        (b"TIMEOUT w", None, "socketmap server timeout error: w"),
        (b"PERM no", None, "socketmap server permanent error: no"),
        (b"BOGUS no", None, "socketmap server unknown error: no"),
        (b"ok data", None, "socketmap server unknown error: data"),
        (b"OK", None, "socketmap server unknown error: "),
        (b"", None, "socketmap server unknown error: "),
    ],
)
def test_socketmap_replies(reply, data, fault):
    parsed = socketmap.parse_reply(reply)
    assert (parsed.data, parsed.fault) == (data, fault)


def test_socketmap_request():
    assert socketmap.request("map", b"a key") == b"9:map a key,"


@pytest.mark.parametrize(
    ("line", "data"),
    [(b"200 data%20x", b"data x"), (b"200 ", b""), (b"200 a b", b"a b"), (b"200   a", b"  a"), (b"200 a\r", b"a\r"),
     (b"200 %00%fF", b"\0\xff"), (b"500 no", None), (b"599 no", None)],
)  # fmt: skip
def test_tcp_replies(line, data):
    parsed = tcp.parse_reply(line)
    assert (parsed.data, parsed.fault) == (data, "")


def test_tcp_temporary_error():
    assert tcp.parse_reply(b"400 try%20later").fault == "temporary error: try later"


@pytest.mark.parametrize("line", [b"200", b"", b"garbage", b"2000 a", b"200 a%zz", b"200 %2", b"600 x", b"20x y"])
def test_tcp_malformed_replies(line):
    with pytest.raises(FramingError):
        tcp.parse_reply(line)


def test_tcp_request_is_encoded():
    assert tcp.request("a b%@ü\n".encode()) == b"get a%20b%25@%C3%BC%0A\n"


@settings(max_examples=100)
@given(st.binary(max_size=100))
def test_tcp_encoding_comes_back(key):
    line = tcp.request(key).removesuffix(b"\n")
    assert tcp.parse_reply(b"200 " + line.removeprefix(b"get ")).data == key
    assert b"\n" not in line


def test_tcp_lines_are_bounded():
    assert LineReader(10).receive_data(b"123456789\nrest") == [b"123456789"]
    for data in (b"1234567890\n", b"1234567890"):
        with pytest.raises(FramingError):
            LineReader(10).receive_data(data)
    reader = LineReader(10)
    assert reader.receive_data(b"12345") == []
    assert reader.receive_data(b"678\n9\n") == [b"12345678", b"9"]


FOUND = b"VALUE key 0 5\r\nab\r\nc\r\nEND\r\n"


@pytest.mark.parametrize(
    ("data", "answer"),
    [
        (FOUND, Value(b"ab\r\nc")),
        (b"END\r\n", Value(None)),
        (b"VALUE other 7 3\r\nabc\r\nEND\r\n", Value(b"abc")),
        (b"VALUE key 0 0\r\n\r\nEND\r\n", Value(b"")),
        (b"VALUE key 0 3\nabc\nEND\n", Value(b"abc")),
        (b"VALUE key 0 3 99\r\nabc\r\nEND\r\n", Value(b"abc")),
    ],
)
def test_memcache_values_whole_and_byte_by_byte(data, answer):
    assert MemcacheReader(100, 100).receive_data(data) == answer
    reader = MemcacheReader(100, 100)
    *early, last = [reader.receive_data(bytes((byte,))) for byte in data]
    assert early == [None] * len(early)
    assert last == answer


@pytest.mark.parametrize(
    "data",
    [
        b"ERROR\r\n",
        b"SERVER_ERROR out of memory\r\n",
        b"VALUE key 0 -3\r\n",
        b"VALUE key 0 101\r\n",
        b"VALUE key 0 99999999999\r\n",
        b"VALUE key 0\r\n",
        b"VALUE key 0 3\r\nabcdef\r\nEND\r\n",
        b"VALUE key 0 3\r\nabc\r\nVALUE b 0 1\r\nx\r\nEND\r\n",
        b"VALUE " + b"k" * 100,
        b"x" * 100,
    ],
)
def test_memcache_answers_that_make_no_sense(data):
    with pytest.raises(FramingError):
        MemcacheReader(100, 100).receive_data(data)


def test_memcache_status_of_a_set():
    reader = MemcacheReader(100, 100)
    reader.expect_status()
    assert reader.receive_data(b"STOR") is None
    assert reader.receive_data(b"ED\r\n") == Status("STORED")
    reader.expect_value()
    assert reader.receive_data(FOUND) == Value(b"ab\r\nc")


def test_memcache_requests_and_keys():
    assert memcache.get(b"k") == b"get k\r\n"
    assert memcache.store(b"k", b"v\r\n", 1, 60) == b"set k 1 60 3\r\nv\r\n\r\n"
    assert memcache.is_key("ü".encode())
    assert not any(memcache.is_key(key) for key in (b"", b"a b", b"a\r\nset x", b"\x7f", b"\0"))


@settings(max_examples=100)
@given(st.binary(max_size=300), st.booleans())
def test_memcache_any_bytes(data, status):
    reader = MemcacheReader(50, 50)
    if status:
        reader.expect_status()
    try:
        answer = reader.receive_data(data)
    except FramingError:
        return
    assert answer is None or isinstance(answer, Value | Status)
