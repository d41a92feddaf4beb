"""BODY and BODYSTRUCTURE: equal to what Dovecot answers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from angarium.protocols.mime.scanner import scan
from angarium.protocols.mime.structure import structures
from angarium.protocols.mime.types import MAX_NESTING, MAX_PARTS

TESTS = Path(__file__).parents[3]
MESSAGES = sorted((TESTS / "data" / "messages").glob("*/*.eml"))
GOLDEN = json.loads((TESTS / "golden" / "mime" / "structures.json").read_text(encoding="utf-8"))


def test_the_messages_are_there():
    assert len(MESSAGES) == 16


@pytest.mark.parametrize("path", MESSAGES, ids=lambda path: path.stem)
def test_messages_of_aerogramme(path):
    data = path.read_bytes().replace(b"\r\r\n", b"\r\n")
    body, bodystructure = structures(data, scan(data))
    assert b"(BODY %b)" % body == path.with_suffix(".dovecot.body").read_bytes()
    assert b"(BODYSTRUCTURE %b)" % bodystructure == path.with_suffix(".dovecot.bodystructure").read_bytes()


@pytest.mark.parametrize("number", range(len(GOLDEN)))
def test_odd_messages(number):
    case = GOLDEN[number]
    data = case["message"].encode("latin-1")
    body, bodystructure = structures(data, scan(data))
    assert body == case["body"].encode("latin-1")
    assert bodystructure == case["bodystructure"].encode("latin-1")


def balanced(text: bytes) -> bool:
    return text.count(b"(") == text.count(b")")


def test_ten_thousand_levels_of_multipart():
    data = b"".join(b"Content-Type: multipart/mixed; boundary=b%05d\r\n\r\n--b%05d\r\n" % (n, n) for n in range(10_000))
    body, bodystructure = structures(data, scan(data))
    assert bodystructure.count(b'"mixed"') <= MAX_NESTING + 1
    assert balanced(body)
    assert balanced(bodystructure)


def test_ten_thousand_levels_of_enclosed_messages():
    data = b"Content-Type: message/rfc822\r\n\r\n" * 10_000 + b"Subject: in\r\n\r\nx"
    body, bodystructure = structures(data, scan(data))
    assert bodystructure.count(b'"rfc822"') == MAX_NESTING + 1
    assert balanced(body)


def test_a_hundred_thousand_parts():
    data = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\n\r\nx\r\n" * 100_000 + b"--b--\r\n"
    tree = scan(data)
    assert len(tree.children) == MAX_PARTS - 1
    body, _bodystructure = structures(data, tree)
    assert body.endswith(b' "mixed")')


def test_a_header_of_ten_megabytes():
    for header in (
        b"X: " + b"x" * 10_000_000,
        b"X: y\r\n" * 1_600_000,
        b"X: " + b"y\r\n " * 2_500_000,
        b"x" * 10_000_000,
    ):
        data = header.removesuffix(b"\r\n") + b"\r\n\r\nbody"
        tree = scan(data)
        assert data[tree.body :] == b"body"
        assert structures(data, tree)[0] == b'("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 4 0)'


def test_no_blank_lines_and_many_boundaries_stay_linear():
    data = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\nX: y\r\n" * 300_000
    structures(data, scan(data))
    data = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"\n--" * 300_000
    structures(data, scan(data))
