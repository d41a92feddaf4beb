"""The scanner: offsets, boundaries, part tables (RFC 2046 section 5.1, RFC 9051 section 6.4.5.1)."""

from __future__ import annotations

import email
import email.policy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from angarium.protocols.mime.scanner import scan, spans
from angarium.protocols.mime.types import PartSpan

NESTED = (
    b"Subject: outer\r\nContent-Type: multipart/mixed; boundary=o\r\n\r\npreamble\r\n"
    b"--o\r\n\r\none\r\n"
    b"--o\r\nContent-Type: multipart/alternative; boundary=i\r\n\r\n--i\r\n\r\nplain\r\n--i\r\n\r\nhtml\r\n--i--\r\n"
    b"--o\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner\r\nContent-Type: multipart/mixed; boundary=m\r\n\r\n"
    b"--m\r\n\r\ndeep\r\n--m--\r\n"
    b"--o\r\nContent-Type: message/rfc822\r\n\r\nSubject: simple\r\n\r\ntext\r\n"
    b"--o--\r\nepilogue\r\n"
)


def text_of(span: PartSpan) -> bytes:
    return NESTED[span.body : span.end]


def test_part_numbers():
    table = {span.path: span for span in spans(scan(NESTED))}
    assert list(table) == [(), (1,), (2,), (2, 1), (2, 2), (3,), (3, 1), (4,), (4, 1)]
    assert text_of(table[(1,)]) == b"one"
    assert text_of(table[(2, 1)]) == b"plain"
    assert text_of(table[(2, 2)]) == b"html"
    assert text_of(table[(3, 1)]) == b"deep"
    assert text_of(table[(4,)]) == b"Subject: simple\r\n\r\ntext"
    assert NESTED[table[(4,)].inner : table[(4,)].end] == b"text"
    assert text_of(table[(4, 1)]) == b"text"
    assert NESTED[table[(4, 1)].start : table[(4, 1)].body] == b"Subject: simple\r\n\r\n"
    assert NESTED[table[(3,)].body : table[(3,)].inner].startswith(b"Subject: inner\r\n")
    assert table[(1,)].inner == -1
    assert text_of(table[()]).startswith(b"preamble")


def test_a_message_that_is_not_multipart_has_part_one():
    data = b"Subject: x\r\n\r\nbody"
    assert spans(scan(data)) == [PartSpan((), 0, 14, 18), PartSpan((1,), 0, 14, 18)]


@pytest.mark.parametrize(
    "data", [b"", b"\r\n", b"\n", b"x", b"Subject: x", b"Subject: x\r\n", b"\r\n\r\n", b"--", b"\0"]
)
def test_fragments(data):
    root = scan(data)
    assert 0 <= root.body <= root.end == len(data)


def test_the_longest_open_boundary_counts():
    data = (
        b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\nContent-Type: multipart/mixed; boundary=xy\r\n\r\n"
        b"--xy\r\n\r\na\r\n--xy\r\n\r\nb\r\n--xy--\r\n--x--\r\n"
    )
    root = scan(data)
    assert len(root.children) == 1
    assert len(root.children[0].children) == 2


def test_an_unfinished_part_ends_where_its_parent_goes_on():
    data = (
        b"Content-Type: multipart/mixed; boundary=o\r\n\r\n--o\r\nContent-Type: multipart/mixed; boundary=i\r\n\r\n"
        b"--i\r\n\r\nlost\r\n--o\r\n\r\nnext\r\n"
    )
    root = scan(data)
    assert [data[one.body : one.end] for one in root.children[1:]] == [b"next\r\n"]
    (inner,) = root.children[0].children
    assert data[inner.body : inner.end] == b"lost"


def inside(part, start: int, end: int) -> None:
    assert start <= part.start <= part.body <= part.end <= end
    for child in part.children:
        inside(child, part.body, part.end)


pieces = st.sampled_from(
    [
        b"\r\n",
        b"\n",
        b"--a",
        b"--b",
        b"--a--",
        b"--b--",
        b"text",
        b"Content-Type: multipart/mixed; boundary=a\r\n",
        b"Content-Type: multipart/digest; boundary=b\r\n",
        b"Content-Type: message/rfc822\r\n",
        b"X: y\r\n",
        b" fold\r\n",
    ]
)


@given(st.lists(pieces, max_size=60))
@settings(max_examples=100)
def test_parts_lie_within_their_parents(chosen):
    data = b"".join(chosen)
    root = scan(data)
    inside(root, 0, len(data))
    for span in spans(root):
        assert 0 <= span.start <= span.body <= span.end <= len(data)


@given(st.binary(max_size=400))
@settings(max_examples=100)
def test_any_bytes(data):
    inside(scan(data), 0, len(data))


words = st.text(alphabet="abc \r\n-", max_size=40).map(lambda text: text.replace("\r", "").replace("\n", "\r\n"))


@given(st.lists(words, min_size=1, max_size=5))
@settings(max_examples=100)
def test_leaves_equal_those_of_the_standard_library(texts):
    body = "".join(f"--QQ\r\nContent-Type: text/plain\r\n\r\n{text}\r\n" for text in texts)
    data = f"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=QQ\r\n\r\n{body}--QQ--\r\n".encode()
    root = scan(data)
    assert [data[one.body : one.end].decode() for one in root.children] == texts
    oracle = email.message_from_bytes(data, policy=email.policy.compat32.clone(linesep="\r\n"))
    assert len(oracle.get_payload()) == len(root.children)
