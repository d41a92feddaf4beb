"""8-bit mail for servers that take seven; Postfix's own is in tests/interop/test_client_beside_postfix.py."""

from __future__ import annotations

import asyncio
import email
import email.policy
import quopri

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from angarium.cleanup.downgrade import NestingError, downgraded, has_eight_bit_headers, quoted_printable
from angarium.cleanup.mimewalk import WalkLimits
from angarium.model.content import MemoryContent

HEAD = b"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"


def seven(data: bytes, **limits: int) -> bytes:
    return asyncio.run(downgraded(MemoryContent(data), WalkLimits(**limits))).read()


@settings(max_examples=100)
@given(st.binary(max_size=400).filter(lambda line: b"\n" not in line and b"\r" not in line))
def test_a_line_comes_back(line):
    encoded = quoted_printable(line)
    assert encoded.isascii()
    assert max(map(len, encoded.split(b"\r\n"))) <= 76
    assert quopri.decodestring(encoded) == line
    assert encoded[-1:] not in (b" ", b"\t")


@settings(max_examples=50)
@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=100), min_size=1, max_size=8))
def test_a_message_comes_back(lines):
    body = "".join(line + "\r\n" for line in lines).encode()
    made = seven(HEAD + body)
    assert made.isascii()
    message = email.message_from_bytes(made, policy=email.policy.default)
    assert message["Content-Transfer-Encoding"] == "quoted-printable"
    assert message.get_payload(decode=True).replace(b"\r\n", b"\n") == body.replace(b"\r\n", b"\n")


def test_what_is_not_declared_is_the_same_object():
    content = MemoryContent("Subject: x\r\n\r\nü\r\n".encode())
    assert asyncio.run(downgraded(content, WalkLimits())) is content


def test_a_large_body_and_a_line_without_end():
    text = "ü".encode() * 800_000
    made = seven(HEAD + text + b"\r\nend")
    assert email.message_from_bytes(made).get_payload(decode=True).replace(b"\r\n", b"\n") == text + b"\nend"


def test_too_many_parts_within_parts():
    part = b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n"
    with pytest.raises(NestingError):
        seven(b"".join(part % (n, n) for n in range(20)) + HEAD, mime_nesting_limit=5)


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"Subject: x\r\n\r\n\xc3\xbc\r\n", False),
        (b"Subject: \xc3\xbc\r\n\r\nx\r\n", True),
        (b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nX: \xc3\xbc\r\n\r\nx\r\n--b--\r\n", True),
        (b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nX: x\r\n\r\n\xc3\xbc\r\n--b--\r\n", False),
        (b"X: \xc3\xbc", True),
    ],
)
def test_headers_beyond_ascii_are_found_in_parts_too(data, found):
    assert asyncio.run(has_eight_bit_headers(MemoryContent(data), WalkLimits())) is found
