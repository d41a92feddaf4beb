import email.parser
import email.policy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from angarium.cleanup.headers import SCAN_LIMIT, HeaderBlock
from angarium.cleanup.received import mail_date, message_id, quote_local
from angarium.cleanup.splice import Slice, SplicedContent
from angarium.model.content import MemoryContent


def block(data):
    return HeaderBlock.read(MemoryContent(data))


@pytest.mark.parametrize(
    ("data", "raw", "closed"),
    [
        (b"", b"", False),
        (b"\r\n", b"", True),
        (b"A: b", b"A: b", False),
        (b"A: b\r\n", b"A: b\r\n", False),
        (b"A: b\r\n\r\nc", b"A: b\r\n", True),
        (b"A: b\r\n c\r\n\td\r\nE : f\r\n\r\n", b"A: b\r\n c\r\n\td\r\nE : f\r\n", True),
        (b"A: b\r\nc d\r\n", b"A: b\r\n", False),
        (b"A: b\r\n: d\r\n", b"A: b\r\n", False),
        (b"c d: e\r\n", b"", False),
        (b"A: b\r\nX", b"A: b\r\n", False),
    ],
)
def test_where_the_block_ends(data, raw, closed):
    header = block(data)
    assert (header.raw, header.closed) == (raw, closed)


def test_headers_are_found_whatever_their_case_and_blanks():
    header = block(b"RECEIVED: a\r\nMessage-ID \t:\r\n <x@y>\r\nreceived : b\r\nReceivedX: c\r\n\r\nReceived: d\r\n")
    assert header.count(b"received") == 2
    assert header.value(b"message-id") == "<x@y>"
    assert header.value(b"subject") is None
    assert not header.has(b"x")
    assert header.raw[slice(*header.span(header.find(b"message-id")))] == b"Message-ID \t:\r\n <x@y>\r\n"


def test_a_long_block_is_read_in_steps_and_no_further_than_the_bound():
    head = b"".join(b"X-%d: %s\r\n" % (number, b"y" * 90) for number in range(3000))
    header = block(head + b"Message-Id: <1>\r\n\r\nbody")
    assert header.value(b"message-id") == "<1>"
    endless = block(b"A: " + b"b" * (2 * SCAN_LIMIT) + b"\r\n\r\n")
    assert (len(endless.raw), endless.whole) == (0, False)
    lines = block(b"A: b\r\n" * SCAN_LIMIT)
    assert not lines.whole
    assert lines.raw.endswith(b"A: b\r\n")
    assert SCAN_LIMIT - 6 <= len(lines.raw) <= SCAN_LIMIT


@pytest.mark.parametrize("length", range(16 * 1024 - 12, 16 * 1024 + 12))
def test_a_header_across_a_step_is_not_cut(length):
    head = b"A: " + b"x" * (length - 5) + b"\r\n"
    header = block(head + b"Message-Id: <1>\r\n\r\n" + b"y" * 20000)
    assert header.raw == head + b"Message-Id: <1>\r\n"


def test_only_the_header_of_a_large_content_is_read():
    class Counting:
        size = 10_000_000
        asked = 0

        def read(self, start=0, stop=None):
            Counting.asked += stop - start
            return (b"A: b\r\n\r\n" + b"x" * 20000)[start:stop]

    HeaderBlock.read(Counting())
    assert Counting.asked <= 16 * 1024


@settings(max_examples=100)
@given(
    st.lists(st.tuples(st.sampled_from(["Bcc", "Subject", "Received", "x-Y"]), st.text("ab c", max_size=9)), max_size=8)
)
def test_headers_are_those_that_the_standard_library_sees(fields):
    data = "".join(f"{name}: {value}\r\n" for name, value in fields).encode() + b"\r\nbody\r\n"
    header = block(data)
    parsed = email.parser.BytesHeaderParser(policy=email.policy.compat32).parsebytes(data)
    for name in ("bcc", "subject", "received", "x-y", "to"):
        assert header.count(name.encode()) == len(parsed.get_all(name, []))
        assert (header.value(name.encode()) or "") == (parsed[name] or "").strip()


@settings(max_examples=100)
@given(st.binary(max_size=300))
def test_any_bytes_have_a_block(data):
    header = block(data)
    assert data.startswith(header.raw)
    for name in (b"a", b"received"):
        at = header.find(name)
        assert at == -1 or header.span(at)[1] <= len(data)


@settings(max_examples=100)
@given(
    st.binary(max_size=50),
    st.lists(st.one_of(st.binary(max_size=9), st.tuples(st.integers(0, 50), st.integers(0, 50))), max_size=6),
    st.integers(0, 80),
    st.integers(0, 80),
)
def test_spliced_content_is_its_pieces(data, pieces, start, stop):
    content = MemoryContent(data)
    made, whole = [], b""
    for piece in pieces:
        if isinstance(piece, bytes):
            made.append(piece)
            whole += piece
        else:
            low, high = sorted(min(each, len(data)) for each in piece)
            made.append(Slice(content, low, high))
            whole += data[low:high]
    spliced = SplicedContent(made)
    assert spliced.size == len(whole)
    assert spliced.read() == whole
    assert spliced.read(start, stop) == whole[start:stop]
    assert b"".join(spliced.chunks(start)) == whole[start:]


@pytest.mark.parametrize(
    ("address", "quoted"),
    [
        ("joe@x.test", "joe@x.test"),
        ("a b@x.test", '"a b"@x.test'),
        ('a"b@x.test', '"a\\"b"@x.test'),
        ("a@b@x.test", '"a@b"@x.test'),
        (".a@x.test", '".a"@x.test'),
        ("@x.test", '""@x.test'),
        ("joe", "joe"),
        ("jö@x.test", "jö@x.test"),
    ],
)
def test_quoting(address, quoted):
    assert quote_local(address) == quoted


def test_dates_and_ids(monkeypatch):
    import time

    try:
        monkeypatch.setenv("TZ", "XST-3:30")
        time.tzset()
        mail_date.cache_clear()
        assert mail_date(1795507122) == "Tue, 24 Nov 2026 11:28:42 +0330 (XST)"
    finally:
        monkeypatch.undo()
        time.tzset()
        mail_date.cache_clear()
    assert message_id("4F2A", "h.test", 1795507122.9) == "<20261124075842.4F2A@h.test>"
